import type { RunEvent } from '../shared/events.ts'
import type { Output } from './output.ts'
import type { Style } from './style.ts'

/** Shows a run to somebody. Texts of events are redacted already. */
export interface Reporter {
  event(event: RunEvent): void
  /** Ends live output, for good. */
  close(): Promise<void>
  /** Something about the run that is no event; on stderr or above the live part. */
  warn(text: string): void
  /** Runs `fn` (a question to the user) with the terminal as it was. */
  suspend<T>(fn: () => Promise<T>): Promise<T>
}

/**
 * What is shown beyond what every run shows:
 *
 * 1. `-v`: what tasks with status ok say, every change of a task, and the items of loops
 * 2. `-vv`: registered results and facts too
 * 3. `-vvv`: every event as it comes: connections, starts, the output of commands, notifications; the place of each task
 *
 * Secrets are redacted at every level: events carry none.
 */
export type Verbosity = 0 | 1 | 2 | 3

export interface ReportOptions {
  readonly stdout: Output
  readonly stderr: Output
  readonly style: Style
  readonly verbosity: Verbosity
  /** Show what changes do to files and values. */
  readonly diff: boolean
  /** Show what commands print and modules find out, as for one-off runs. */
  readonly answers?: boolean | undefined
  /** There is a --resume that goes on with the run when it was interrupted. */
  readonly resumable?: boolean | undefined
}
