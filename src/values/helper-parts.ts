/** What the helpers are made of: checked arguments and small functions. All throw HelperError. */
import { isUtf8 } from 'node:buffer'
import { createHash, getHashes } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { UserError } from '../shared/errors.ts'
import { Pattern, withinTime } from '../shared/time-limit.ts'
import { compareVersions } from './version.ts'

/** What is wrong with a helper's arguments; `callHelper` adds the helper's name and place. */
export class HelperError extends Error {}

/** Bytes that the `file` helper reads at most. */
const MAX_FILE = 1024 * 1024

function kind(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'a map' : `the ${typeof value} ${String(value).slice(0, 30)}`
}

export function text(value: unknown): string {
  if (typeof value === 'object' || value === undefined) throw new HelperError(`expected a text, got ${kind(value)}`)
  return String(value)
}

export const word = text

export function list(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new HelperError(`expected a list, got ${kind(value)}`)
  return value
}

export function map(value: unknown): Record<string, unknown> {
  if (!isMap(value)) throw new HelperError(`expected a map, got ${kind(value)}`)
  return value
}

export function integer(value: unknown): number {
  if (!Number.isSafeInteger(value)) throw new HelperError(`expected a whole number, got ${kind(value)}`)
  return value as number
}

/** A small number of spaces. */
export function count(value: unknown): number {
  const n = integer(value)
  if (n < 0 || n > 100) throw new HelperError(`expected a number from 0 to 100, got ${n}`)
  return n
}

export function size(value: unknown): number {
  if (typeof value === 'string') return [...value].length
  return Array.isArray(value) ? value.length : Object.keys(map(value)).length
}

export function item(value: unknown, index: number): unknown {
  const found = list(value).at(index)
  if (found === undefined || found === null) throw new HelperError('the list is empty')
  return found
}

/** Places in a text are those of its characters, not of UTF-16. */
export function part(value: unknown, start: number, end: number | undefined): unknown {
  return typeof value === 'string' ? [...value].slice(start, end).join('') : list(value).slice(start, end)
}

/** What CEL calls the type of a value. */
export function typeName(value: unknown): string {
  if (value === null) return 'null_type'
  if (Array.isArray(value)) return 'list'
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'double'
  return { string: 'string', boolean: 'bool', object: 'map' }[typeof value as string] ?? 'dyn'
}

export function sorted(items: unknown[], ignoreCase: boolean): unknown[] {
  const keyOf = (one: unknown): unknown => (ignoreCase && typeof one === 'string' ? one.toLowerCase() : one)
  return items.toSorted((a, b) => compare(keyOf(a), keyOf(b)))
}

export function fromPairs(pairs: unknown[]): Record<string, unknown> {
  const entries = pairs.map((pair): [string, unknown] => {
    const [name, value] = Array.isArray(pair) ? pair : isMap(pair) ? [pair.key, pair.value] : []
    if (value === undefined) throw new HelperError(`expected a pair [name, value] or {key, value}, got ${kind(pair)}`)
    return [text(name), value]
  })
  return Object.fromEntries(entries)
}

export function merged(a: Record<string, unknown>, b: Record<string, unknown>, deep: boolean): Record<string, unknown> {
  if (!deep) return { ...a, ...b }
  const both = Object.entries(b).map(([key, value]): [string, unknown] => {
    const own = Object.hasOwn(a, key) ? a[key] : undefined
    return [key, isMap(own) && isMap(value) ? merged(own, value, true) : value]
  })
  return { ...a, ...Object.fromEntries(both) }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function compare(a: unknown, b: unknown): number {
  if (typeof a !== typeof b || (typeof a !== 'number' && typeof a !== 'string')) {
    throw new HelperError(`cannot compare ${kind(a)} with ${kind(b)}`)
  }
  return (a as string) < (b as string) ? -1 : a === b ? 0 : 1
}

/** Equal as `eq` has it: a text is no map that reads like it, and the order of a map's entries does not count. */
export function unique(items: unknown[]): unknown[] {
  const inOrder = (_: string, part: unknown): unknown =>
    isMap(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part
  const seen = new Map(items.map((one) => [JSON.stringify(one, inOrder), one]))
  return [...seen.values()]
}

export function contains(value: unknown, part: unknown): boolean {
  if (typeof value === 'string') return value.includes(text(part))
  if (Array.isArray(value)) return value.some((one) => isDeepStrictEqual(one, part))
  return Object.hasOwn(map(value), text(part))
}

export function isTrue(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : Boolean(value)
}

const patterns = new Map<string, Pattern>()

/** Applies a pattern of the user's within a limit of time. */
export function matching<T>(pattern: unknown, flags: string, work: (compiled: RegExp) => T): T {
  const compiled = regex(pattern, flags)
  try {
    return withinTime(`the regular expression ${compiled.source}`, () => work(compiled))
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    throw new HelperError(error.message)
  }
}

/** What a pattern finds first, or one of its groups. */
export function found(value: string, pattern: unknown, group: number): string {
  const match = matching(pattern, '', (compiled) => compiled.exec(value))
  const part = match?.[group]
  if (part === undefined)
    throw new HelperError(match ? `the pattern has no group ${group} there` : 'the pattern finds nothing in the text')
  return part
}

/** All that a pattern finds: its group, or lists of its groups when there are more. */
export function foundAll(value: string, pattern: unknown): unknown[] {
  const matches = matching(pattern, 'g', (compiled) => [...value.matchAll(compiled)])
  return matches.map(([whole, ...groups]) => {
    const texts = groups.map((group) => group ?? '')
    return texts.length === 0 ? whole : texts.length === 1 ? texts[0] : texts
  })
}

function regex(pattern: unknown, flags: string): RegExp {
  const key = `${flags}/${text(pattern)}`
  const known = patterns.get(key)
  if (known) return known
  try {
    const made = new Pattern(text(pattern), flags)
    if (patterns.size > 1000) patterns.clear()
    patterns.set(key, made)
    return made
  } catch (error) {
    throw new HelperError((error as Error).message)
  }
}

export function decodeBase64(value: string): string {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(value.replace(/\s/g, ''))) throw new HelperError('this is not base64')
  const bytes = Buffer.from(value, 'base64')
  // Where something else stands for what is no text, a key that is written back is another key.
  if (!isUtf8(bytes)) throw new HelperError('what was encoded is not UTF-8 text')
  return bytes.toString('utf8')
}

export function digest(value: string, algorithm: string): string {
  if (!getHashes().includes(algorithm)) throw new HelperError(`unknown algorithm "${algorithm}"`)
  return createHash(algorithm).update(value).digest('hex')
}

export function parseWith(parser: (text: string) => unknown, value: string, name: string): unknown {
  try {
    return parser(value)
  } catch {
    // The parser's message quotes the text, which may be a secret.
    throw new HelperError(`the text is not ${name}`)
  }
}

export function readText(path: string): string {
  try {
    const { size } = statSync(path)
    if (size > MAX_FILE) throw new HelperError(`${path} has more than 1 MiB`)
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    if (error instanceof HelperError) throw error
    throw new HelperError(`cannot read ${path} (${(error as NodeJS.ErrnoException).code})`)
  }
}

export function versionTest(a: string, operator: string, b: string): boolean {
  const order = compareVersions(a, b)
  switch (operator) {
    case '<':
      return order < 0
    case '<=':
      return order <= 0
    case '==':
      return order === 0
    case '!=':
      return order !== 0
    case '>=':
      return order >= 0
    case '>':
      return order > 0
    default:
      throw new HelperError(`unknown operator "${operator}"; known: < <= == != >= >`)
  }
}

export function cidr<T>(compute: () => T): T {
  try {
    return compute()
  } catch (error) {
    if (error instanceof RangeError) throw new HelperError(error.message)
    throw error
  }
}
