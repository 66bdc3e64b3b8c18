import type { ItemResult, Recap, ReportedChange, RunEvent, TaskResultEvent, TaskStarted } from '../shared/events.ts'
import type { Reporter, ReportOptions } from './reporter.ts'

/**
 * NDJSON for programs: a `task_result` for each result as it comes and one `recap` at the end; nothing else goes to stdout.
 * With -v also `task_started`, before something is done on a host. Members are only ever added, never renamed. Diffs come with
 * --diff, registered results with -vv and from one-off runs.
 */
export function jsonReporter({ stdout, stderr, diff, verbosity, answers }: ReportOptions): Reporter {
  // What a request told of many tasks goes out at once, after the next request: a host shall not wait for our reader.
  let lines = ''
  const flush = (): void => {
    if (lines !== '') stdout.write(lines)
    lines = ''
  }
  const write = (object: object): void => {
    if (lines === '') setImmediate(flush)
    lines += `${JSON.stringify(object)}\n`
  }
  const warn = (text: string): void => {
    flush()
    stderr.write(`warning: ${text}\n`)
  }
  return {
    event(event: RunEvent) {
      if (event.type === 'task_result') write(taskResult(event, event.diff ?? diff, answers === true || verbosity >= 2))
      else if (event.type === 'task_started' && verbosity >= 1) write(taskStarted(event))
      else if (event.type === 'recap') write(recap(event))
      else if (event.type === 'host_note' && event.level === 'warning') warn(`${event.host}: ${event.msg}`)
    },
    warn,
    close: async () => flush(),
    suspend: (fn) => fn(),
  }
}

function taskStarted({ type, host, task, module, taskId, looks }: TaskStarted): object {
  return { type, host, task, module, task_id: taskId, looks }
}

function taskResult(e: TaskResultEvent, diff: boolean, result: boolean): object {
  return {
    type: e.type,
    host: e.host,
    play: e.play,
    task: e.task,
    module: e.module,
    status: e.status,
    changes: changes(e.changes, diff),
    msg: e.msg,
    unsure: e.unsure,
    elapsed_ms: Math.round(e.elapsedMs),
    at: new Date(e.at).toISOString(),
    play_id: e.playId,
    task_id: e.taskId,
    place: e.place,
    handler: e.handler,
    hint: e.hint,
    cmd: e.cmd,
    rc: e.rc,
    stdout: e.stdout,
    stderr: e.stderr,
    items: e.items?.map((item: ItemResult) => ({ ...item, changes: changes(item.changes, diff) })),
    not_run: e.notRun,
    result: result ? e.result : undefined,
  }
}

function changes(list: readonly ReportedChange[], diff: boolean): object[] {
  return list.map(({ summary, diff: d }) => (diff && d ? { summary, diff: d } : { summary }))
}

function recap(e: Recap): object {
  const { type, run, hosts, interrupted, owed, bugs } = e
  return { type, run, hosts, elapsed_ms: Math.round(e.elapsedMs), interrupted, owed, bugs }
}
