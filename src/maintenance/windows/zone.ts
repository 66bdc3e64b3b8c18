/**
 * Time zones by their IANA names. A wall time is milliseconds as if the wall clock stood in UTC: `Date.UTC(2026, 2, 29, 2, 30)`
 * is half past two on that day, wherever. Rules are those of Node's own time zone data (ICU).
 */

const DAY = 86_400_000

export class Zone {
  /** As it was written. */
  readonly name: string
  readonly #parts: Intl.DateTimeFormat

  /** Throws RangeError when there is no such zone. Offsets (`+02:00`) are no zones: they know no summer time. */
  constructor(name: string) {
    if (!/^[A-Za-z]/.test(name)) throw new RangeError(`no time zone: ${name}`)
    this.name = name
    this.#parts = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  }

  /** What the wall clock shows at an instant. */
  wall(at: number): number {
    const field: Record<string, number> = {}
    for (const { type, value } of this.#parts.formatToParts(at)) field[type] = Number(value)
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = field
    return Date.UTC(year, month - 1, day, hour, minute, second) + (((at % 1000) + 1000) % 1000)
  }

  /** Milliseconds that the wall clock is ahead of UTC. */
  offset(at: number): number {
    return this.wall(at) - at
  }

  /** The instants at which the wall clock shows this: none in a gap, two when it is turned back, else one. */
  instants(wall: number): number[] {
    // An offset is at most 14 hours, so these lie on both sides; no zone turns its clock twice in two days.
    const offsets = new Set([this.offset(wall - DAY), this.offset(wall + DAY)])
    return [...offsets]
      .map((offset) => wall - offset)
      .filter((at) => this.wall(at) === wall)
      .sort((a, b) => a - b)
  }

  /** For a wall time that does not exist: the instant at which the clock jumps over it. */
  gapEnd(wall: number): number {
    let low = wall - DAY - this.offset(wall - DAY)
    let high = wall + DAY - this.offset(wall + DAY)
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (this.wall(middle) < wall) low = middle
      else high = middle
    }
    return high
  }

  /** `Tue 2026-11-24 03:00 CET` */
  format(at: number): string {
    const wall = new Date(this.wall(at)).toISOString()
    const day = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][new Date(this.wall(at)).getUTCDay()]
    return `${day} ${wall.slice(0, 10)} ${wall.slice(11, 16)} ${this.abbreviation(at)}`
  }

  /** `CET`, or `GMT+10:30` where no short name is in use. */
  abbreviation(at: number): string {
    for (const locale of ['en-US', 'en-GB', 'en-AU']) {
      const parts = new Intl.DateTimeFormat(locale, { timeZone: this.name, timeZoneName: 'short' }).formatToParts(at)
      const name = parts.find(({ type }) => type === 'timeZoneName')?.value
      if (name !== undefined && !/^(GMT|UTC)[+-]/.test(name)) return name
    }
    const minutes = Math.round(this.offset(at) / 60_000)
    const clock = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60].map((n) => String(n).padStart(2, '0'))
    return `UTC${minutes < 0 ? '-' : '+'}${clock.join(':')}`
  }
}

/** Names of time zones, for hints. */
export const zoneNames = (): string[] => [...Intl.supportedValuesOf('timeZone'), 'UTC']
