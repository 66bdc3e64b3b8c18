import type { HostRecap, Recap, TaskResultEvent } from '../shared/events.ts'
import { duration } from './duration.ts'
import { nameOf } from './result.ts'
import type { Style } from './style.ts'
import { count, printable, some, width } from './text.ts'

const COLUMNS = ['ok', 'changed', 'skipped', 'failed', 'ignored', 'rescued', 'unreachable'] as const
type Column = (typeof COLUMNS)[number]

/** More hosts than this are folded: those with trouble get a row, the others one line for all that came out the same. */
const MOST_ROWS = 40

export interface RecapOptions {
  /** Put the unremarkable of many hosts together. */
  readonly fold: boolean
  readonly check: boolean
  /** See ReportOptions. */
  readonly resumable?: boolean | undefined
  /** Why hosts failed or were unreachable. */
  readonly failures?: readonly TaskResultEvent[]
  /** Check mode: how many results say neither that something would change nor that nothing would. */
  readonly unsure?: number
}

/**
 * The end of a run: a row a host, those that need somebody last, just above the prompt; then why
 * they failed, hosts with one reason together, and a line that says it all.
 */
export function recapBlock(
  recap: Recap,
  style: Style,
  { fold, check, resumable = false, failures = [], unsure = 0 }: RecapOptions,
): string {
  const { chalk } = style
  const all = Object.entries(recap.hosts)
  const folded = fold && all.length > MOST_ROWS
  const shown = folded ? all.filter(([, r]) => !isGood(r)) : all
  const rows = shown.toSorted(([, a], [, b]) => Number(!isGood(a)) - Number(!isGood(b)))
  const columns = COLUMNS.filter(
    (c) => c === 'ok' || c === 'changed' || c === 'failed' || all.some(([, r]) => r[c] > 0),
  )
  const names = [...rows.map(([host]) => host), ...(folded ? ['all other hosts'] : [])]
  const nameWidth = Math.max(4, ...names.map(width))
  const widths = columns.map((c) => Math.max(c.length, ...all.map(([, r]) => String(r[c]).length)))

  const lines = [chalk.bold(check ? 'RECAP (check mode: nothing was changed)' : 'RECAP')]
  lines.push(
    chalk.dim(
      `  ${'host'.padEnd(nameWidth)}  ${columns.map((c, i) => c.padStart(widths[i]!)).join('  ')}  round trips`,
    ),
  )
  if (folded)
    lines.push(
      ...foldedRows(
        all.filter(([, r]) => isGood(r)).map(([, r]) => r),
        style,
      ),
    )
  for (const [host, r] of rows) {
    const cells = columns.map((c, i) => paint(c, r[c], widths[i]!, style)).join('  ')
    const name = host + ' '.repeat(nameWidth - width(host))
    lines.push(
      `  ${isGood(r) ? name : chalk.red.bold(name)}  ${cells}  ${chalk.dim(String(r.round_trips).padStart(11))}`,
    )
  }
  lines.push(...owedLines(recap, style), ...reasons(failures, style))
  lines.push(...verdict(recap, style, { check, resumable, unsure }))
  return `${lines.join('\n')}\n`
}

const isGood = (r: HostRecap): boolean => r.failed === 0 && r.unreachable === 0

function paint(column: Column, n: number, cells: number, { chalk, status }: Style): string {
  const text = String(n).padStart(cells)
  return n === 0 ? chalk.dim(text) : status[column](text)
}

function foldedRows(good: readonly HostRecap[], { chalk, status }: Style): string[] {
  const changed = good.filter((r) => r.changed > 0)
  const trips = (list: readonly HostRecap[]): string => {
    const sorted = list.map((r) => r.round_trips).sort((a, b) => a - b)
    return chalk.dim(`round trips ${sorted[0]}–${sorted.at(-1)}, median ${sorted[Math.floor(sorted.length / 2)]}`)
  }
  const row = (list: readonly HostRecap[], text: string): string[] =>
    list.length === 0 ? [] : [`  ${text}  ${trips(list)}`]
  return [
    ...row(
      good.filter((r) => r.changed === 0),
      status.ok(`${count(good.length - changed.length, 'host')} unchanged`),
    ),
    ...row(changed, status.changed(`${count(changed.length, 'host')} changed`)),
  ]
}

/** Handlers that wait for the next run, hosts that are owed the same ones together. */
function owedLines({ owed }: Recap, { chalk }: Style): string[] {
  const waiting = Object.entries(owed).filter(([, handlers]) => handlers.length > 0)
  return [...Map.groupBy(waiting, ([, handlers]) => some(handlers, 5))].map(([handlers, list]) => {
    const hosts = list.map(([host]) => host)
    return chalk.yellow(
      `  notified, left to the next run: ${printable(handlers)}  (${count(hosts.length, 'host')}: ${some(hosts, 10)})`,
    )
  })
}

/** `✖ 14 hosts  Install containerd (site.yml:42:7): the command failed with status 100`, most hosts first. */
function reasons(failures: readonly TaskResultEvent[], { status, symbol }: Style): string[] {
  const reasonOf = (e: TaskResultEvent): string => {
    const own = new RegExp(`(?<![\\w.-])${RegExp.escape(e.host)}(?![\\w-])`, 'g')
    const why = printable(e.msg).split('\n')[0]!.replaceAll(own, 'HOST')
    return e.status === 'unreachable' ? why : `${nameOf(e)} (${e.place}): ${why}`
  }
  const groups = [...Map.groupBy(failures, reasonOf)].toSorted(([, a], [, b]) => b.length - a.length)
  return groups.map(([reason, events]) => {
    const { status: s } = events[0]!
    return `  ${status[s](`${symbol[s]} ${count(events.length, 'host')}`)}  ${reason}`
  })
}

/** `2 of 300 hosts failed: k8s-012 k8s-207 · 1m 12s` */
function verdict(
  recap: Recap,
  style: Style,
  { check, resumable, unsure }: Required<Pick<RecapOptions, 'check' | 'resumable' | 'unsure'>>,
): string[] {
  const { chalk, status } = style
  const all = Object.entries(recap.hosts)
  const which = (c: Column): string[] => all.filter(([, r]) => r[c] > 0).map(([host]) => host)
  const [failed, unreachable, changed] = [which('failed'), which('unreachable'), which('changed')]
  const parts: string[] = []
  if (recap.bugs) parts.push(chalk.red.bold('a bug in runbook: what stands above is what its authors need to know'))
  const then = resumable ? '; the same command with --resume goes on from here' : ''
  if (recap.interrupted) parts.push(chalk.yellow.bold(`interrupted${then}`))
  if (failed.length > 0)
    parts.push(status.failed(`${failed.length} of ${count(all.length, 'host')} failed: ${some(failed, 10)}`))
  if (unreachable.length > 0)
    parts.push(
      status.unreachable(`${unreachable.length} of ${count(all.length, 'host')} unreachable: ${some(unreachable, 10)}`),
    )
  if (parts.length === 0) {
    const what = check ? 'would change' : 'changed'
    parts.push(
      changed.length > 0
        ? status.changed(`${changed.length} of ${count(all.length, 'host')} ${what}`)
        : status.ok(`nothing to change on ${count(all.length, 'host')}${unsure > 0 ? ', as far as can be told' : ''}`),
    )
  }
  if (unsure > 0)
    parts.splice(-1, 0, chalk.yellow(`check mode cannot tell what becomes of ${count(unsure, 'task')}: see above`))
  return parts.map((part, i) =>
    i === parts.length - 1 ? `${part} ${chalk.dim(`· ${duration(recap.elapsedMs)}`)}` : part,
  )
}
