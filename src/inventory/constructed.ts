/**
 * `plugin: constructed`: groups and variables that follow from the variables of hosts. The file's shape is Ansible's
 * (lib/ansible/plugins/inventory/constructed.py); its expressions are CEL.
 */
import { didYouMean, type Problems, UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import type { YamlEntry, YamlMap, YamlNode } from '../shared/yaml.ts'
import { compileExpression, type Expression, makeScope, type Scope } from '../values/index.ts'
import type { Builder } from './builder.ts'
import type { Host } from './inventory.ts'

/** What a file makes of hosts. */
export interface Constructed {
  /** Adds the host to groups, and variables to the host. What cannot be worked out goes to the builder's problems. */
  apply(builder: Builder, host: Host): void
}

interface KeyedGroup {
  readonly key: Expression
  readonly prefix: string
  readonly separator: string
  readonly parent: string | undefined
  /** Instead of an empty value. */
  readonly fallback: string | undefined
  readonly place: Place
}

const KEYS = ['plugin', 'strict', 'compose', 'groups', 'keyed_groups']
const KEYED = ['key', 'prefix', 'separator', 'parent_group', 'default_value']

/** Problems go to `problems`; what is wrong is left out. */
export function readConstructed(map: YamlMap, problems: Problems): Constructed {
  refuseOthers(map, KEYS, 'a constructed inventory', problems)
  const strict = scalar(map.get('strict'), 'boolean', 'strict', problems) ?? true
  const compose = expressions(map.get('compose'), 'compose', problems)
  const groups = expressions(map.get('groups'), 'groups', problems)
  const keyed = keyedGroups(map.get('keyed_groups'), problems)
  return {
    apply(builder, host) {
      /** Undefined where it cannot be evaluated: an error, or with `strict: false` none. */
      const attempt = <T>(work: () => T): T | undefined => {
        try {
          return work()
        } catch (error) {
          if (!(error instanceof UserError)) throw error
          const hint = 'default(a, b) and has(a.b) ask; strict: false passes over such hosts'
          if (strict)
            for (const { message, place } of error.problems)
              builder.problems.add(`host ${host.name}: ${message}`, place, hint)
          return undefined
        }
      }
      let scope = scopeOf(host)
      const made = new Map<string, unknown>()
      for (const [name, expression] of compose) {
        const value = attempt(() => expression.evaluate(scope))
        if (value === undefined) continue
        made.set(name, value)
        scope = scope.with({ [name]: value }, 'constructed')
      }
      if (made.size > 0) builder.hostVars(host.name, { name: `${map.file.path}, compose`, vars: made })
      for (const [name, expression] of groups)
        if (attempt(() => expression.test(scope))) builder.host(host.name, name, expression.place)
      for (const one of keyed)
        for (const name of attempt(() => namesOf(one, scope)) ?? []) {
          builder.host(host.name, name, one.place)
          if (one.parent !== undefined) builder.child(one.parent, name, one.place)
        }
    },
  }
}

function scopeOf(host: Host): Scope {
  const magic = { inventory_hostname: host.name, group_names: host.groups }
  return makeScope([...host.layers, { name: 'runbook', vars: magic }])
}

/** The groups of a value: one of a text, one of each item of a list, one of each entry of a map. */
function namesOf({ key, prefix, separator, fallback }: KeyedGroup, scope: Scope): string[] {
  const value = key.evaluate(scope)
  const parts =
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.entries(value).map(([name, one]) => `${name}${separator}${word(one, key)}`)
      : [value].flat().map((one) => word(one, key) || (fallback ?? ''))
  return parts.filter((part) => part !== '').map((part) => safe(prefix === '' ? part : `${prefix}${separator}${part}`))
}

function word(value: unknown, { place }: Expression): string {
  if (typeof value === 'object')
    throw new UserError({ message: 'the key of a group must be a text or a number', place })
  return String(value)
}

/** A name that patterns can say. */
const safe = (name: string): string => name.replace(/[^A-Za-z0-9_]/g, '_').replace(/^(?=\d)/, '_')

function expressions(node: YamlNode | undefined, key: string, problems: Problems): [string, Expression][] {
  if (!node || isNothing(node)) return []
  if (node.kind !== 'map') {
    problems.add(`"${key}" is a map of names to expressions`, node.place)
    return []
  }
  return [...node.entries.values()].flatMap((entry): [string, Expression][] => {
    const made = expression(entry.value, problems)
    if (!made) return []
    if (/^[A-Za-z_]\w*$/.test(entry.key)) return [[entry.key, made]]
    problems.add(`"${entry.key}" cannot be a name: letters, digits and _`, entry.keyPlace)
    return []
  })
}

function expression(node: YamlNode, problems: Problems): Expression | undefined {
  if (node.kind === 'scalar' && node.value !== null)
    return problems.catch(() => compileExpression(String(node.value), node.place))
  problems.add('an expression is a text', node.place)
  return undefined
}

function keyedGroups(node: YamlNode | undefined, problems: Problems): KeyedGroup[] {
  if (!node || isNothing(node)) return []
  if (node.kind !== 'list') {
    problems.add('"keyed_groups" is a list, each with a key', node.place)
    return []
  }
  return node.items.flatMap((item): KeyedGroup[] => {
    if (item.kind !== 'map' || !item.get('key')) {
      problems.add('an entry of keyed_groups needs "key"', item.place, 'e.g. - key: rack')
      return []
    }
    refuseOthers(item, KEYED, 'an entry of keyed_groups', problems)
    const key = expression(item.get('key')!, problems)
    const text = (name: string): string | undefined => scalar(item.get(name), 'string', name, problems)
    if (!key) return []
    const [prefix = '', separator = '_'] = [text('prefix'), text('separator')]
    return [
      { key, prefix, separator, parent: text('parent_group'), fallback: text('default_value'), place: item.place },
    ]
  })
}

type Types = { readonly boolean: boolean; readonly string: string }

function scalar<K extends keyof Types>(node: YamlNode | undefined, type: K, key: string, problems: Problems) {
  if (!node) return undefined
  if (node.kind === 'scalar' && typeof node.value === type) return node.value as Types[K]
  problems.add(`"${key}" must be ${type === 'boolean' ? 'true or false' : 'a text'}`, node.place)
  return undefined
}

const isNothing = (node: YamlNode): boolean => node.kind === 'scalar' && node.value === null

function refuseOthers(map: YamlMap, known: readonly string[], what: string, problems: Problems): void {
  for (const { key, keyPlace } of map.entries.values() as Iterable<YamlEntry>)
    if (!known.includes(key)) problems.add(`${what} has no "${key}"`, keyPlace, didYouMean(key, known))
}
