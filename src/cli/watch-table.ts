/** What `runbook netboot watch` draws at a terminal. */
import { cut, fit, width } from '../report/text.ts'

export interface Watched {
  readonly name: string
  readonly phase: string
  /** What it did last. */
  readonly last: string
  /** Since then, for people. */
  readonly ago: string
  /** What should come; with what is known of that in parentheses. Empty when nothing is. */
  readonly next: string
  /** When it did that, for who is shown where there are too many. */
  readonly at: number
}

const HEAD = { name: 'MACHINE', phase: 'PHASE', last: 'LAST', ago: 'AGO', next: 'EXPECTED NEXT' }
/** Cells of `last` for which what stands in parentheses gives way. */
const ENOUGH = 40

/** Lines of at most `columns` cells: a head, a machine each, and how many there was no room for. */
export function watchTable(all: readonly Watched[], { columns, rows }: { columns: number; rows: number }): string[] {
  const room = Math.max(1, rows - 2)
  const shown = all.length <= room ? all : mostRecent(all, room - 1)
  const widest = (key: 'name' | 'phase' | 'ago' | 'next', of: readonly Watched[] = shown): number =>
    Math.max(width(HEAD[key]), ...of.map((one) => width(one[key])))
  const [name, phase, ago] = [widest('name', all), 10, Math.max(6, widest('ago'))]
  const left = columns - name - phase - ago - 8
  const isNarrow = left - widest('next') < ENOUGH
  const lines = shown.map((one) => (isNarrow ? { ...one, next: one.next.replace(/ \([^)]*\)$/, '') } : one))
  const next = widest('next', lines)
  const last = Math.max(10, left - next)
  const draw = (one: Omit<Watched, 'at'>): string =>
    cut(
      [fit(one.name, name), fit(one.phase, phase), fit(one.last, last), one.ago.padStart(ago), one.next].join('  '),
      columns,
    ).trimEnd()
  const hidden = all.length - shown.length
  const more = hidden > 0 ? [cut(`… and ${hidden} more that did nothing since; name those you want`, columns)] : []
  return [draw(HEAD), ...lines.map(draw), ...more]
}

/** In their own order. */
function mostRecent(all: readonly Watched[], count: number): readonly Watched[] {
  const chosen = new Set([...all].sort((a, b) => b.at - a.at).slice(0, count))
  return all.filter((one) => chosen.has(one))
}
