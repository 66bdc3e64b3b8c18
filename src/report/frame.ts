/** The live part of the terminal as lines: a pure function of the run, the size of the terminal and the time. */
import { duration } from './duration.ts'
import type { Style } from './style.ts'
import { count, cut, fit, some, width } from './text.ts'
import type { HostView, PlayView } from './view.ts'

export interface FrameSize {
  readonly columns: number
  readonly rows: number
}

/** Running tasks shorter than this are not worth a number that jumps; milliseconds. */
const SHORT = 1000

/**
 * At most `rows - 1` lines of at most `columns - 1` cells (of terminals narrower than 40, 40: nobody has one). As many hosts as fit have a line each, with the last line of a
 * running command below; of more, a line tells how many are done, failed, waiting, and one for each task that is
 * running on some, the one that has taken longest first, with the host that holds it up.
 */
export function frame(play: PlayView, style: Style, size: FrameSize, now: number, spinner: string): string[] {
  const hosts = [...play.hosts.values()]
  const room = Math.max(1, size.rows - 2)
  const cells = Math.max(40, size.columns - 1)
  const ended = hosts.filter((h) => h.state !== 'waiting' && h.state !== 'running').length
  const tail = `${ended}/${count(hosts.length, 'host')} · ${duration(now - play.startedAt)}`
  const name = cut(play.name, Math.max(4, cells - width(tail) - 6))
  const head = `${style.chalk.cyan(spinner)} ${style.chalk.bold(name)}  ${style.chalk.dim(tail)}`
  const rows =
    hosts.length <= room
      ? hostRows(hosts, play, style, cells, room, now, spinner)
      : foldedRows(hosts, style, cells, room, now)
  return [head, ...rows].slice(0, room + 1)
}

function hostRows(
  hosts: readonly HostView[],
  play: PlayView,
  style: Style,
  cells: number,
  room: number,
  now: number,
  spinner: string,
): string[] {
  const { chalk, status, symbol } = style
  const nameWidth = Math.min(30, Math.max(...hosts.map((h) => width(h.name))))
  const total = String(play.tasks)
  let spare = room - hosts.length
  return hosts.flatMap((h) => {
    const name = fit(h.name, nameWidth)
    const done = `${String(Math.min(h.done, play.tasks)).padStart(total.length)}/${total}`
    const changed = h.changed > 0 ? `${symbol.changed}${h.changed}` : ''
    const left = `${name}  ${done} ${changed.padEnd(4)}`
    const doing = cut(`${activity(h)}${elapsed(h, now)}`, cells - width(left) - 6)
    const paintedLeft = `${name}  ${chalk.dim(done)} ${status.changed(changed.padEnd(4))}`
    if (h.state === 'done') return [`  ${status.ok(symbol.ok)} ${paintedLeft}`]
    if (h.state === 'waiting') return [chalk.dim(`  ${symbol.waiting} ${left} waiting`)]
    if (h.state !== 'running')
      return [`  ${status[h.state](symbol[h.state])} ${paintedLeft} ${status[h.state](h.state)}`]
    const row = `  ${chalk.cyan(spinner)} ${paintedLeft} ${doing}`
    if (h.output === '' || spare <= 0) return [row]
    spare--
    return [row, chalk.dim(`      ${cut(h.output, cells - 7)}`)]
  })
}

function foldedRows(hosts: readonly HostView[], style: Style, cells: number, room: number, now: number): string[] {
  const { chalk, status, symbol } = style
  const of = (state: HostView['state']): HostView[] => hosts.filter((h) => h.state === state)
  const trouble = (state: 'failed' | 'unreachable'): string[] => {
    const list = of(state)
    if (list.length === 0) return []
    const words = `${list.length} ${state}: ${some(
      list.map((h) => h.name),
      8,
    )}`
    return [`  ${status[state](`${symbol[state]} ${cut(words, cells - 5)}`)}`]
  }
  const done = of('done')
  const changed = done.filter((h) => h.changed > 0).length
  const waiting = of('waiting').length
  const above = [
    ...trouble('failed'),
    ...trouble('unreachable'),
    ...(done.length > 0
      ? [
          `  ${status.ok(`${symbol.ok} ${done.length} done`)}  ${chalk.dim(`${done.length - changed} unchanged`)}  ${status.changed(`${changed} changed`)}`,
        ]
      : []),
    ...(waiting > 0 ? [chalk.dim(`  ${symbol.waiting} ${waiting} waiting`)] : []),
  ]
  const running = of('running')
  if (running.length === 0) return above
  const groups = groupByTask(running)
  const space = Math.max(1, room - above.length - 1)
  const shown = groups.length > space ? groups.slice(0, space - 1) : groups
  const most = String(Math.max(...groups.map((g) => g.hosts.length))).length
  // Room for "longest HOST 59m 59s" on the right.
  const right = Math.min(36, Math.floor(cells / 2))
  const taskWidth = Math.min(cells - right - most - 8, Math.max(...shown.map((g) => width(g.task))))
  const rows = shown.map((g) => {
    const first = g.hosts[0]!
    const took = now - first.since
    const who = g.hosts.length === 1 ? first.name : `longest ${first.name}`
    const last = took < SHORT ? '' : cut(`${who} ${duration(took)}`, right)
    return `      ${String(g.hosts.length).padStart(most)} ${fit(g.task, Math.max(4, taskWidth))}  ${chalk.dim(last)}`
  })
  const rest = groups.slice(shown.length)
  const restHosts = rest.reduce((n, g) => n + g.hosts.length, 0)
  const more =
    rest.length > 0 ? [chalk.dim(`      and ${count(rest.length, 'more task')} on ${count(restHosts, 'host')}`)] : []
  return [...above, `  ${chalk.cyan(symbol.running)} ${running.length} running`, ...rows, ...more]
}

/** Running hosts by what they do; the group and the host that have taken longest first. */
function groupByTask(running: readonly HostView[]): { task: string; hosts: HostView[] }[] {
  const groups = Map.groupBy(running, activity)
  return [...groups]
    .map(([task, hosts]) => ({ task, hosts: hosts.toSorted((a, b) => a.since - b.since) }))
    .sort((a, b) => a.hosts[0]!.since - b.hosts[0]!.since)
}

function activity(h: HostView): string {
  return h.task ?? (h.done === 0 ? 'connecting, reading state' : 'reading state')
}

function elapsed(h: HostView, now: number): string {
  return now - h.since < SHORT ? '' : ` ${duration(now - h.since)}`
}
