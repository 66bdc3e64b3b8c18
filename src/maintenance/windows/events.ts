/** What happens with windows: written to the state, to the log, to who is to be notified. */

export const EVENT_KINDS = [
  'opened',
  'node_started',
  'node_done',
  'node_failed',
  'rolled_back',
  'overrun',
  'closed',
  'missed',
  'skipped',
  'paused',
  'resumed',
  'trouble',
  'daemon',
] as const

export type EventKind = (typeof EVENT_KINDS)[number]

export interface ScheduleEvent {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly kind: EventKind
  readonly window?: string | undefined
  readonly occurrence?: string | undefined
  readonly host?: string | undefined
  readonly text: string
}
