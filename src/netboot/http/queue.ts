/** Places for downloads: so many at once, the others wait in their order, and only so many wait. */
export class Places {
  readonly #most: number
  readonly #mostWaiting: number
  #taken = 0
  readonly #waiting = new Set<(got: boolean) => void>()

  constructor(most: number, mostWaiting: number) {
    this.#most = most
    this.#mostWaiting = mostWaiting
  }

  get taken(): number {
    return this.#taken
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** True when a place was got, which must be left; false when too many wait, or `gone` was aborted. */
  async take(gone: AbortSignal): Promise<boolean> {
    if (gone.aborted) return false
    if (this.#taken < this.#most) {
      this.#taken++
      return true
    }
    if (this.#waiting.size >= this.#mostWaiting) return false
    return new Promise((resolve) => {
      const settle = (got: boolean): void => {
        this.#waiting.delete(settle)
        gone.removeEventListener('abort', leave)
        resolve(got)
      }
      const leave = (): void => settle(false)
      gone.addEventListener('abort', leave)
      this.#waiting.add(settle)
    })
  }

  leave(): void {
    const [next] = this.#waiting
    if (next) next(true)
    else this.#taken--
  }
}
