/** `meta/argument_specs.yml`: what a role wants to be given, checked for each host before the role's first task. */
import { z } from 'zod'
import { defineModule } from '../module/define.ts'
import { didYouMean, UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import { toPlain, YamlMap, type YamlNode } from '../shared/yaml.ts'
import { complete, constant, type Scope, type Value } from '../values/index.ts'
import type { Context } from './context.ts'
import { asMap } from './keyword-reader.ts'
import { isTemplate } from './kinds.ts'
import type { Loader } from './loader.ts'
import type { Task } from './playbook.ts'
import { inheritedMembers } from './task.ts'
import { checkStatic } from './validate-args.ts'

export type ArgumentSpec = z.ZodObject

const TYPES: Readonly<Record<string, () => z.ZodType>> = {
  str: () => z.string(),
  path: () => z.string(),
  int: () => z.int(),
  float: () => z.number(),
  bool: () => z.boolean(),
  list: () => z.array(z.unknown()),
  dict: () => z.record(z.string(), z.unknown()),
  raw: () => z.unknown(),
  any: () => z.unknown(),
  json: () => z.unknown(),
  jsonarg: () => z.unknown(),
  bytes: () => z.union([z.string(), z.int()]),
  bits: () => z.union([z.string(), z.int()]),
}

/** The spec of one entry point; undefined when the role has none for it. Throws UserError. */
export function readArgumentSpec(
  specs: YamlNode | undefined,
  entryPoint: string,
  loader: Loader,
): ArgumentSpec | undefined {
  if (!specs) return undefined
  const entry = asMap(specs, 'argument_specs').get(entryPoint.replace(/\.ya?ml$/, ''))
  const options = entry && asMap(entry, `argument_specs.${entryPoint}`).get('options')
  return options && z.looseObject(shapeOf(options, loader))
}

function shapeOf(options: YamlNode, loader: Loader): Record<string, z.ZodType> {
  const shape: Record<string, z.ZodType> = {}
  for (const { key, value } of asMap(options, 'options').entries.values()) {
    const type = loader.problems.catch(() => optionOf(asMap(value, `the option ${key}`), loader))
    if (type) shape[key] = type
  }
  return shape
}

function optionOf(option: YamlMap, loader: Loader): z.ZodType {
  const at = (name: string): unknown => {
    const node = option.get(name)
    return node && toPlain(node)
  }
  const choices = at('choices')
  let type = typeOf(option, 'type', 'str', loader)
  if (Array.isArray(choices)) type = z.literal(choices as z.core.util.Literal[])
  const description = at('description')
  if (description !== undefined) type = type.describe([description].flat().join(' '))
  return at('required') === true ? type : type.optional()
}

function typeOf(option: YamlMap, keyword: 'type' | 'elements', fallback: string, loader: Loader): z.ZodType {
  const node = option.get(keyword)
  const name = node ? String(toPlain(node)) : fallback
  const options = option.get('options')
  if (options && (name === 'dict' || (name === 'list' && keyword === 'type'))) {
    const inner = z.strictObject(shapeOf(options, loader))
    return name === 'dict' ? inner : z.array(inner)
  }
  if (name === 'list' && keyword === 'type' && option.entries.has('elements'))
    return z.array(typeOf(option, 'elements', 'raw', loader))
  const type = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined
  if (!type) {
    throw new UserError({
      message: `unknown type "${name}"`,
      place: node!.place,
      hint: didYouMean(name, Object.keys(TYPES)),
    })
  }
  return type()
}

/** Checks the `vars:` that a role is given: names that it knows, and types of what is no template. */
export function checkGivenVars(
  spec: ArgumentSpec,
  given: YamlMap,
  known: readonly string[],
  role: string,
  loader: Loader,
): void {
  for (const { key, keyPlace, value } of given.entries.values()) {
    const type = Object.hasOwn(spec.shape, key) ? (spec.shape[key] as z.ZodType) : undefined
    if (type) {
      const wrapped = new YamlMap(given.file, given.offset, given.end)
      wrapped.entries.set(key, { key, keyPlace, value })
      const of = { moduleName: `the role ${role}`, schema: z.object({ [key]: type }), node: wrapped, place: keyPlace }
      loader.problems.list.push(...(isTemplate(value) ? [] : checkStatic(of).problems))
    } else if (!known.includes(key) && !key.startsWith('ansible_')) {
      const hint = didYouMean(key, [...Object.keys(spec.shape), ...known])
      loader.problems.add(`the role ${role} has no argument "${key}"`, keyPlace, hint)
    }
  }
}

/** A task in front of the role's own that costs no round trip: its arguments are the role's, as the host has them. */
export function argumentCheck(spec: ArgumentSpec, context: Context, id: string, place: Place): Task {
  const role = context.role!
  const module = defineModule({
    summary: `Check the arguments of the role ${role.name}`,
    args: spec,
    examples: [],
    readOnly: true,
    plan: () => [],
  })
  const task: Task = {
    kind: 'task',
    id,
    name: constant(`check the arguments of the role ${role.name}`),
    place,
    moduleName: `role ${role.name}`,
    module,
    args: new RoleArguments(Object.keys(spec.shape), place),
    argsNode: new YamlMap(place.file, place.offset, place.end),
    argsPlace: place,
    parsedArgs: undefined,
    defaults: [],
    ...inheritedMembers(context, context.inherited),
    tags: [...new Set([...context.inherited.tags, 'always'])],
    loop: undefined,
    register: undefined,
    notify: [],
    changedWhen: [],
    failedWhen: [],
    until: [],
    retries: undefined,
    delay: undefined,
    detach: undefined,
  }
  context.tasks.push([task, role])
  return task
}

/** The variables of these names, those that are defined. */
class RoleArguments implements Value {
  readonly static = false
  readonly place: Place
  readonly #names: readonly string[]

  constructor(names: readonly string[], place: Place) {
    this.#names = names
    this.place = place
  }

  evaluate(scope: Scope): unknown {
    return complete(this.view(scope))
  }

  view(scope: Scope): unknown {
    return Object.fromEntries(this.#names.filter((name) => scope.has(name)).map((name) => [name, scope.get(name)]))
  }

  references(): Iterable<string> {
    return this.#names
  }
}
