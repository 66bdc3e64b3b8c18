/** Of what there is so much of, nobody gets more than this part: a host that takes all that it can leaves some to the others. */
const SHARE = 3 / 4

/** The most of `all` that one address may have. */
export const shareOf = (all: number): number => Math.ceil(all * SHARE)

interface Waiting {
  readonly who: string
  readonly settle: (got: boolean) => void
}

/** Places for downloads: so many at once, the others wait in their order, and only so many wait. */
export class Places {
  readonly #most: number
  readonly #mostWaiting: number
  #taken = 0
  readonly #waiting = new Set<Waiting>()
  /** Places that each address has, and how many of its downloads wait. */
  readonly #having = new Map<string, number>()
  readonly #wanting = new Map<string, number>()

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

  /**
   * True when `who` got a place, which must be left; false when too many wait, or `gone` was aborted. One address waits also
   * while it has its share of the places.
   */
  async take(who: string, gone: AbortSignal): Promise<boolean> {
    if (gone.aborted) return false
    if (this.#mayTake(who)) {
      this.#enter(who)
      return true
    }
    const mine = this.#wanting.get(who) ?? 0
    if (this.#waiting.size >= this.#mostWaiting || mine >= shareOf(this.#mostWaiting)) return false
    add(this.#wanting, who, 1)
    return new Promise((resolve) => {
      const settle = (got: boolean): void => {
        this.#waiting.delete(one)
        add(this.#wanting, who, -1)
        gone.removeEventListener('abort', leave)
        if (got) this.#enter(who)
        resolve(got)
      }
      const leave = (): void => settle(false)
      const one: Waiting = { who, settle }
      gone.addEventListener('abort', leave)
      this.#waiting.add(one)
    })
  }

  leave(who: string): void {
    this.#taken--
    add(this.#having, who, -1)
    const next = this.#waiting.values().find((one) => this.#mayTake(one.who))
    next?.settle(true)
  }

  #mayTake(who: string): boolean {
    return this.#taken < this.#most && (this.#having.get(who) ?? 0) < shareOf(this.#most)
  }

  #enter(who: string): void {
    this.#taken++
    add(this.#having, who, 1)
  }
}

function add(counts: Map<string, number>, who: string, by: number): void {
  const count = (counts.get(who) ?? 0) + by
  if (count > 0) counts.set(who, count)
  else counts.delete(who)
}
