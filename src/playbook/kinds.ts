/**
 * The kinds of value that a keyword can have: how one is read and checked, and how it looks as JSON Schema. The tables in
 * keywords.ts are written in these.
 */
import { UserError } from '../shared/errors.ts'
import { type YamlMap, type YamlNode, YamlScalar } from '../shared/yaml.ts'
import { compileNode, constant, type Expression, type Value } from '../values/index.ts'
import { readCondition } from './conditions.ts'

export type JsonSchema = Record<string, unknown>

export interface Kind<T> {
  /** In a message, after "must be". */
  readonly expects: string
  /** Throws UserError when the node is no such value. */
  read(node: YamlNode, keyword: string): T
  readonly schema: JsonSchema
}

export type Vars = ReadonlyMap<string, Value>

const TEMPLATE: JsonSchema = { type: 'string', pattern: '\\{\\{' }
const text: JsonSchema = { type: ['string', 'number', 'boolean'] }
const orList = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: 'array', items: schema }] })

/** A name that templates and expressions can say. */
export const IDENTIFIER = /^[A-Za-z_]\w*$/

export const kinds = {
  string: kind<string>('a string', { type: 'string' }, (node) =>
    isString(node) && !isTemplate(node) ? node.value : undefined,
  ),
  identifier: kind<string>(
    'a variable name: letters, digits and _',
    { type: 'string', pattern: IDENTIFIER.source },
    (node) => (isString(node) && IDENTIFIER.test(node.value) ? node.value : undefined),
  ),
  strings: kind<readonly string[]>('a string or a list of strings', orList({ type: 'string' }), (node) => {
    const items = itemsOf(node)
    return items.every(isString) ? items.map(({ value }) => value) : undefined
  }),
  text: kind<Value>('a string', text, readText),
  texts: kind<readonly Value[]>('a string or a list of strings', orList(text), (node) =>
    allOf(itemsOf(node), readText),
  ),
  bool: kind<boolean>('true or false', { type: 'boolean' }, (node) =>
    node.kind === 'scalar' && typeof node.value === 'boolean' ? node.value : undefined,
  ),
  flag: kind<Value>('true or false, or a template', { anyOf: [{ type: 'boolean' }, TEMPLATE] }, (node) =>
    typeIs(node, 'boolean') || isTemplate(node) ? compileNode(node) : undefined,
  ),
  number: kind<Value>('a number, 0 or more', { anyOf: [{ type: 'number', minimum: 0 }, TEMPLATE] }, (node) =>
    (typeIs(node, 'number') && Number((node as YamlScalar).value) >= 0) || isTemplate(node)
      ? compileNode(node)
      : undefined,
  ),
  conditions: kind<readonly Expression[]>(
    'an expression or a list of them',
    orList({ type: ['string', 'boolean'] }),
    (node) => allOf(itemsOf(node), readCondition),
  ),
  vars: kind<Vars>(
    'a map of variables',
    { type: 'object', propertyNames: { pattern: IDENTIFIER.source } },
    (node, keyword) => (node.kind === 'map' ? readVars(node, keyword) : undefined),
  ),
  environment: kind<readonly Value[]>(
    'a map of environment variables',
    orList({ anyOf: [{ type: 'object', additionalProperties: text }, TEMPLATE] }),
    (node) => allOf(itemsOf(node), (item) => (item.kind === 'map' || isTemplate(item) ? compileNode(item) : undefined)),
  ),
  tags: kind<readonly string[]>('a tag or a list of tags', orList({ type: ['string', 'number'] }), (node) => {
    const items = itemsOf(node)
    if (!items.every((item) => isText(item) && !isTemplate(item))) return undefined
    return items.flatMap((item) => String((item as YamlScalar).value).split(',')).flatMap((tag) => tag.trim() || [])
  }),
  /** A list, or a map, or a template that gives one. */
  items: kind<Value>('a list or a map', { anyOf: [{ type: ['array', 'object'] }, TEMPLATE] }, (node) =>
    node.kind !== 'scalar' || isTemplate(node) ? compileNode(node) : undefined,
  ),
  /** Read by whoever asked for it. */
  node: kind<YamlNode>('a value', {}, (node) => node),
  list: kind<YamlNode>('a list', { type: ['array', 'null'] }, (node) =>
    node.kind === 'list' || isNull(node) ? node : undefined,
  ),
  map: kind<YamlMap>('a map', { type: 'object' }, (node) => (node.kind === 'map' ? node : undefined)),
} as const

export type Kinds = typeof kinds
export type KindName = keyof Kinds

function kind<T>(
  expects: string,
  schema: JsonSchema,
  read: (node: YamlNode, keyword: string) => T | undefined,
): Kind<T> {
  return {
    expects,
    schema,
    read(node, keyword) {
      const value = read(node, keyword)
      if (value !== undefined) return value
      if (isNull(node)) throw new UserError({ message: `"${keyword}" has no value`, place: node.place })
      throw new UserError({
        message: `"${keyword}" must be ${expects}, not ${describe(node)}`,
        place: node.place,
        hint: hintFor(node, expects),
      })
    },
  }
}

/** Templates are compiled, everything else is kept as a string. */
function readText(node: YamlNode): Value | undefined {
  if (!isText(node)) return undefined
  return isString(node) ? compileNode(node) : constant(String(node.value), node)
}

function readVars(map: YamlMap, keyword: string): Vars {
  const vars = new Map<string, Value>()
  const problems = []
  for (const { key, keyPlace, value } of map.entries.values()) {
    try {
      if (!IDENTIFIER.test(key)) throw badVariable(key, keyword, keyPlace)
      vars.set(key, compileNode(value))
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      problems.push(...error.problems)
    }
  }
  if (problems.length > 0) throw new UserError(problems)
  return vars
}

function badVariable(key: string, keyword: string, place: YamlNode['place']): UserError {
  const mended = key.replace(/\W/g, '_').replace(/^(?=\d)/, '_')
  return new UserError({
    message: `"${key}" in "${keyword}" cannot be the name of a variable: only letters, digits and _`,
    place,
    hint: IDENTIFIER.test(mended) ? `write ${mended}` : undefined,
  })
}

function allOf<T>(nodes: readonly YamlNode[], read: (node: YamlNode) => T | undefined): readonly T[] | undefined {
  const made = nodes.map(read)
  return made.every((one) => one !== undefined) ? (made as readonly T[]) : undefined
}

/** The items of a list; anything else is a list of one. */
export function itemsOf(node: YamlNode): readonly YamlNode[] {
  return node.kind === 'list' ? node.items : [node]
}

/** Depends on a scope, as far as can be seen without compiling. */
export function isTemplate(node: YamlNode): boolean {
  return isString(node) && (node.tag === '!cel' || (node.tag !== '!unsafe' && node.value.includes('{{')))
}

export function isString(node: YamlNode): node is YamlScalar & { readonly value: string } {
  return typeIs(node, 'string')
}

export function isNull(node: YamlNode): boolean {
  return node instanceof YamlScalar && node.value === null
}

function isText(node: YamlNode): node is YamlScalar {
  return node.kind === 'scalar' && node.value !== null
}

function typeIs(node: YamlNode, type: string): boolean {
  return node.kind === 'scalar' && typeof node.value === type
}

/** A node as it should be called in a message; never its content, which may be secret. */
export function describe(node: YamlNode): string {
  if (node.kind !== 'scalar') return `a ${node.kind}`
  if (node.value === null) return 'nothing'
  return typeof node.value === 'string' ? 'a string' : `the ${typeof node.value} ${node.value}`
}

function hintFor(node: YamlNode, expects: string): string | undefined {
  if (!isString(node)) return undefined
  const yaml11 = /^(y|yes|on|n|no|off|true|false)$/i.exec(node.value)?.[1]?.toLowerCase()
  if (expects.startsWith('true') && yaml11) {
    const meant = ['y', 'yes', 'on', 'true'].includes(yaml11)
    return `write ${meant}: in YAML 1.2 ${node.source} is a string`
  }
  if (/^a number/.test(expects) && node.value.trim() !== '' && !Number.isNaN(Number(node.value))) {
    return 'take off the quotes'
  }
  return isTemplate(node) ? 'a template cannot stand here: it is needed before any host is known' : undefined
}
