import type { Task } from '../playbook/playbook.ts'
import type { ItemResult, Status, TaskResultEvent } from '../shared/events.ts'
import { codeFrame, formatPlace } from '../shared/source.ts'
import { PendingError } from '../values/index.ts'
import type { Entry } from './entry.ts'
import type { HostRun } from './host-run.ts'
import { failure, type Outcome, registered } from './outcome.ts'
import { isTrouble, taskName } from './prepare.ts'
import type { Progress } from './progress.ts'
import { taskScope } from './vars.ts'

/** Stands in a report for what `no_log` hides. */
const HIDDEN = 'hidden (no_log)'

/**
 * A task has come to its end on a host: keeps its result, counts it, tells of it, notifies, and moves the cursor. False
 * when the cursor did not simply go on to the next task. `owed`: a handler is still to be run, by a later run.
 */
export function concludeTask(
  host: HostRun,
  entry: Entry,
  progress: Progress,
  ended: Outcome,
  options: { silent?: boolean; owed?: boolean } = {},
): boolean {
  const { task } = entry
  const { state } = host
  // A change that was made before a failure is a change: its handlers are owed too.
  const changed =
    ended.status === 'changed' || (ended.status !== 'ok' && (ended.changes.length > 0 || ended.uncertain === true))
  const outcome = changed ? withHandlers(host, entry, ended) : ended
  const status = finalStatus(host, entry, outcome)
  if (entry.noLog && !options.silent) hide(host, outcome)
  keep(host, entry, outcome)
  state.recap[status]++
  if (!options.silent) host.play.run.emit(resultEvent(host, entry, progress, outcome, status))
  if (outcome === ended) host.handlers.notify(task, entry, changed, host.cursor.vars)
  const failed = status === 'failed' || status === 'rescued' || status === 'unreachable'
  if (host.handlers.has(task)) host.handlers.handled(task, failed || options.owed === true)
  if (!failed) {
    host.cursor.advance()
    if (outcome.flow === 'flush_handlers') host.flushHandlers()
    return outcome.flow !== 'flush_handlers'
  }
  state.setVars([
    ['failed_task', { name: entry.name, module: task.moduleName, place: formatPlace(task.place) }],
    ['failed_result', registered(outcome)],
  ])
  const goesOn = host.cursor.fail()
  if (status !== 'rescued') {
    // An `always` part may still run; the host takes no part in anything after it.
    host.ending ??= status
    if (!goesOn) state.ended = host.ending
    host.play.hostFailed(state, task.anyErrorsFatal)
  }
  return false
}

/** A task that notifies a handler which is not there fails, though its change was made. */
function withHandlers(host: HostRun, entry: Entry, outcome: Outcome): Outcome {
  try {
    host.handlers.wanted(entry.task, entry)
    return outcome
  } catch (error) {
    if (!isTrouble(error)) throw error
    return { ...failure(error, outcome.changes), data: outcome.data, elapsedMs: outcome.elapsedMs }
  }
}

function finalStatus(host: HostRun, entry: Entry, outcome: Outcome): Status {
  const { task } = entry
  if (outcome.status === 'failed') {
    if (flag(host, task.ignoreErrors, entry, 'ignore_errors')) return 'ignored'
    return host.cursor.rescuable ? 'rescued' : 'failed'
  }
  if (outcome.status === 'unreachable') {
    if (flag(host, task.ignoreUnreachable, entry, 'ignore_unreachable')) return 'ignored'
    return host.cursor.rescuable ? 'rescued' : 'unreachable'
  }
  return outcome.status
}

/** A keyword that cannot be evaluated must not hide the failure that it is asked about. */
function flag(host: HostRun, value: Task['ignoreErrors'], entry: Entry, keyword: string): boolean {
  try {
    return host.flag(value, entry, keyword)
  } catch (error) {
    if (!isTrouble(error)) throw error
    return false
  }
}

function keep(host: HostRun, entry: Entry, outcome: Outcome): void {
  const { state } = host
  const { task } = entry
  const values: [string, unknown][] = []
  if (task.register !== undefined)
    values.push([task.register, outcome.unknown ? unknownResult(task, outcome) : registered(outcome)])
  if (values.length > 0) state.setVars(values)
  const owner = task.delegateFacts && 'actor' in entry ? entry.actor : state
  if (outcome.sets) owner.setVars(Object.entries(outcome.sets))
  if (outcome.facts) {
    owner.facts = { ...owner.facts, ...outcome.facts }
    // What the host is lasts; its packages, services and users, which other modules gather, are as they were just now.
    // Facts of another host (run_once, delegate_to) are what the playbook wants to see here, and not what this one is.
    const own = 'actor' in entry && entry.actor === owner
    if (task.moduleName === 'facts' && own && owner.factsMaxAgeMs !== undefined)
      host.play.run.factsCache.write(owner.link.target, outcome.facts)
  }
}

/** Members of a result that hold what a command, a file or a web service said. */
const SAID = ['stdout', 'stderr', 'content', 'msg', 'json']

/** What a task with no_log gives is a secret from now on, wherever it turns up: of a loop, what each item gives. */
function hide(host: HostRun, { data, sets, facts }: Outcome): void {
  const { redactor } = host.play.run.input
  const results = Array.isArray(data.results) ? (data.results as Record<string, unknown>[]) : []
  // What is said of an item that was skipped is its condition, which stands in the playbook.
  const said = [data, ...results].filter(({ skipped, msg }) => !(skipped && String(msg).startsWith('when: ')))
  const secrets = said.flatMap((result) => SAID.map((key) => result[key]))
  for (const text of texts([secrets, sets, facts])) if (text.trim().length >= 8) redactor.add(text.trim())
}

function* texts(value: unknown): Iterable<string> {
  if (typeof value === 'string') yield value
  else if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) yield* texts(part)
}

/** In check mode: all that is known of a result is that the task would change something, if that. */
function unknownResult(task: Task, outcome: Outcome): Record<string, unknown> {
  const known = {
    changed: outcome.status === 'changed',
    failed: false,
    skipped: outcome.status === 'skipped',
    unreachable: false,
    msg: outcome.msg,
  }
  const result: Record<string, unknown> = outcome.unsure ? {} : known
  const names = [
    ...Object.keys(known),
    ...Object.keys(task.module.returns),
    'rc',
    'stdout',
    'stdout_lines',
    'stderr',
    'stderr_lines',
    'results',
    ...(task.detach ? ['ansible_job_id', 'started', 'finished'] : []),
  ]
  for (const name of names) {
    const get = () => {
      throw new PendingError(`${task.register}.${name}`)
    }
    if (!(name in result)) Object.defineProperty(result, name, { enumerable: true, configurable: true, get })
  }
  return result
}

function resultEvent(
  host: HostRun,
  entry: Entry,
  progress: Progress,
  outcome: Outcome,
  status: Status,
): TaskResultEvent {
  const { task, noLog } = entry
  const bad = outcome.status === 'failed' || outcome.status === 'unreachable'
  const { play } = host.play
  const base = {
    type: 'task_result',
    host: host.state.name,
    play: play.name,
    playId: play.id,
    task: progress.isLoop
      ? taskName(task, taskScope(host.play, host.state, task, new Map(), host.cursor.vars))
      : entry.name,
    taskId: progress.key,
    module: task.moduleName,
    handler: host.handlers.has(task),
    status,
    place: formatPlace(task.place),
    at: Date.now(),
    elapsedMs: outcome.elapsedMs,
    ...(bad ? { frame: codeFrame(task.place) } : {}),
  } as const
  if (noLog) {
    const changes = outcome.changes.map(() => ({ summary: HIDDEN }))
    const unsure = isUnsure(task, outcome)
    const msg = bad ? `failed; ${HIDDEN}` : unsure ? `check mode cannot tell; ${HIDDEN}` : ''
    return { ...base, changes, msg, unsure: unsure || undefined, rc: outcome.rc }
  }
  return {
    ...base,
    diff: task.diff === undefined ? undefined : flag(host, task.diff, entry, 'diff'),
    changes: outcome.changes,
    msg: outcome.msg,
    unsure: isUnsure(task, outcome) || undefined,
    hint: outcome.hint,
    items: progress.isLoop ? itemResults(progress) : undefined,
    cmd: bad ? outcome.cmd : undefined,
    rc: outcome.rc,
    stdout: bad ? outcome.stdout : undefined,
    stderr: bad ? outcome.stderr : undefined,
    notRun: outcome.notRun,
    result: outcome.unknown ? undefined : registered(outcome),
  }
}

/** What only looks changes nothing, whatever it finds. */
function isUnsure({ module }: Task, { unsure, status }: Outcome): boolean {
  return unsure === true && !(status === 'ok' && module.type === 'module' && module.readOnly)
}

function itemResults(progress: Progress): ItemResult[] {
  // A loop without items has an outcome all the same.
  return progress.outcomes.slice(0, progress.items.length).map((o, i) => ({
    label: progress.items[i]?.label ?? '',
    status: o.status,
    changes: o.changes,
    msg: o.msg,
  }))
}
