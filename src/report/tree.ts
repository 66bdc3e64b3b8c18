import type { PlayEnded, RunEvent, TaskResultEvent } from '../shared/events.ts'
import { duration } from './duration.ts'
import { frame } from './frame.ts'
import { type Live, startLive } from './live.ts'
import { recapBlock } from './recap.ts'
import type { Reporter, ReportOptions } from './reporter.ts'
import {
  answerBlock,
  changeBlock,
  detailBlock,
  endsHost,
  failureBlock,
  isFailure,
  leavesOpen,
  title,
  took,
} from './result.ts'
import { count, some } from './text.ts'
import { RunView } from './view.ts'

/** Up to this many hosts each change has a line when it comes; of more, changes are told once a task when the play ends. */
const FEW_HOSTS = 10

/** A change that came out the same on some hosts. */
interface Same {
  readonly event: TaskResultEvent
  readonly hosts: string[]
}

/**
 * For a terminal: failures in full and changes as they come, scrolling by above a live part that shows where each host
 * stands (see frame.ts); at the end of a play what it changed, at the end of the run the recap.
 */
export function treeReporter(options: ReportOptions & { terminal: NodeJS.WriteStream }): Reporter {
  const { style, verbosity, diff, answers, resumable, terminal, stdout } = options
  const { chalk } = style
  const view = new RunView()
  let live: Live | undefined
  let check = false
  let same = new Map<string, Same>()
  const failures: TaskResultEvent[] = []
  let unsure = 0

  // listr2 looks at the size once; a terminal that has grown since gets no wider lines.
  const size = { columns: terminal.columns, rows: terminal.rows }
  const draw = (spinner: string): readonly string[] => {
    const columns = Math.min(size.columns, terminal.columns)
    const rows = Math.min(size.rows, terminal.rows)
    // The empty line keeps it apart from what scrolls by above.
    return view.play ? ['', ...frame(view.play, style, { columns, rows: rows - 1 }, Date.now(), spinner)] : []
  }

  const print = (text: string): void => {
    if (text === '') return
    if (live) live.above(text)
    else stdout.write(text)
  }

  function result(event: TaskResultEvent): void {
    if (isFailure(event)) {
      print(failureBlock(event, style))
      if (endsHost(event)) failures.push(event)
      return
    }
    const hosts = view.play?.hosts.size ?? 1
    if (leavesOpen(event)) unsure++
    if (verbosity === 0 && event.status !== 'changed' && !event.unsure && !answers) {
      if (event.module === 'debug' && event.msg && event.status === 'ok')
        print(line(event) + detailBlock(event, style, 1, '    '))
      return
    }
    if (verbosity === 0 && hosts > FEW_HOSTS && !answers) {
      const key = JSON.stringify([
        event.taskId,
        (event.diff ?? diff) ? event.changes : event.changes.map((c) => c.summary),
        event.unsure && [event.status, event.msg],
      ])
      const group = same.get(key)
      if (group) group.hosts.push(event.host)
      else same.set(key, { event, hosts: [event.host] })
      return
    }
    const summaries = verbosity >= 1 || check
    print(
      line(event) +
        changeBlock(event.changes, style, { diff: event.diff ?? diff, summaries, by: '    ' }) +
        detailBlock(event, style, event.unsure ? Math.max(1, verbosity) : verbosity, '    ') +
        (answers && verbosity < 2 ? answerBlock(event, style, '    ') : ''),
    )
  }

  function line(event: TaskResultEvent): string {
    const { status, host, elapsedMs } = event
    const paint = style.status[status]
    const time = took(elapsedMs)
    return `${paint(style.symbol[status])} ${chalk.bold(host)}  ${title(event)}${time && chalk.dim(`  ${time}`)}\n`
  }

  /** What the play changed, once for all hosts where it came out the same. */
  function playEnded({ elapsedMs }: PlayEnded): void {
    const { name, hosts } = view.play ?? { name: '', hosts: new Map<string, { state: string }>() }
    for (const { event, hosts: on } of same.values()) {
      const who =
        on.length === hosts.size ? `all ${count(on.length, 'host')}` : `${count(on.length, 'host')}: ${some(on, 4)}`
      const { status } = event
      const head = `${style.status[status](style.symbol[status])} ${title(event)}  ${chalk.dim(who)}\n`
      const changes = changeBlock(event.changes, style, { diff: event.diff ?? diff, summaries: check, by: '    ' })
      print(head + changes + detailBlock(event, style, event.unsure ? 1 : 0, '    '))
    }
    same = new Map()
    const bad = [...hosts.values()].filter((h) => h.state === 'failed' || h.state === 'unreachable').length
    const mark = bad > 0 ? style.status.failed(style.symbol.failed) : style.status.ok(style.symbol.ok)
    print(
      `${mark} ${chalk.bold(name)}  ${chalk.dim(`${hosts.size - bad}/${count(hosts.size, 'host')} · ${duration(elapsedMs)}`)}\n`,
    )
  }

  function event(event: RunEvent): void {
    if (event.type === 'play_ended') playEnded(event)
    view.apply(event, Date.now())
    switch (event.type) {
      case 'run_started':
        check = event.check
        break
      case 'play_started':
        live ??= startLive(terminal, draw)
        break
      case 'task_result':
        result(event)
        break
      case 'host_note':
        if (event.level === 'warning' || verbosity >= 1)
          print(`${chalk.yellow(style.symbol.ignored)} ${chalk.bold(event.host)}  ${event.msg}\n`)
        break
      case 'task_retry':
        if (verbosity >= 1)
          print(chalk.dim(`  ${event.host}  ${event.task}: try ${event.attempt} of ${event.attempts}: ${event.msg}\n`))
        break
      case 'recap':
        print(`\n${recapBlock(event, style, { fold: true, check, resumable, failures, unsure })}`)
        break
      default:
        break
    }
  }

  async function stop(): Promise<void> {
    const current = live
    live = undefined
    await current?.stop()
  }

  return {
    event,
    warn: (text) => print(`${chalk.yellow('warning')}: ${text}\n`),
    close: stop,
    async suspend(fn) {
      const wasLive = live !== undefined
      await stop()
      try {
        return await fn()
      } finally {
        if (wasLive && view.play) live = startLive(terminal, draw)
      }
    },
  }
}
