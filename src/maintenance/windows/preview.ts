/** What an opening would do: which hosts, why, in which order, and how many the time is enough for. */
import type { Inventory } from '../../inventory/index.ts'
import { splitPattern } from '../../inventory/patterns.ts'
import type { State } from './state.ts'
import { type Occurrence, occurrences, type Window } from './window.ts'
import { lastStartMargin } from './window-run.ts'

export interface PreviewHost {
  readonly host: string
  /** The parts of the pattern that mean it. */
  readonly because: readonly string[]
  /** Milliseconds since the epoch. */
  readonly lastDone: number | undefined
  /** When its turn would begin; undefined: the time is not enough, it is left for the next opening. */
  readonly starts: number | undefined
}

export interface Preview {
  readonly occurrence: Occurrence | undefined
  readonly hosts: readonly PreviewHost[]
  /** Hosts of the inventory that are not touched. */
  readonly others: number
  /** Milliseconds. */
  readonly margin: number
  /** What a node is reckoned to take: the median of those that were measured. */
  readonly typical: number
  readonly measured: number
}

/** `hosts` in the order of their turns (see resolveWindow). */
export function previewOf(
  window: Window,
  hosts: readonly string[],
  inventory: Inventory,
  state: State,
  now: number,
): Preview {
  const lengths = state.lengths(window.playbook).toSorted((a, b) => a - b)
  const margin = lastStartMargin(window, state)
  const typical = lengths[Math.floor(lengths.length / 2)] ?? margin
  const occurrence = occurrences(window, now).find(({ blackout }) => blackout === undefined)
  const last = state.lastDone(window.name)
  const parts = splitPattern(window.hosts)
    .filter((part) => !/^[!&]/.test(part))
    .map((part) => ({ part, names: new Set(inventory.match(part).map(({ name }) => name)) }))
  const lanes = Array.from({ length: window.concurrency }, () => occurrence?.starts ?? 0)
  return {
    occurrence,
    hosts: hosts.map((host) => {
      const lane = lanes.indexOf(Math.min(...lanes))
      const starts = lanes[lane]!
      const fits = occurrence !== undefined && starts + margin <= occurrence.ends
      lanes[lane] = starts + typical
      const because = parts.filter(({ names }) => names.has(host)).map(({ part }) => part)
      return { host, because, lastDone: last.get(host), starts: fits ? starts : undefined }
    }),
    others: inventory.hosts.size - hosts.filter((host) => inventory.hosts.has(host)).length,
    margin,
    typical,
    measured: lengths.length,
  }
}
