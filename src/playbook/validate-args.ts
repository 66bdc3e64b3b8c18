/** Checks the arguments of modules against their schemas and says at its place in the YAML what is wrong. */
import type { z } from 'zod'
import { didYouMean, type Problem, UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import type { YamlNode } from '../shared/yaml.ts'
import type { Scope } from '../values/index.ts'
import { argumentNames } from './argument-names.ts'
import { expressionNames } from './cel-arguments.ts'
import { TASK } from './keywords.ts'
import { isTemplate } from './kinds.ts'
import type { Task } from './playbook.ts'

/** Whose arguments, and where they stand. */
export interface ArgumentsOf {
  readonly moduleName: string
  readonly schema: z.ZodType
  /** The map of arguments; its parts give the places. */
  readonly node: YamlNode
  /** For what is missing: the module's key. */
  readonly place: Place
}

/** Stands for what a template will give. No schema takes it for anything, so refinements that need it do not run. */
const LATER: unique symbol = Symbol('a template')

/**
 * What can be said before rendering: wrong names, and wrong values outside of templates. `parsed` are the arguments as
 * the module gets them, when no template is in them.
 */
export function checkStatic(
  of: ArgumentsOf,
  defaults: readonly YamlNode[] = [],
): { problems: Problem[]; parsed?: unknown } {
  const state = { later: false }
  const expressions = expressionNames(of.schema)
  const data = Object.assign({}, ...[...defaults, of.node].map((node) => withoutExpressions(node, expressions, state)))
  // A whole map that comes from a template: nothing is known.
  if ([...defaults, of.node].some(isTemplate)) return { problems: [] }
  let result: z.ZodSafeParseResult<unknown>
  try {
    result = of.schema.safeParse(data)
  } catch (error) {
    // A transform that stumbles over LATER; rendered values it will see again.
    if (state.later) return { problems: [] }
    throw error
  }
  if (result.success) return state.later ? { problems: [] } : { problems: [], parsed: result.data }
  return { problems: toProblems(result.error.issues, data, of) }
}

/** The arguments as the module gets them. Throws UserError with all that is wrong, at its place. */
export function parseArguments(of: ArgumentsOf, data: unknown): unknown {
  const result = of.schema.safeParse(data)
  if (result.success) return result.data
  throw new UserError(toProblems(result.error.issues, data, of))
}

/**
 * A task's arguments, rendered, over its `module_defaults`, and checked: what the module's functions take. Arguments
 * without templates were checked when the playbook was loaded and cost nothing. Throws UserError and PendingError.
 */
export function parseArgs(task: Task, scope: Scope): unknown {
  if (task.parsedArgs !== undefined) return task.parsedArgs
  return validateArguments(
    task,
    Object.assign({}, ...[...task.defaults, task.args].map((value) => value.evaluate(scope))),
  )
}

/** Checks rendered arguments of a task. Throws UserError. */
export function validateArguments(task: Task, rendered: unknown): unknown {
  const { moduleName, module, argsNode, argsPlace } = task
  const given = withoutNulls(rendered, module.args)
  return parseArguments({ moduleName, schema: module.args, node: argsNode, place: argsPlace }, given)
}

/** An argument whose expression gives null counts as not given, where null is no value for it. */
function withoutNulls(rendered: unknown, schema: ArgumentsOf['schema']): unknown {
  if (typeof rendered !== 'object' || rendered === null || !Object.values(rendered).includes(null)) return rendered
  const { error } = schema.safeParse(rendered)
  const wrong = new Set(error?.issues.map(({ path }) => path[0]))
  return Object.fromEntries(Object.entries(rendered).filter(([name, value]) => value !== null || !wrong.has(name)))
}

/** Expressions are known at run time only. */
function withoutExpressions(node: YamlNode, names: readonly string[], state: { later: boolean }): unknown {
  const data = partial(node, state)
  if (node.kind !== 'map') return data
  for (const name of names) {
    if (!node.entries.has(name)) continue
    state.later = true
    ;(data as Record<string, unknown>)[name] = LATER
  }
  return data
}

function partial(node: YamlNode, state: { later: boolean }): unknown {
  if (isTemplate(node)) {
    state.later = true
    return LATER
  }
  switch (node.kind) {
    case 'scalar':
      return node.value
    case 'list':
      return node.items.map((item) => partial(item, state))
    case 'map':
      return Object.fromEntries([...node.entries.values()].map(({ key, value }) => [key, partial(value, state)]))
  }
}

type Issue = z.core.$ZodIssue
type Path = readonly PropertyKey[]

function toProblems(issues: readonly Issue[], data: unknown, of: ArgumentsOf): Problem[] {
  // A rule between arguments says nothing new while one of them is wrong.
  const first = issues.some(({ code }) => code !== 'custom')
    ? issues.filter(({ code, path }) => code !== 'custom' || path.length > 0)
    : issues
  return first.flatMap((issue) => explain(issue, [], data, of))
}

function explain(issue: Issue, prefix: Path, data: unknown, of: ArgumentsOf): Problem[] {
  const path = [...prefix, ...issue.path]
  const value = valueAt(data, path)
  if (value === LATER) return []
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownName(key, path, of))
  const label = path.length === 0 ? of.moduleName : `"${path.map(String).join('.')}"`
  const at = { place: placeOf(of.node, path) ?? of.place }
  if (value === undefined && path.length > 0 && /^invalid_(type|value|union)$/.test(issue.code)) {
    const place = path.length === 1 ? of.place : (placeOf(of.node, path.slice(0, -1)) ?? of.place)
    return [{ message: `${of.moduleName} needs the argument ${label}`, place }]
  }
  if (issue.code === 'invalid_union' && isOurs(issue.message))
    return explainUnion(issue, path, data, label, at.place, of)
  if (issue.code === 'invalid_type' && isOurs(issue.message)) {
    return [
      {
        ...at,
        message: `${label} must be ${nameOf(issue.expected)}, not ${typeOf(value)}`,
        hint: hintFor(issue.expected, value),
      },
    ]
  }
  if (issue.code === 'invalid_value' && isOurs(issue.message)) {
    const values = issue.values.map(String)
    const hint = typeof value === 'string' ? didYouMean(value, values) : undefined
    return [{ ...at, message: `${label} must be ${values.join(', ').replace(/, ([^,]*)$/, ' or $1')}`, hint }]
  }
  if (holdsLater(value)) return []
  const text = issue.message.charAt(0).toLowerCase() + issue.message.slice(1)
  return [{ ...at, message: /^(must|may|cannot|needs|is|has)\b/.test(text) ? `${label} ${text}` : `${label}: ${text}` }]
}

/** The alternative that was meant, when the value's type shows it; else all of them. */
function explainUnion(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  path: Path,
  data: unknown,
  label: string,
  place: Place,
  of: ArgumentsOf,
): Problem[] {
  const value = valueAt(data, path)
  const fitting = issue.errors.filter((issues) => !issues.some(isOtherType))
  // A single word that could stand there too (`preserve` beside modes) is the least likely to be meant.
  const fits = fitting.find((issues) => !issues.some(({ code }) => code === 'invalid_value')) ?? fitting[0]
  if (fits && fits.length > 0) return fits.flatMap((one) => explain(one, path, data, of))
  if (holdsLater(value)) return []
  const names = [...new Set(expectedOf(issue))].join(' or ')
  return [{ message: `${label} must be ${names || 'something else'}, not ${typeOf(value)}`, place }]
}

/** The value is of another type than this alternative. */
function isOtherType(issue: Issue): boolean {
  if (issue.path.length > 0) return false
  return (
    (issue.code === 'invalid_type' && isOurs(issue.message)) ||
    (issue.code === 'invalid_union' && issue.errors.every((one) => one.some(isOtherType)))
  )
}

/** What the alternatives want, for people. */
function expectedOf(issue: Issue): string[] {
  if (issue.code === 'invalid_type') return [nameOf(issue.expected)]
  return issue.code === 'invalid_union' ? issue.errors.flat().flatMap(expectedOf) : []
}

function unknownName(key: string, path: Path, of: ArgumentsOf): Problem {
  const place = placeOf(of.node, [...path, key], 'key') ?? of.place
  if (path.length > 0) return { message: `"${path.map(String).join('.')}" of ${of.moduleName} has no "${key}"`, place }
  if (Object.hasOwn(TASK, key)) {
    return {
      message: `"${key}" is a keyword of the task, not an argument of ${of.moduleName}`,
      place,
      hint: `indent it like "${of.moduleName}"`,
    }
  }
  return {
    message: `${of.moduleName} has no argument "${key}"`,
    place,
    hint: didYouMean(key, argumentNames(of.schema)),
  }
}

/** Where the value (or its key) of a path stands; undefined when the YAML does not have it. */
function placeOf(node: YamlNode, path: Path, part: 'key' | 'value' = 'value'): Place | undefined {
  let at: YamlNode = node
  for (const [i, step] of path.entries()) {
    if (at.kind === 'map') {
      const entry = at.entries.get(String(step))
      if (!entry) return undefined
      if (part === 'key' && i === path.length - 1) return entry.keyPlace
      at = entry.value
    } else if (at.kind === 'list') {
      const item: YamlNode | undefined = at.items[Number(step)]
      if (!item) return undefined
      at = item
    } else return at.place // what a template gave
  }
  return path.length === 0 ? undefined : at.place
}

function valueAt(data: unknown, path: Path): unknown {
  let at = data
  for (const step of path) {
    if (typeof at !== 'object' || at === null) return at === LATER ? LATER : undefined
    at = Object.hasOwn(at, step) ? (at as Record<PropertyKey, unknown>)[step] : undefined
  }
  return at
}

function holdsLater(value: unknown): boolean {
  return value === LATER || (typeof value === 'object' && value !== null && Object.values(value).some(holdsLater))
}

/** zod's own message, not one that a schema was given. */
function isOurs(message: string): boolean {
  return /^Invalid (input|option)/.test(message)
}

const NAMES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
  record: 'a map',
}

function nameOf(expected: string): string {
  return NAMES[expected] ?? expected
}

/** Never the value itself: it may be secret. */
function typeOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  return (
    { string: 'a string', number: 'a number', boolean: 'a boolean', object: 'a map' }[typeof value as string] ?? 'this'
  )
}

function hintFor(expected: string, value: unknown): string | undefined {
  if (expected === 'string' && (typeof value === 'number' || typeof value === 'boolean')) return 'put it in quotes'
  if (typeof value !== 'string') return undefined
  if (expected === 'boolean' && /^(yes|no|on|off)$/i.test(value))
    return 'write true or false: in YAML 1.2 yes and no are strings'
  if (/^(number|int)$/.test(expected) && value !== '' && !Number.isNaN(Number(value))) return 'take off the quotes'
  return undefined
}
