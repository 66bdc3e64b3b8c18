import { UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import type { Scope } from './scope.ts'

/** What a part of a template sees while it is rendered. */
export interface Frame {
  readonly scope: Scope
  /** `this`, and the contexts of `../`; the outermost one's value is the scope itself. */
  readonly context: { readonly value: unknown; readonly outer: Frame['context'] | undefined }
  readonly data: Data | undefined
  /** The values of `as |item index|`, parallel to the compiler's BlockNames. */
  readonly named: { readonly values: readonly unknown[]; readonly outer: Frame['named'] } | undefined
  readonly budget: { rounds: number }
}

/** `@index` and its like; `@../index` is the outer one's. */
export interface Data {
  readonly index: number
  readonly key: string | number
  readonly first: boolean
  readonly last: boolean
  readonly outer: Data | undefined
}

/** Rounds of all `each` blocks of one rendering: nested loops over long lists would run for hours. */
export const MAX_ROUNDS = 1_000_000

export function rootFrame(scope: Scope): Frame {
  return {
    scope,
    context: { value: scope, outer: undefined },
    data: undefined,
    named: undefined,
    budget: { rounds: 0 },
  }
}

/** Counts a round of a loop. */
export function spend(frame: Frame, place: () => Place): void {
  if (++frame.budget.rounds > MAX_ROUNDS) {
    throw new UserError({ message: `this template loops more than ${MAX_ROUNDS} times`, place: place() })
  }
}
