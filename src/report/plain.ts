import type { RunEvent, TaskResultEvent } from '../shared/events.ts'
import { duration } from './duration.ts'
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
import { count, fit, indent, printable } from './text.ts'

/**
 * One line a result (status, host, task, duration), failures in full, a recap at the end: for logs and pipes, and for
 * terminals with NO_COLOR. Every line stands for itself, as hosts are told of in turns.
 */
export function plainReporter(options: ReportOptions): Reporter {
  const { stdout, style, verbosity, diff, answers, resumable } = options
  const { chalk } = style
  let check = false
  let hostWidth = 0
  const failures: TaskResultEvent[] = []
  let unsure = 0

  function result(event: TaskResultEvent): string {
    if (endsHost(event)) failures.push(event)
    if (leavesOpen(event)) unsure++
    if (isFailure(event)) return failureBlock(event, style)
    const status = style.status[event.status](event.status.padEnd(11))
    const time = took(event.elapsedMs)
    const line = `${status} ${fit(event.host, hostWidth)}  ${title(event)}${time && chalk.dim(` (${time})`)}`
    const summaries = verbosity >= 1 || check
    return [
      `${line}${event.module === 'debug' && event.msg && !event.unsure && verbosity < 1 ? `: ${printable(event.msg)}` : ''}\n`,
      changeBlock(event.changes, style, { diff: event.diff ?? diff, summaries, by: '            ' }),
      detailBlock(event, style, event.unsure ? Math.max(1, verbosity) : verbosity, '            '),
      answers && verbosity < 2 ? answerBlock(event, style, '            ') : '',
    ].join('')
  }

  function text(event: RunEvent): string {
    const about = 'host' in event ? `${fit(event.host, hostWidth)}  ` : ''
    const traced = (words: string): string => (verbosity >= 3 ? chalk.dim(`            ${about}${words}\n`) : '')
    switch (event.type) {
      case 'run_started':
        check = event.check
        return ''
      case 'play_started':
        hostWidth = Math.min(40, Math.max(hostWidth, ...event.hosts.map((h) => h.length)))
        return `${chalk.bold(`PLAY ${event.play}`)} ${chalk.dim(`(${count(event.hosts.length, 'host')}, ${count(event.tasks, 'task')})`)}\n`
      case 'task_result':
        return result(event)
      case 'task_retry':
        return `${chalk.yellow('retry'.padEnd(11))} ${about}${event.task} ${chalk.dim(`(try ${event.attempt} of ${event.attempts})`)} ${printable(event.msg)}\n`
      case 'host_note':
        return `${(event.level === 'warning' ? chalk.yellow : chalk.dim)('note'.padEnd(11))} ${about}${printable(event.msg)}\n`
      case 'play_ended':
        return verbosity >= 1 ? chalk.dim(`play ended after ${duration(event.elapsedMs)}\n`) : ''
      case 'recap':
        return `\n${recapBlock(event, style, { fold: false, check, resumable, failures, unsure })}`
      case 'host_started':
        return traced('begins')
      case 'task_started':
        return traced(`${event.task} is started`)
      case 'task_output':
        return verbosity >= 3
          ? `${indent(printable(event.text), chalk.dim(`            ${about}${event.stream} | `))}\n`
          : ''
      case 'notified':
        return traced(`${event.by} notifies ${event.handler}`)
    }
  }

  return {
    event: (event) => stdout.write(text(event)),
    warn: (words) => options.stderr.write(`${chalk.yellow('warning')}: ${words}\n`),
    close: async () => {},
    suspend: (fn) => fn(),
  }
}
