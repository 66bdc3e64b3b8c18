import { comparePositions } from './cursor.ts'
import type { HostState } from './host.ts'
import type { Outcome } from './outcome.ts'

interface Arrival {
  readonly host: HostState
  readonly place: Place
  readonly resolve: (met: Met) => void
}

/** Where a host waits. */
export interface Place {
  /** See `Cursor.position`: hosts that wait further on than others go on later. */
  readonly position: readonly number[]
  /** The running of a task: two tasks can have the same position where an include brought them. */
  readonly key: string
}

/** The variables of the batch as all tasks before a meeting left them; what hosts set afterwards is not in it. */
export type Snapshot = ReadonlyMap<HostState, Pick<HostState, 'vars' | 'facts'>>

/** What a host learns when it has met the others at a task. */
export interface Met {
  /** All that are there, in the order of the batch; the first is the one to run a `run_once` task. */
  readonly hosts: readonly HostState[]
  /** For run_once: the one that runs it tells the others how it ended; undefined when it did not come to an end. */
  readonly outcome: PromiseWithResolvers<Outcome | undefined>
  /**
   * Whether the play went on when the first of them went on from here: all that have met at a task of a linear play run
   * it, though one of them may fail in it before another has begun.
   */
  goesOn: boolean | undefined
}

/**
 * Where the hosts of a batch wait for each other: at a run_once task, at every task of a linear play, and before one reads
 * a variable of another. Hosts that have failed or have come to the end of the section are not waited for. When all
 * wait, but at different tasks (a `when` or a rescue led them apart), those at the earliest task go on.
 */
export class Meeting {
  readonly #batch: readonly HostState[]
  readonly #working = new Set<HostState>()
  readonly #waiting = new Map<HostState, Arrival>()
  readonly #met = new Map<HostState, Snapshot>()

  constructor(batch: readonly HostState[]) {
    this.#batch = batch
  }

  /** The hosts that work on the section that now begins. */
  begin(hosts: Iterable<HostState>): void {
    for (const host of hosts) this.#working.add(host)
  }

  /** A host has come to the end of its section, in whatever way. */
  leave(host: HostState): void {
    this.#working.delete(host)
    this.#met.delete(host)
    this.#settle()
  }

  isWorking(host: HostState): boolean {
    return this.#working.has(host)
  }

  /** Waits until all that still work have arrived. */
  arrive(host: HostState, place: Place): Promise<Met> {
    return new Promise((resolve) => {
      this.#waiting.set(host, { host, place, resolve })
      this.#settle()
    })
  }

  /** What a host that has met the others may read of them. */
  snapshot(host: HostState): Snapshot | undefined {
    return this.#met.get(host)
  }

  /** The host goes on from where it met the others. */
  depart(host: HostState): void {
    this.#met.delete(host)
  }

  #settle(): void {
    if (this.#waiting.size === 0 || this.#waiting.size < this.#working.size) return
    let first: Place | undefined
    for (const { place } of this.#waiting.values())
      if (!first || comparePositions(place.position, first.position) < 0) first = place
    const present = this.#batch.filter((h) => isSame(first!, this.#waiting.get(h)?.place))
    const snapshot = new Map(this.#batch.map((h) => [h, { vars: h.vars, facts: h.facts }]))
    for (const host of present) this.#met.set(host, snapshot)
    const met: Met = { hosts: present, outcome: Promise.withResolvers(), goesOn: undefined }
    for (const host of present) {
      const arrival = this.#waiting.get(host)!
      this.#waiting.delete(host)
      arrival.resolve(met)
    }
  }
}

/** A task can stand in two places: a handler in a flush of a rescue part, and in the one at the end of the section. */
function isSame(a: Place, b: Place | undefined): boolean {
  return b !== undefined && a.key === b.key && comparePositions(a.position, b.position) === 0
}
