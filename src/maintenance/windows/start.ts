/** When a window starts: cron (croner) or OnCalendar, in a time zone, with one rule for both where the clock is changed. */
import { Cron } from 'croner'
import { type CalendarSpec, calendarTimes, parseOnCalendar } from './on-calendar.ts'
import type { Zone } from './zone.ts'

/**
 * What becomes of a start at a time that the clock jumps over: it moves to the end of the gap (half past two becomes three
 * o'clock, as Vixie cron does it), or falls out (as systemd does it).
 */
export type GapRule = 'shift' | 'skip'

export interface Start {
  readonly text: string
  readonly kind: 'cron' | 'calendar'
  /** The time zone that an OnCalendar expression names itself. */
  readonly zone: string | undefined
  /** Wall times (see zone.ts) after one, ascending. */
  readonly times: (after: number) => Iterable<number>
}

/** Reads a start. Throws an Error that says what is wrong. */
export function parseStart(text: string): Start {
  const words = text.trim().split(/\s+/)
  if (words.length === 5 || text.startsWith('@')) return cron(text.trim())
  if (words.length > 5) throw new Error('a cron expression has five fields: minute hour day month weekday')
  const spec: CalendarSpec = parseOnCalendar(text)
  return { text, kind: 'calendar', zone: spec.zone, times: (after) => calendarTimes(spec, after) }
}

function cron(text: string): Start {
  let job: Cron
  try {
    // As if the wall clock stood in UTC, which has no gaps: what a time zone does to it is decided below, for both kinds.
    job = new Cron(text, { timezone: 'UTC', mode: '5-part', paused: true })
  } catch (error) {
    throw new Error((error as Error).message.replace(/^CronPattern: /, '').replace(/\.$/, ''))
  }
  return {
    text,
    kind: 'cron',
    zone: undefined,
    *times(after) {
      for (let at = job.nextRun(new Date(after)); at !== null; at = job.nextRun(at)) yield at.getTime()
    },
  }
}

/** Longer than any jump of a clock: Samoa left out a whole day. */
const LONGEST_JUMP = 26 * 3_600_000

export interface StartTime {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** It stood in a gap and was moved to the end of it. */
  readonly shifted: boolean
}

/** The instants after `after` at which it starts. A wall time that comes twice counts the first time. */
export function* startTimes(start: Start, zone: Zone, gap: GapRule, after: number): Generator<StartTime> {
  let last = after
  for (const wall of start.times(zone.wall(after) - LONGEST_JUMP)) {
    const [first] = zone.instants(wall)
    if (first === undefined && gap === 'skip') continue
    const at = first ?? zone.gapEnd(wall)
    // Two times of one gap move to the same instant.
    if (at <= last) continue
    last = at
    yield { at, shifted: first === undefined }
  }
}
