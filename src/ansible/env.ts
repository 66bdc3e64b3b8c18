import type { Ir } from './ir.ts'
import type { Type } from './types.ts'

/** What the surroundings of an expression know. */
export interface Env {
  /** The type of a variable; undefined when nothing in what is imported gives it a value. */
  typeOf(name: string): Type | undefined
  /** Of all variables that the input gives a value. */
  names(): Iterable<string>
  /** Names that a loop of the template or a macro declares. */
  readonly locals: ReadonlyMap<string, Ir>
  /** The text is only shown to people: lists and maps may stand in it as JSON. */
  readonly isMessage?: boolean
  /** Something that holds under a condition which is told to the user. */
  note(about: Note): void
}

/** What the result of the import relies on. */
export type Note =
  | { readonly kind: 'unseen'; readonly name: string }
  | { readonly kind: 'versions' | 'layout' | 'loops' | 'regex' | 'interfaces' | 'release' }
