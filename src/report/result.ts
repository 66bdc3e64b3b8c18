/** One task's result as text, for the reporters that are read by people. */
import type { ReportedChange, TaskResultEvent } from '../shared/events.ts'
import { diffLines } from './diff.ts'
import { duration } from './duration.ts'
import type { Style } from './style.ts'
import { chomp, count, indent, printable, some } from './text.ts'

/** Lines of stdout or stderr of a failed command that are shown in full; of more, the beginning and the end. */
const MOST_LINES = 200

/** Characters of such a line that are shown in full; JSON in one line, or what is no text, can be megabytes. */
const LONGEST_LINE = 4000

/** True for what a person must look at: failures that stop a host, and those that something took. */
export const isFailure = ({ status }: Pick<TaskResultEvent, 'status'>): boolean =>
  status === 'failed' || status === 'unreachable' || status === 'ignored' || status === 'rescued'

/** True for the failures that end a host's part in a play. */
export const endsHost = ({ status }: Pick<TaskResultEvent, 'status'>): boolean =>
  status === 'failed' || status === 'unreachable'

/** True for what a plan cannot count among the changes, nor among what stays as it is. */
export const leavesOpen = ({ status, unsure }: Pick<TaskResultEvent, 'status' | 'unsure'>): boolean =>
  unsure === true && status !== 'changed'

/** Shorter than this, how long something took says nothing; milliseconds. */
const WORTH_TELLING = 100

/** Items of a loop that are named in a result's line. */
const MOST_ITEMS = 6

/** `2.4s`; empty for what took no time worth telling. */
export const took = (ms: number): string => (ms < WORTH_TELLING ? '' : duration(ms))

/** `handler ` and the task's name; of a loop without what only an item could tell: `Folder {{ item }}` → `Folder`. */
export function nameOf({ handler, task, items }: TaskResultEvent): string {
  const name = items ? task.replaceAll(/\s*\{\{.*?\}\}/g, '').trim() || task : task
  return printable(`${handler ? 'handler ' : ''}${name}`)
}

/** The name, and of a loop the items that came out as the whole did: `Folder: /a, /b`. */
export function title(event: TaskResultEvent): string {
  const { items = [], status } = event
  const meant = items.filter((item) => item.status === status)
  const labels = (meant.length > 0 ? meant : items).map(({ label }) => printable(label.replaceAll(/\s+/g, ' ')))
  return `${nameOf(event)}${labels.length === 0 ? '' : `: ${some(labels, MOST_ITEMS, ', ')}`}`
}

/** A failure in full: where in the YAML, what ran, how it ended, what it printed and what to do. Ends in a newline or two. */
export function failureBlock(event: TaskResultEvent, style: Style): string {
  const { chalk, symbol } = style
  const paint = style.status[event.status]
  const head = [
    paint(`${symbol[event.status]} ${event.status.toUpperCase()}  ${event.host}  ${nameOf(event)}`),
    chalk.dim(`(${[event.module, took(event.elapsedMs)].filter(Boolean).join(', ')})`),
  ].join('  ')
  const lines = [head]
  const add = (label: string, text: string): void => {
    lines.push(`    ${chalk.dim(label.padEnd(7))} ${text.replaceAll('\n', `\n${' '.repeat(12)}`)}`)
  }
  if (event.msg) lines.push(indent(printable(event.msg), '    '))
  // A host that cannot be reached says nothing about the task that happened to be the next.
  if (event.status !== 'unreachable') {
    add('play', event.play)
    add('at', event.place)
    if (event.frame) lines.push(chalk.dim(indent(event.frame, '            ')))
  }
  if (event.cmd !== undefined) add('cmd', printable(event.cmd))
  if (event.rc !== undefined) add('rc', String(event.rc))
  if (event.stdout) add('stdout', shorten(printable(event.stdout)))
  if (event.stderr) add('stderr', chalk.red(shorten(printable(event.stderr))))
  for (const item of event.items ?? []) {
    if (isFailure(item)) add('item', `${printable(item.label)}: ${printable(item.msg)}`)
  }
  if (event.changes.length > 0) add('done', event.changes.map((c) => printable(c.summary)).join('\n'))
  if (event.notRun?.length) add('not run', event.notRun.map((name) => printable(name).replaceAll('\n', ' ')).join('\n'))
  if (event.hint) add('hint', chalk.cyan(printable(event.hint)))
  return `${lines.join('\n')}\n${event.status === 'unreachable' ? '' : '\n'}`
}

function shorten(text: string): string {
  const lines = chomp(text).split('\n')
  if (lines.length <= MOST_LINES) return lines.map(shortLine).join('\n')
  const half = MOST_LINES / 2
  const left = `… ${count(lines.length - MOST_LINES, 'line')} left out; --output json has them all …`
  return [...lines.slice(0, half).map(shortLine), left, ...lines.slice(-half).map(shortLine)].join('\n')
}

function shortLine(line: string): string {
  if (line.length <= LONGEST_LINE) return line
  const half = LONGEST_LINE / 2
  const left = `… ${line.length - LONGEST_LINE} characters left out; --output json has them all …`
  return `${line.slice(0, half)} ${left} ${line.slice(-half)}`
}

/** What changes do, one line each, with their diffs when asked for. Every line ends in a newline. */
export function changeBlock(
  changes: readonly ReportedChange[],
  style: Style,
  { diff, summaries, by }: { diff: boolean; summaries: boolean; by: string },
): string {
  let text = ''
  for (const change of changes) {
    const lines = diff && change.diff ? diffLines(change.diff, style) : []
    if (summaries || lines.length > 0) text += `${by}${style.chalk.yellow(printable(change.summary))}\n`
    for (const line of lines) text += `${by}  ${line}\n`
  }
  return text
}

/** What of a registered result every result has. */
const COMMON = new Set(['changed', 'failed', 'skipped', 'unreachable', 'msg', 'cmd', 'rc', 'diff'])

/** What a command printed, or what a module found out, for one-off runs. Every line ends in a newline. */
export function answerBlock({ result = {}, status }: TaskResultEvent, style: Style, by: string): string {
  if (status === 'skipped') return ''
  const said = (key: string): string => {
    const text = typeof result[key] === 'string' ? shorten(printable(result[key])) : ''
    return text === '' ? '' : `${indent(key === 'stderr' ? style.chalk.red(text) : text, by)}\n`
  }
  if ('stdout' in result) return said('stdout') + said('stderr')
  const rest = Object.entries(result).filter(([key]) => !COMMON.has(key))
  if (rest.length === 0) return ''
  return `${indent(shorten(printable(JSON.stringify(Object.fromEntries(rest), undefined, 2))), by)}\n`
}

/** What `-v` and `-vv` add to a result. Every line ends in a newline. */
export function detailBlock(event: TaskResultEvent, style: Style, verbosity: number, by: string): string {
  let text = ''
  const add = (line: string): void => {
    text += `${indent(line, by)}\n`
  }
  if (verbosity >= 1) {
    if (event.msg) add(printable(event.msg))
    for (const { label, status, msg } of event.items ?? [])
      add(`${style.status[status](status)} ${printable(label)}${msg ? `: ${printable(msg)}` : ''}`)
  }
  if (verbosity >= 2 && event.result) add(style.chalk.dim(printable(JSON.stringify(event.result, undefined, 2))))
  if (verbosity >= 3) add(style.chalk.dim(`at ${event.place}`))
  return text
}
