import { concludeTask } from './conclude.ts'
import type { Entry } from './entry.ts'
import type { HostRun } from './host-run.ts'
import { asTask } from './include.ts'
import { NOTHING, type Outcome } from './outcome.ts'
import { taskName } from './prepare.ts'
import { Progress } from './progress.ts'
import { taskScope } from './vars.ts'

const NO_VARS: ReadonlyMap<string, unknown> = new Map()
const HINT = 'what stands above is what the authors of runbook need to know; other hosts go on'

/**
 * An exception that nobody expected while a host was at a task: that task fails, and the host goes the way of any
 * failure (rescue, always), for what the playbook does then may be what the host needs most. The run ends with a status
 * of its own. Gives the outcome. Throws the error on where there is no task to put it to.
 */
export function concludeBug(host: HostRun, error: unknown): Outcome {
  const { play, state, cursor } = host
  const step = cursor.peek()
  if (!step) throw error
  const task = step.kind === 'include' ? asTask(step) : step
  const scope = taskScope(play, state, task, NO_VARS, cursor.vars)
  const entry: Entry = {
    kind: 'broken',
    task,
    item: undefined,
    vars: cursor.vars,
    scope,
    name: taskName(task, scope),
    noLog: task.noLog !== undefined,
    error: error instanceof Error ? error : new Error(String(error)),
  }
  const outcome = play.run.input.abort.aborted ? INTERRUPTED : outcomeOf(host, error)
  concludeTask(host, entry, Progress.of(task, entry, cursor.key), outcome)
  return outcome
}

/** The same outside of any task: the host takes no further part in the run. */
export function endByBug({ play, state }: HostRun, error: unknown): void {
  state.ended ??= 'failed'
  // What an abort leaves half done throws where it likes.
  if (play.run.input.abort.aborted) return
  play.run.bugs++
  state.recap.failed++
  play.run.emit({ type: 'host_note', host: state.name, level: 'warning', msg: `${wordsOf(error)}\n${stackOf(error)}` })
  play.hostFailed(state, false)
}

const INTERRUPTED: Outcome = { ...NOTHING, status: 'failed', msg: 'interrupted' }

function outcomeOf({ play }: HostRun, error: unknown): Outcome {
  play.run.bugs++
  return {
    ...NOTHING,
    status: 'failed',
    msg: wordsOf(error),
    hint: HINT,
    stderr: stackOf(error),
    // It may have come after the change that it is about.
    uncertain: !play.run.input.check,
  }
}

const wordsOf = (error: unknown): string => `this is a bug in runbook, not a mistake of yours: ${error}`
const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? '') : '')
