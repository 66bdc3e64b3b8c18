/** Events of work that goes on by itself, for one reader. */
export class Events<T> implements AsyncIterable<T> {
  readonly #waiting: T[] = []
  #wake: () => void = () => {}
  #ended = false
  #error: unknown

  readonly push = (event: T): void => {
    this.#waiting.push(event)
    this.#wake()
  }

  /** With an error, the reader gets it after the events. */
  end(error?: unknown): void {
    this.#ended = true
    this.#error = error
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    for (;;) {
      while (this.#waiting.length > 0) yield this.#waiting.shift()!
      if (this.#ended) break
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    if (this.#error !== undefined) throw this.#error
  }
}
