/** The variables that a template or expression sees: layers over each other, rendered when they are read. */
import { UserError } from '../shared/errors.ts'
import type { Redactor } from '../shared/redact.ts'
import { formatPlace } from '../shared/source.ts'
import { isValue, type Value } from './value.ts'

/** Names to compiled values or to plain data (facts, results); plain data is never taken for a template. */
export type Vars = Readonly<Record<string, unknown>> | ReadonlyMap<string, unknown>

/** Variables with one origin. Shared by all hosts that have them: a layer must not change while a scope uses it. */
export interface Layer {
  readonly vars: Vars
  /** Where they come from, for people: `group_vars/workers.yml`, `play vars`, `facts`. */
  readonly name: string
}

export interface Scope {
  has(name: string): boolean
  /**
   * The variable, with templates in it rendered (once a scope); undefined when there is none. Entries of maps are
   * rendered when they are read. Throws UserError for a template in it that fails and for a cycle, and PendingError.
   */
  get(name: string): unknown
  names(): Iterable<string>
  /** A scope with more variables over this one. Cheap; what this one has rendered is rendered again when asked for. */
  with(vars: Vars, name?: string): Scope
  readonly options: ScopeOptions
  /** Evaluates a part of a variable for `Value.view`: a cycle through it is an error that shows its path. */
  guard(path: string, value: Value): unknown
}

export interface ScopeOptions {
  /** Told of what helpers make out of secrets. */
  readonly redactor?: Redactor | undefined
  /** The folder to which the `file` helper is relative; the working directory without it. */
  readonly directory?: string | undefined
  /** Nothing may be written on the controller: the `password` helper makes up one that is not kept. */
  readonly readOnly?: boolean | undefined
  /** What the `env` helper reads; the process's environment without it. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
}

/** The value of a variable that will be known later, e.g. the `register` of a task that has not run. Reading it throws PendingError. */
export const PENDING: unique symbol = Symbol('pending')

/** Something needs a variable that is not known yet. No user's mistake: the engine ends a window with it. */
export class PendingError extends Error {
  /** The variable's name or path. */
  readonly variable: string

  constructor(variable: string) {
    super(`${variable} is not known yet`)
    this.name = 'PendingError'
    this.variable = variable
  }
}

/** Variables that refer to variables: deeper than any playbook, less than what ends the stack. */
const MAX_DEPTH = 100

/** A scope over layers; later layers win. A snapshot: make another one (it is cheap) when a layer has changed. */
export function makeScope(layers: readonly Layer[], options: ScopeOptions = {}): Scope {
  return new LayeredScope(layers, options)
}

class LayeredScope implements Scope {
  readonly options: ScopeOptions
  readonly #layers: readonly Layer[]
  readonly #memo = new Map<string, unknown>()
  /** What is being rendered, outermost first. */
  readonly #guarded: string[] = []

  constructor(layers: readonly Layer[], options: ScopeOptions) {
    this.#layers = layers
    this.options = options
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined
  }

  get(name: string): unknown {
    const known = this.#memo.get(name)
    if (known !== undefined) return known
    const found = this.#find(name)
    if (found === PENDING) throw new PendingError(name)
    const value = isValue(found) ? this.guard(name, found) : found
    if (value !== undefined) this.#memo.set(name, value)
    return value
  }

  names(): Iterable<string> {
    return new Set(this.#layers.flatMap(({ vars }) => [...(isMap(vars) ? vars.keys() : Object.keys(vars))]))
  }

  with(vars: Vars, name = 'task'): Scope {
    return new LayeredScope([...this.#layers, { vars, name }], this.options)
  }

  guard(path: string, value: Value): unknown {
    if (value.static) return value.view(this, path)
    const stack = this.#guarded
    const start = stack.indexOf(path)
    if (start !== -1) {
      const cycle = [...stack.slice(start), path].join(' -> ')
      throw new UserError({ message: `the variable "${path}" refers to itself: ${cycle}`, place: value.place })
    }
    if (stack.length >= MAX_DEPTH) {
      const at = value.place ? ` (${formatPlace(value.place)})` : ''
      throw new UserError(`variables refer to each other more than ${MAX_DEPTH} levels deep at "${path}"${at}`)
    }
    stack.push(path)
    try {
      return value.view(this, path)
    } finally {
      stack.pop()
    }
  }

  #find(name: string): unknown {
    for (let i = this.#layers.length - 1; i >= 0; i--) {
      const { vars } = this.#layers[i]!
      const found = isMap(vars) ? vars.get(name) : Object.hasOwn(vars, name) ? vars[name] : undefined
      if (found !== undefined) return found
    }
    return undefined
  }
}

function isMap(vars: Vars): vars is ReadonlyMap<string, unknown> {
  return vars instanceof Map
}
