/** What the daemon needs of its surroundings: all of it can be faked. */
import type { Clock } from './clock.ts'
import type { ScheduleEvent } from './events.ts'
import type { Resolved } from './load.ts'
import type { Schedule } from './schema.ts'
import type { State } from './state.ts'
import type { Window } from './window.ts'
import type { NodeStarter } from './window-run.ts'

export interface DaemonOptions {
  readonly state: State
  readonly clock: Clock
  /** Reads maintenance.yml. Throws UserError. */
  readonly load: () => Promise<Schedule>
  /** The hosts and the plan of a window that is about to open. Throws UserError. */
  readonly resolve: (window: Window) => Promise<Resolved>
  readonly nodes: (window: Window, occurrence: string) => NodeStarter
  /** Told of everything that happens. */
  readonly onEvent?: ((event: ScheduleEvent) => void) | undefined
  /** Told that the daemon is alive, and the database can be written. */
  readonly onTick?: (() => void) | undefined
  readonly onNotified?: ((channel: string, outcome: string) => void) | undefined
  /** Milliseconds between looks at the clock when nothing is due. */
  readonly tick?: number | undefined
}
