/**
 * A value of a playbook or vars file: compiled once, evaluated for each host. What does not depend on a scope is static:
 * made once, frozen and shared by all hosts.
 */
import type { Place } from '../shared/source.ts'
import type { Scope } from './scope.ts'

export interface Value {
  /** Does not depend on the scope. */
  readonly static: boolean
  readonly place?: Place | undefined
  /** The whole value, plain data to its depths. Throws UserError (undefined name …) or PendingError. */
  evaluate(scope: Scope): unknown
  /**
   * The value as a variable: maps evaluate an entry when it is read, so that a variable may refer to its own other
   * entries and an undefined name matters only to those who read it. `path` names it in messages.
   */
  view(scope: Scope, path: string): unknown
  /** The root names that it reads; best effort (what the variables it reads refer to is not followed). */
  references(): Iterable<string>
}

/** Something that knows its place; places cost a search, so they are asked for late. */
interface Placed {
  readonly place?: Place | undefined
}

/** The base of all values, by which they are told from plain data. */
export abstract class Compiled implements Value {
  readonly #at: Placed | undefined
  abstract readonly static: boolean

  constructor(at?: Placed) {
    this.#at = at
  }

  get place(): Place | undefined {
    return this.#at?.place
  }

  evaluate(scope: Scope): unknown {
    return complete(this.view(scope, ''))
  }

  abstract view(scope: Scope, path: string): unknown
  abstract references(): Iterable<string>
}

/** Plain data is everything else: facts, results, `-e` values. It is never taken for a template. */
export function isValue(value: unknown): value is Value {
  return value instanceof Compiled
}

/** A value that is the same everywhere. The caller hands `value` over: it must not change any more. */
export function constant(value: unknown, at?: Placed): Value {
  return new Constant(value, at)
}

class Constant extends Compiled {
  readonly static = true
  readonly #value: unknown

  constructor(value: unknown, at?: Placed) {
    super(at)
    this.#value = value
  }

  override evaluate(): unknown {
    return this.#value
  }

  view(): unknown {
    return this.#value
  }

  references(): Iterable<string> {
    return []
  }
}

export class ListValue extends Compiled {
  readonly static = false
  readonly #items: readonly Value[]

  constructor(items: readonly Value[], at?: Placed) {
    super(at)
    this.#items = items
  }

  override evaluate(scope: Scope): unknown {
    return this.#items.map((item) => item.evaluate(scope))
  }

  view(scope: Scope, path: string): unknown {
    return this.#items.map((item, i) => item.view(scope, `${path}[${i}]`))
  }

  *references(): Iterable<string> {
    for (const item of this.#items) yield* item.references()
  }
}

export class MapValue extends Compiled {
  readonly static = false
  readonly #entries: readonly (readonly [string, Value])[]

  constructor(entries: readonly (readonly [string, Value])[], at?: Placed) {
    super(at)
    this.#entries = entries
  }

  override evaluate(scope: Scope): unknown {
    return Object.fromEntries(this.#entries.map(([key, value]) => [key, value.evaluate(scope)]))
  }

  view(scope: Scope, path: string): unknown {
    const view: Record<string, unknown> = {}
    for (const [key, value] of this.#entries) {
      if (value.static) view[key] = value.evaluate(scope)
      else defineLate(view, key, () => scope.guard(path ? `${path}.${key}` : key, value))
    }
    return view
  }

  *references(): Iterable<string> {
    for (const [, value] of this.#entries) yield* value.references()
  }
}

/** A property that is computed at its first reading. A getter and no Proxy: every reader sees a plain object. */
function defineLate(object: object, key: string, compute: () => unknown): void {
  Object.defineProperty(object, key, {
    enumerable: true,
    configurable: true,
    get() {
      const value = compute()
      Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
      return value
    },
  })
}

/** Reads every late property of a view, so that what is wrong with one comes out here and not somewhere later. */
export function complete<T>(value: T): T {
  // Frozen data is static, see compileNode: nothing in it is late.
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value)) return value
  for (const part of Object.values(value)) complete(part)
  return value
}

/** A list of values. */
export function listOf(items: readonly Value[], at?: Placed): Value {
  return new ListValue(items, at)
}

/** A map of values. */
export function mapOf(entries: readonly (readonly [string, Value])[], at?: Placed): Value {
  return new MapValue(entries, at)
}

/** A value made from what another one reads. */
export function computed(evaluate: (scope: Scope) => unknown, from: Value): Value {
  return new ComputedValue(evaluate, from)
}

class ComputedValue extends Compiled {
  readonly static = false
  readonly #evaluate: (scope: Scope) => unknown
  readonly #from: Value

  constructor(evaluate: (scope: Scope) => unknown, from: Value) {
    super(from)
    this.#evaluate = evaluate
    this.#from = from
  }

  view(scope: Scope): unknown {
    return this.#evaluate(scope)
  }

  references(): Iterable<string> {
    return this.#from.references()
  }
}
