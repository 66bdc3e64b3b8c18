/** A maintenance window, and the times at which it is open. */
import { createHash } from 'node:crypto'
import type { Place } from '../../shared/source.ts'
import { type Blackout, blackoutIn } from './blackout.ts'
import { type GapRule, type Start, startTimes } from './start.ts'
import type { Zone } from './zone.ts'

/** Times are milliseconds, paths absolute. */
export interface Window {
  readonly name: string
  readonly place: Place
  readonly start: Start
  readonly zone: Zone
  /** Elapsed time, whatever the clock is changed to meanwhile. */
  readonly duration: number
  readonly gap: GapRule
  readonly jitter: number
  readonly blackouts: readonly Blackout[]
  /** How long before the end the last node may start; undefined: as long as earlier nodes took. */
  readonly margin: number | undefined
  /** How long after the end a node that cannot be rolled back may take to be finished. */
  readonly overrun: number
  readonly missed: 'skip' | 'catch_up'
  /** Host pattern. */
  readonly hosts: string
  readonly playbook: string
  /** Run by `runbook node maintain`, with its guards, and not by `runbook apply`. */
  readonly cycle: boolean
  /** Run on a node that is given up at the end; undefined: such nodes are finished. */
  readonly rollback: string | undefined
  readonly vars: Readonly<Record<string, unknown>>
  readonly concurrency: number
  /** After so many failed nodes no more are started. */
  readonly maxFailures: number
  /** Names of channels. */
  readonly notify: readonly string[]
  /** Where things stand, for errors that are found later. */
  readonly places: Readonly<Record<'start' | 'hosts' | 'playbook' | 'rollback', Place>>
}

/** One opening of a window. Milliseconds since the epoch. */
export interface Occurrence {
  readonly window: string
  readonly opens: number
  /** `opens` and the jitter of this time: the first node does not start before. */
  readonly starts: number
  /** The hard end: `opens` and the duration, or the beginning of a blackout. */
  readonly ends: number
  /** The clock jumped over its time, and it was moved to the end of the gap. */
  readonly shifted: boolean
  /** It stays closed, for this reason. */
  readonly blackout: string | undefined
}

/** Its openings after an instant, those too that a blackout keeps closed. */
export function* occurrences(window: Window, after: number): Generator<Occurrence> {
  for (const { at, shifted } of startTimes(window.start, window.zone, window.gap, after)) {
    yield occurrenceAt(window, at, shifted)
  }
}

/** The opening at an instant: one of its own, or one that a person triggers. */
export function occurrenceAt(window: Window, opens: number, shifted = false): Occurrence {
  const ends = opens + window.duration
  const blackout = blackoutIn(window.blackouts, window.zone, opens, ends)
  const closed = blackout !== undefined && blackout.from <= opens
  return {
    window: window.name,
    opens,
    starts: opens + jitterOf(window, opens),
    ends: blackout === undefined || closed ? ends : blackout.from,
    shifted,
    blackout: closed ? blackout.reason : undefined,
  }
}

/** The same for the same opening, so that what was announced is what happens, after a restart too. */
function jitterOf({ name, jitter }: Window, opens: number): number {
  if (jitter === 0) return 0
  const hash = createHash('sha256').update(`${name} ${opens}`).digest().readUInt32BE(0)
  return Math.floor((hash / 2 ** 32) * jitter)
}

/** How far ahead overlaps are looked for, milliseconds and openings: every yearly rule has come round once by then. */
const HORIZON = 400 * 86_400_000
const MOST = 10_000

export interface Overlap {
  readonly first: Occurrence
  readonly second: Occurrence
}

/** Two openings of one window or of several that have time in common, for each window that comes into the way of another. */
export function* overlaps(windows: readonly Window[], now: number): Generator<Overlap> {
  const all = windows.flatMap((window) => {
    const list: Occurrence[] = []
    for (const one of occurrences(window, now)) {
      if (one.opens > now + HORIZON || list.length >= MOST) break
      if (one.blackout === undefined) list.push(one)
    }
    return list
  })
  all.sort((a, b) => a.opens - b.opens)
  let open: Occurrence | undefined
  for (const one of all) {
    if (open !== undefined && one.opens < open.ends) yield { first: open, second: one }
    if (open === undefined || one.ends > open.ends) open = one
  }
}

/** Years in which a window must open once, or it never does. */
const PATIENCE = 12 * 366 * 86_400_000

/** Why a window never opens; undefined when it does. */
export function neverOpens(window: Window, now: number): string | undefined {
  let closed: string | undefined
  for (const one of occurrences(window, now)) {
    if (one.blackout === undefined) return undefined
    closed = one.blackout
    if (one.opens > now + PATIENCE) break
  }
  return closed === undefined ? 'there is no such time any more' : `it is always in a blackout (${closed})`
}
