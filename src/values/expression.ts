/** CEL expressions: conditions and computed values. */
import { TypeError as CelTypeError, EvaluationError, ParseError } from '@marcbachmann/cel-js'
import { didYouMean, UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import { withinTime } from '../shared/time-limit.ts'
import { celContext, fromCel } from './cel-data.ts'
import {
  environment,
  functionNames,
  makeStrict,
  type Node,
  nodes,
  preferVariable,
  withOptions,
} from './cel-environment.ts'
import { type Locate, locateIn } from './locate.ts'
import type { Scope } from './scope.ts'
import { undefinedHint } from './undefined-hint.ts'
import { Compiled, type Value } from './value.ts'

export interface Expression extends Value {
  readonly source: string
  /** For conditions: throws UserError when the result is not a boolean. */
  test(scope: Scope): boolean
}

/**
 * Compiles an expression. Throws UserError for syntax errors, unknown functions and operands that can never fit.
 * Evaluating throws UserError for unknown names, missing keys and types that do not fit, and PendingError.
 */
export function compileExpression(source: string, place: Place): Expression {
  return new CelExpression(source, place)
}

/** Less than for regular expressions: every round of these takes memory. */
const NESTED_MS = 2000
const NESTED = 'map, filter, exists and all within each other take the product of their lists: go over less'

class CelExpression extends Compiled implements Expression {
  readonly static = false
  readonly source: string
  readonly #locate: Locate
  readonly #run: (context: unknown) => unknown
  readonly #names = new Set<string>()
  #matches = false
  /** More than one macro (map, filter, exists …): one within another takes the time of that for each item. */
  #nested = false

  constructor(source: string, place: Place) {
    super({ place })
    this.source = source
    this.#locate = locateIn(source, place)
    this.#run = this.#parse()
  }

  view(scope: Scope): unknown {
    return fromCel(this.#evaluate(scope))
  }

  test(scope: Scope): boolean {
    const result = this.#evaluate(scope)
    if (typeof result === 'boolean') return result
    throw new UserError({
      message: `this condition gives ${describe(result)}, neither true nor false`,
      place: this.place,
      hint:
        typeof result === 'string'
          ? 'compare it, e.g. with == "yes", or convert it with bool(…)'
          : 'compare it, e.g. with > 0 or != null',
    })
  }

  references(): Iterable<string> {
    return this.#names
  }

  #parse(): (context: unknown) => unknown {
    try {
      const parsed = environment.parse(this.source)
      const own = new Set<string>()
      for (const node of nodes(parsed.ast)) {
        makeStrict(node)
        preferVariable(node)
        if (node.op === 'rcall' && (node.args as [string])[0] === 'matches') this.#matches = true
        if (node.op === 'id') this.#names.add(node.args as string)
        if (node.op === 'comprehension') own.add((node.args as { iterVarName: string }).iterVarName)
      }
      this.#nested = [...nodes(parsed.ast)].filter(({ op }) => op === 'comprehension').length > 1
      for (const name of own) this.#names.delete(name)
      const checked = parsed.check()
      if (!checked.valid) throw checked.error
      return parsed as (context: unknown) => unknown
    } catch (error) {
      throw this.#explain(error)
    }
  }

  #evaluate(scope: Scope): unknown {
    try {
      const run = () => withOptions(scope.options, () => this.#run(celContext(scope)))
      // The library's own `matches` knows no limit.
      if (this.#matches) return withinTime(`matches() in "${this.source}"`, run)
      return this.#nested ? withinTime(`the expression "${this.source}"`, run, { hint: NESTED, ms: NESTED_MS }) : run()
    } catch (error) {
      throw this.#explain(error, scope)
    }
  }

  /** The library's error with its place in the YAML file; other errors as they are. */
  #explain(error: unknown, scope?: Scope): unknown {
    if (error instanceof UserError && error.problems.every((p) => p.place === undefined))
      return new UserError(error.problems.map((p) => ({ ...p, place: this.place })))
    if (!(error instanceof EvaluationError || error instanceof ParseError || error instanceof CelTypeError))
      return error
    const node = error.node as unknown as Node | undefined
    const { start, end } = error.range ?? { start: 0, end: this.source.length }
    const place = this.#locate(start, Math.max(end, start + 1))
    const summary = (error.summary ?? error.message).replace(/dyn<([^<>]+)>/g, '$1').replace(/^found no/, 'no')
    switch (error.code) {
      case 'unknown_variable': {
        const name = summary.replace(/^Unknown variable: /, '')
        return new UserError({
          message: `"${name}" is not defined`,
          place,
          hint: scope && undefinedHint(name, scope.names()),
        })
      }
      case 'no_such_key': {
        const [owner] = (node?.args ?? []) as [Node?]
        const key = summary.replace(/^No such key: /, '')
        const of = owner ? `"${this.source.slice(owner.start, owner.end)}"` : 'the map'
        return new UserError({
          message: `${of} has no "${key}"`,
          place,
          hint: 'test with has(a.b), or write default(a.b, "…")',
        })
      }
      case 'no_such_overload':
      case 'no_matching_overload': {
        const name = /'(\w+)\(/.exec(summary)?.[1]
        const isUnknown = name !== undefined && !functionNames.has(name)
        const message = isUnknown
          ? `unknown function "${name}"`
          : `the types do not fit: ${summary.replace(/^no (such|matching) overload:? ?(for )?/, '')}`
        const braces = this.source.includes('{{') ? jinjaHint(this.source) : undefined
        const hint = isUnknown
          ? didYouMean(name, functionNames)
          : (braces ?? 'convert with string(…), int(…), double(…) or bool(…)')
        return new UserError({ message, place, hint })
      }
      default:
        return new UserError({
          message: error instanceof ParseError ? `expression: ${lowerFirst(summary)}` : lowerFirst(summary),
          place,
          hint: error instanceof ParseError ? jinjaHint(this.source) : undefined,
        })
    }
  }
}

/** People come from Jinja; what they write first has its own hint. */
function jinjaHint(source: string): string | undefined {
  if (source.includes('{{')) return 'an expression has no braces: write name == "x", not "{{ name }}" == "x"'
  if (/\bis (not )?defined\b/.test(source)) return 'write defined(name) or !defined(name)'
  if (/\bnot in\b/.test(source)) return 'write !(a in b)'
  if (/\b(and|or|not)\b/.test(source)) return 'write &&, || and !'
  if (/[^|]\|[^|]/.test(source)) return 'there are no filters with "|": write default(name, "x"), lower(name)'
  if (/[^=!<>]=[^=]/.test(source)) return 'compare with =='
  return undefined
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}

function describe(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'object') return Array.isArray(value) ? 'a list' : 'a map'
  return typeof value === 'bigint' ? 'a number' : `a ${typeof value}`
}
