/** Events from many hosts as one stream: pushed without waiting, read one after the other. */
export class EventQueue<T> implements AsyncIterable<T> {
  #items: T[] = []
  #wake: (() => void) | undefined
  #ended = false
  #error: unknown

  push(item: T): void {
    this.#items.push(item)
    this.#wake?.()
  }

  /** No more comes; an error is thrown to the reader after all that was pushed. */
  end(error?: unknown): void {
    this.#ended = true
    this.#error = error
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const items = this.#items
      this.#items = []
      yield* items
      if (this.#items.length > 0) continue
      if (this.#ended) break
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
    if (this.#error !== undefined) throw this.#error
  }
}
