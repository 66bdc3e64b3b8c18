/**
 * Whether holders live, told without trusting anybody's clock: a pulse counts as dead when *this* process has seen it
 * unchanged for as long as it is valid (client-go leaderelection, `observedTime`). Its own time in it is for people.
 */
import type { Entry, Pulse, Snapshot } from './store.ts'

export type Liveness =
  /** Its pulse changed while we looked. */
  | 'alive'
  /** Not watched for long enough. */
  | 'unknown'
  | 'dead'

interface Seen {
  readonly version: string | undefined
  readonly since: number
  readonly changed: boolean
}

export class Watch {
  readonly #seen = new Map<string, Seen>()
  readonly #pulses = new Map<string, Pulse>()
  readonly #fallbackMs: number
  readonly #now: () => number
  readonly #isKnownDead: (process: string) => boolean

  /** `fallbackMs`: how long a lock without a pulse is waited for. `now`: a clock that only goes forward, in milliseconds. */
  constructor(
    fallbackMs: number,
    isKnownDead: (process: string) => boolean,
    now: () => number = () => performance.now(),
  ) {
    this.#fallbackMs = fallbackMs
    this.#isKnownDead = isKnownDead
    this.#now = now
  }

  look({ pulses, ledger }: Snapshot): void {
    const nodes = new Set([...pulses.keys(), ...ledger.entries.map(({ node }) => node)])
    for (const node of this.#seen.keys()) if (!nodes.has(node)) this.#seen.delete(node)
    this.#pulses.clear()
    for (const node of nodes) {
      const pulse = pulses.get(node)
      if (pulse) this.#pulses.set(node, pulse)
      const before = this.#seen.get(node)
      if (before && before.version === pulse?.version) continue
      this.#seen.set(node, { version: pulse?.version, since: this.#now(), changed: before !== undefined })
    }
  }

  of({ node, process }: Entry): Liveness {
    return this.#isKnownDead(process) ? 'dead' : this.ofPulse(node)
  }

  /** For a pulse that belongs to no lock that is known. */
  ofPulse(node: string): Liveness {
    if (this.diesIn(node) <= 0) return 'dead'
    return this.#seen.get(node)?.changed ? 'alive' : 'unknown'
  }

  /** Milliseconds until the holder counts as dead if it stays silent. */
  diesIn(node: string): number {
    const seen = this.#seen.get(node)
    if (!seen) return Number.POSITIVE_INFINITY
    return seen.since + (this.#pulses.get(node)?.validMs ?? this.#fallbackMs) - this.#now()
  }
}
