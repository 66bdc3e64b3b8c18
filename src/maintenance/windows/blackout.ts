/** Times at which no window may be open: a freeze once, or every year. */
import type { Zone } from './zone.ts'

export interface Blackout {
  readonly from: Moment
  /** The end, not included; a date alone counts to its midnight. */
  readonly to: Moment
  readonly reason: string
}

/** A wall time; without a year it comes every year. */
interface Moment {
  readonly year: number | undefined
  readonly month: number
  readonly day: number
  /** Milliseconds of the day. */
  readonly time: number
}

const DAY = 86_400_000

/** `2026-12-20`, `2026-12-20 18:00`, `12-20`, `12-20 18:00`; throws an Error that says what is wrong. */
export function parseBlackout(from: string, to: string, reason: string): Blackout {
  const first = parseMoment(from, false)
  const last = parseMoment(to, true)
  if ((first.year === undefined) !== (last.year === undefined))
    throw new Error('from and to must both have a year, or none to come every year')
  if (first.year !== undefined && wallOf(first, first.year) >= wallOf(last, last.year!))
    throw new Error('it ends before it begins')
  return { from: first, to: last, reason }
}

function parseMoment(text: string, isEnd: boolean): Moment {
  const [, year, month, day, hour, minute] = /^(?:(\d{4})-)?(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d))?$/.exec(text) ?? []
  const [m, d] = [Number(month), Number(day)]
  const exists = month !== undefined && m >= 1 && m <= 12 && d >= 1 && d <= lastDay(Number(year ?? 2024), m)
  if (!exists || Number(hour ?? 0) > 23 || Number(minute ?? 0) > 59)
    throw new Error(`"${text}" is no date: write 2026-12-20, "2026-12-20 18:00", or 12-20 for every year`)
  const time = hour === undefined ? (isEnd ? DAY : 0) : Number(hour) * 3_600_000 + Number(minute) * 60_000
  return { year: year === undefined ? undefined : Number(year), month: m, day: d, time }
}

const lastDay = (year: number, month: number): number => new Date(Date.UTC(year, month, 0)).getUTCDate()

/** As a wall time (see zone.ts); 02-29 in other years is 03-01. */
function wallOf({ month, day, time }: Moment, year: number): number {
  return Date.UTC(year, month - 1, day) + time
}

export interface Interval {
  readonly from: number
  readonly to: number
  readonly reason: string
}

/** The earliest blackout that has anything in common with `[from, to)`; milliseconds since the epoch. */
export function blackoutIn(list: readonly Blackout[], zone: Zone, from: number, to: number): Interval | undefined {
  const year = new Date(from).getUTCFullYear()
  const found = list.flatMap((one) => {
    const years = one.from.year === undefined ? [year - 1, year, year + 1] : [one.from.year]
    return years.map((first) => {
      const start = wallOf(one.from, first)
      const sameYear = wallOf(one.to, one.to.year ?? first)
      // 12-20 to 01-06 ends in the year after.
      const end = one.to.year === undefined && sameYear <= start ? wallOf(one.to, first + 1) : sameYear
      // Where the clock is turned back, an end comes twice: it is closed until the second.
      return { from: instants(zone, start)[0]!, to: instants(zone, end).at(-1)!, reason: one.reason }
    })
  })
  return found.filter((one) => one.from < to && one.to > from).sort((a, b) => a.from - b.from)[0]
}

const instants = (zone: Zone, wall: number): number[] => {
  const all = zone.instants(wall)
  return all.length > 0 ? all : [zone.gapEnd(wall)]
}
