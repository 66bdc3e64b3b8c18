/** Our data as CEL sees it and back. CEL's integers are BigInts; in variables a whole number is an integer. */
import { Duration, UnsignedInt } from '@marcbachmann/cel-js/evaluator'
import { PENDING, PendingError, type Scope } from './scope.ts'

/** Plain data for CEL: whole numbers become BigInt, maps a view that converts an entry when it is read. */
export function toCel(value: unknown, path = 'this value'): unknown {
  switch (typeof value) {
    case 'number':
      return Number.isSafeInteger(value) ? BigInt(value) : value
    case 'object':
      if (value === null || value instanceof Date) return value
      if (Array.isArray(value)) return value.some(needsChange) ? value.map((item) => toCel(item, path)) : value
      if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
      return new MapView(value as Record<string, unknown>)
    case 'symbol':
      if (value === PENDING) throw new PendingError(path)
      return undefined
    default:
      return value
  }
}

function needsChange(item: unknown): boolean {
  return typeof item === 'number' || typeof item === 'symbol' || (typeof item === 'object' && item !== null)
}

/** What an expression gives, as plain data: numbers where they are exact, times and durations as text. */
export function fromCel(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof MapView) return value.source
  if (Array.isArray(value)) return value.map(fromCel)
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Duration) return value.toString()
  if (value instanceof UnsignedInt) return fromCel(value.valueOf())
  if (value instanceof Uint8Array) return Buffer.from(value)
  if (value instanceof Set) return [...value].map(fromCel)
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, one]) => [String(fromCel(key)), fromCel(one)]))
  if (value.constructor === Object || value.constructor === undefined) {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, fromCel(one)]))
  }
  // A type: `type(x)` gives something whose `name` is all there is to say.
  return 'name' in value ? value.name : String(value)
}

/** A map of ours as the library's `Map`. Nothing is copied, and an entry is rendered only when it is read. */
class MapView extends Map<unknown, unknown> {
  readonly source: Record<string, unknown>

  constructor(source: Record<string, unknown>) {
    super()
    this.source = source
  }

  override get(key: unknown): unknown {
    const name = typeof key === 'bigint' ? String(key) : key
    if (typeof name !== 'string' || !Object.hasOwn(this.source, name)) return undefined
    return toCel(this.source[name], name)
  }

  override has(key: unknown): boolean {
    return Object.hasOwn(this.source, String(key))
  }

  override get size(): number {
    return Object.keys(this.source).length
  }

  override keys(): MapIterator<unknown> {
    return Object.keys(this.source).values() as MapIterator<unknown>
  }

  override *values(): MapIterator<unknown> {
    for (const key of Object.keys(this.source)) yield this.get(key)
  }

  override *entries(): MapIterator<[unknown, unknown]> {
    for (const key of Object.keys(this.source)) yield [key, this.get(key)]
  }

  override [Symbol.iterator](): MapIterator<[unknown, unknown]> {
    return this.entries()
  }
}
// The library knows its types by `constructor` and refuses what it does not know.
Object.defineProperty(MapView.prototype, 'constructor', { value: Map })

/** The variables of a scope as the library's context; each is converted once a scope. */
class ScopeView extends Map<string, unknown> {
  readonly #scope: Scope

  constructor(scope: Scope) {
    super()
    this.#scope = scope
  }

  override get(name: string): unknown {
    const known = super.get(name)
    if (known !== undefined) return known
    const value = toCel(this.#scope.get(name), name)
    super.set(name, value)
    return value
  }
}

const views = new WeakMap<Scope, Map<string, unknown>>()

export function celContext(scope: Scope): Map<string, unknown> {
  let view = views.get(scope)
  if (!view) {
    view = new ScopeView(scope)
    views.set(scope, view)
  }
  return view
}
