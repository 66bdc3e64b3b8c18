import type { ActionContext } from '../action.ts'
import type { Heard } from './network.ts'

/** Under which the journal keeps how far a host's cycle is. */
const NAME = 'cycle'

/** A cycle that was begun longer ago is not gone on with: nobody knows any more what has happened to the host since. */
const OLDEST_MS = 24 * 3_600_000

/**
 * How far a host is. `sent` is written before power off or reboot is asked for, so that nobody asks twice without looking.
 */
export const PHASES = ['begun', 'stopped', 'sent', 'off', 'up'] as const
export type Phase = (typeof PHASES)[number]

/** What is remembered of a host from the moment it is about to go down until it works again. */
export interface CycleRecord {
  /** Of whom this is the work: `maintain`, `shutdown`, `reboot`. Another one begins its own. */
  readonly cycle: string
  readonly run: string
  /** Milliseconds since the epoch. */
  readonly begun: number
  /** Of the boot that is to end. */
  readonly bootId: string
  readonly phase: Phase
  /** Milliseconds since the epoch. */
  readonly sent?: number | undefined
  /** What was heard of it before it was sent down. */
  readonly heard?: Heard | undefined
  /** It is a node of a cluster. */
  readonly joined: boolean
  /** It runs containers of Kubernetes. */
  readonly kubernetes: boolean
  /** Services that ran and must run again. */
  readonly ran: readonly string[]
  /** Units that had failed before we came. */
  readonly failedUnits: readonly string[]
  /** Errors that ext4 had counted, by device. */
  readonly ext4Errors: Readonly<Record<string, number>>
  /** It is off, as it should be, and nobody is at work on it. */
  readonly rests?: boolean | undefined
}

export function recordOf(ctx: ActionContext): CycleRecord | undefined {
  return ctx.recall(NAME) as CycleRecord | undefined
}

export function keep(ctx: ActionContext, record: CycleRecord | undefined): void {
  ctx.remember(NAME, record && { ...record })
}

/** The record one phase further; written before it is returned. */
export function advance(ctx: ActionContext, record: CycleRecord, change: Partial<CycleRecord>): CycleRecord {
  const next = { ...record, ...change }
  keep(ctx, next)
  return next
}

/** Whether the host may have been told to go down. */
export function mayBeDown({ phase }: CycleRecord): boolean {
  return PHASES.indexOf(phase) >= PHASES.indexOf('sent')
}

/** What to do with a host that answers from a boot, given what is remembered of it. */
export type Continuation =
  /** Nothing is remembered that counts: begin. */
  | 'begin'
  /** It is to go down yet; what was asked for may be under way. */
  | 'go_on'
  /** It has been down for this cycle and is up again. */
  | 'is_back'

export function continuation(
  record: CycleRecord | undefined,
  cycle: string,
  bootId: string,
  now: number = Date.now(),
): Continuation {
  if (!record) return 'begin'
  if (record.bootId === bootId) return 'go_on'
  const ours = record.cycle === cycle && !record.rests && now - record.begun < OLDEST_MS
  return ours && mayBeDown(record) ? 'is_back' : 'begin'
}
