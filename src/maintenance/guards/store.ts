/**
 * Where locks are kept. Two things: one ledger with all locks of a cluster, changed by compare-and-swap only, so that no two
 * runs ever take the last slot of a budget; and a pulse for each node, which its holder renews. Whoever takes a lock over
 * writes over the pulse first: the old holder's next renewal then meets another version and fails. So the pulse fences, and
 * renewals do not contend for the ledger.
 */
import { z } from 'zod'
import type { Holder } from './types.ts'

/** A lock as it is kept. */
export interface Entry extends Holder {
  /** Of the pulse that belongs to it. */
  readonly id: string
}

/** A lock that somebody broke; kept so that its holder can be told. */
export interface Broken {
  readonly node: string
  readonly id: string
  readonly by: string
  readonly reason: string
  readonly at: number
}

export interface Ledger {
  /** The newest token that was given out. */
  readonly last: number
  readonly entries: readonly Entry[]
  /** The newest last. */
  readonly broken: readonly Broken[]
}

export interface Pulse {
  readonly node: string
  readonly id: string
  /** Another one after each write. */
  readonly version: string
  /** How long it is valid without another one; milliseconds. */
  readonly validMs: number
  /** By the holder's clock, which may be wrong: for people, never for decisions. Milliseconds since the epoch. */
  readonly at: number
}

export interface Snapshot {
  /** Of the ledger; undefined before the first lock ever. */
  readonly version: string | undefined
  readonly ledger: Ledger
  readonly pulses: ReadonlyMap<string, Pulse>
}

/** Everything throws KubernetesError or UserError when the place cannot be reached, and the signal's reason. */
export interface GuardStore extends Disposable {
  /** Where locks are, in words. */
  readonly place: string
  read(signal?: AbortSignal): Promise<Snapshot>
  /** False when the ledger has changed since `version`. */
  swap(version: string | undefined, ledger: Ledger, signal?: AbortSignal): Promise<boolean>
  /** Writes a node's pulse over `before` (undefined: there is none). Undefined when that is not what stands there. */
  beat(
    before: Pulse | undefined,
    pulse: Omit<Pulse, 'version' | 'at'>,
    signal?: AbortSignal,
  ): Promise<Pulse | undefined>
  /** Removes a pulse. False when another one stands there: its holder lives. */
  drop(pulse: Pulse): Promise<boolean>
}

export const EMPTY: Ledger = { last: 0, entries: [], broken: [] }

/** Broken locks that are kept. */
export const KEPT_BROKEN = 20

const text = z.string().max(1000)
const LEDGER = z.object({
  last: z.int().min(0),
  entries: z.array(
    z.object({
      id: text,
      node: text,
      token: z.int().min(0),
      run: text,
      actor: text,
      reason: text.optional(),
      machine: text,
      process: text,
      since: z.number(),
      left: text.optional(),
    }),
  ),
  broken: z
    .array(z.object({ node: text, id: text, by: text, reason: text, at: z.number() }))
    .max(KEPT_BROKEN)
    .default([]),
})

/** Undefined for what no runbook wrote. */
export function parseLedger(json: string): Ledger | undefined {
  try {
    return LEDGER.parse(JSON.parse(json))
  } catch {
    return undefined
  }
}
