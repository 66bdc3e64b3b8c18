/** Something that cannot be rewritten without the risk of another meaning. The import marks it and goes on. */
export class Refused extends Error {
  /** What a person should write instead. */
  readonly hint: string

  constructor(why: string, hint: string) {
    super(why)
    this.name = 'Refused'
    this.hint = hint
  }
}
