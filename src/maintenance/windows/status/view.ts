/** What the status page, /healthz and `runbook schedule` show of a schedule. */
import { formatProblem, type Problem } from '../../../shared/errors.ts'
import type { Schedule } from '../schema.ts'
import type { NodeRecord, OccurrenceRecord, Pause, State } from '../state.ts'
import { type Occurrence, occurrences, type Window } from '../window.ts'
import { lastStartMargin } from '../window-run.ts'

export interface WindowView {
  readonly window: Window
  /** The openings that come, those that a blackout keeps closed too. */
  readonly next: readonly Occurrence[]
  readonly pause: Pause | undefined
  /** Milliseconds. */
  readonly margin: number
}

export interface View {
  readonly now: number
  readonly trouble: string | undefined
  readonly bad: readonly { readonly name: string; readonly text: string }[]
  readonly windows: readonly WindowView[]
  readonly running: { readonly record: OccurrenceRecord; readonly nodes: readonly NodeRecord[] } | undefined
  /** Of openings with many nodes only those that are not done. */
  readonly history: readonly { readonly record: OccurrenceRecord; readonly nodes: readonly NodeRecord[] }[]
  readonly hosts: readonly (NodeRecord & { readonly window: string })[]
  readonly events: ReturnType<State['events']>
}

/** Nodes that are shown one by one in a list; with more, only those that need looking at, and the others are counted. */
export const MOST = 12

const UPCOMING = 3
const HISTORY = 15
const EVENTS = 40

export function viewOf(schedule: Schedule, trouble: string | undefined, state: State, now: number): View {
  const [record] = state.running()
  return {
    now,
    trouble,
    bad: schedule.bad.map(({ name, problems }) => ({ name, text: problems.map(briefly).join('\n\n') })),
    windows: schedule.windows
      .map((window) => ({
        window,
        next: occurrences(window, now).take(UPCOMING).toArray(),
        pause: state.pausedBy(window.name, now),
        margin: lastStartMargin(window, state),
      }))
      .sort((a, b) => (a.next[0]?.opens ?? Infinity) - (b.next[0]?.opens ?? Infinity)),
    running: record && { record, nodes: state.nodes(record.id) },
    history: state
      .history(HISTORY)
      .filter(({ status }) => status !== 'running')
      .map((one) => ({ record: one, nodes: state.someNodes(one.id, MOST) })),
    hosts: state.hosts(),
    events: state.events(EVENTS),
  }
}

/** Without the line of the file: a secret may stand in it. */
function briefly({ message, place, hint }: Problem): string {
  const where = place ? `${place.file.path}:${place.line}:${place.column}: ` : ''
  return where + formatProblem({ message, hint })
}
