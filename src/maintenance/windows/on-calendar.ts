/**
 * systemd's calendar events (systemd.time(7)): `Tue *-*-* 03:00`, `Sat *-*-8..14 02:30:00`, `*-*~1 22:00 Europe/Berlin`,
 * `weekly`. Fractions of seconds and `@` times are refused: a window needs neither.
 */

/** Values that a component allows; `undefined` for any. */
type Values = ReadonlySet<number> | undefined

export interface CalendarSpec {
  /** 0 is Sunday. */
  readonly weekdays: Values
  readonly years: Values
  readonly months: Values
  /** Days counted from the end when `fromEnd`: 1 is the last. */
  readonly days: Values
  readonly fromEnd: boolean
  /** Seconds of the day, ascending. */
  readonly times: readonly number[]
  /** The time zone that stands at the end. */
  readonly zone: string | undefined
}

const SHORTHANDS: Readonly<Record<string, string>> = {
  minutely: '*-*-* *:*:00',
  hourly: '*-*-* *:00:00',
  daily: '*-*-* 00:00:00',
  monthly: '*-*-01 00:00:00',
  weekly: 'Mon *-*-* 00:00:00',
  yearly: '*-01-01 00:00:00',
  annually: '*-01-01 00:00:00',
  quarterly: '*-01,04,07,10-01 00:00:00',
  semiannually: '*-01,07-01 00:00:00',
}

const DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']
const WEEKDAYS = /^[a-z]+(?:(?:\.\.|-|,)[a-z]+)*,?$/i
/** The last year that systemd looks at. */
const LAST_YEAR = 2199

/** Throws an Error that says what is wrong. */
export function parseOnCalendar(text: string): CalendarSpec {
  const words = text.trim().split(/\s+/)
  const short = SHORTHANDS[words[0]!.toLowerCase()]
  if (short !== undefined) words.splice(0, 1, ...short.split(' '))
  // Hard to tell from a weekday by its form alone, but a zone is last and a weekday first.
  const weekdays = words.length > 0 && isWeekdays(words[0]!) ? parseWeekdays(words.shift()!) : undefined
  let date = '*-*-*'
  let time = '00:00:00'
  if (words[0] !== undefined && /^[\d*][\d*,./]*[-~]/.test(words[0])) date = words.shift()!
  if (words[0]?.includes(':')) time = words.shift()!
  if (words.length > 1 && /^[A-Za-z]+$/.test(words[0]!)) throw new Error(`there is no weekday "${words[0]}"`)
  const zone = words[0] !== undefined && /^[A-Za-z][\w+/-]*$/.test(words[0]) ? words.shift() : undefined
  if (words.length > 0) throw new Error(`"${words[0]}" is not understood`)
  return { weekdays, ...parseDate(date), times: parseTime(time), zone }
}

function isWeekdays(word: string): boolean {
  return WEEKDAYS.test(word) && dayNumber(/^[a-z]+/i.exec(word)![0]) !== -1
}

/** Three letters or all of them, as systemd takes them. */
function dayNumber(name: string): number {
  const lower = name.toLowerCase()
  return DAYS.findIndex((day) => day === lower || day.slice(0, 3) === lower)
}

function parseWeekdays(text: string): Set<number> {
  const found = new Set<number>()
  const order = (name: string): number => {
    const day = dayNumber(name)
    if (day === -1) throw new Error(`there is no weekday "${name}"`)
    return (day + 6) % 7 // a week begins on Monday
  }
  for (const part of text.split(',').filter(Boolean)) {
    const [first = '', last = first] = part.split(/\.\.|-/)
    const [from, to] = [order(first), order(last)]
    if (from > to) throw new Error(`"${part}" runs backwards: a week begins on Monday`)
    for (let day = from; day <= to; day++) found.add((day + 1) % 7)
  }
  return found
}

function parseDate(text: string): Pick<CalendarSpec, 'years' | 'months' | 'days' | 'fromEnd'> {
  const fromEnd = text.includes('~')
  const parts = text.split(/[-~]/)
  if (parts.length > 3 || parts.length < 2 || /~.*[-~]/.test(text)) throw new Error(`"${text}" is no date`)
  const [day, month, year = '*'] = parts.toReversed() as [string, string, string?]
  const years = component(year, 1970, LAST_YEAR, 'year', (y) => (y < 70 ? y + 2000 : y < 100 ? y + 1900 : y))
  const months = component(month, 1, 12, 'month')
  // From the end a repetition counts towards the end: ~7/1 is the last seven days.
  const days = fromEnd ? component(day, 1, 31, 'day', undefined, true) : component(day, 1, 31, 'day')
  return { years, months, days, fromEnd }
}

function parseTime(text: string): number[] {
  const parts = text.split(':')
  if (parts.length < 2 || parts.length > 3) throw new Error(`"${text}" is no time of day`)
  const [hour = '', minute = '', second = '00'] = parts
  const all = (values: Values, most: number): number[] =>
    values === undefined ? Array.from({ length: most + 1 }, (_, i) => i) : [...values].sort((a, b) => a - b)
  const hours = all(component(hour, 0, 23, 'hour'), 23)
  const minutes = all(component(minute, 0, 59, 'minute'), 59)
  const seconds = all(component(second, 0, 59, 'second'), 59)
  return hours.flatMap((h) => minutes.flatMap((m) => seconds.map((s) => h * 3600 + m * 60 + s)))
}

/** `*`, `5`, `1,15`, `8..14`, `8..14/2`, `0/15`, also mixed with commas. */
function component(
  text: string,
  least: number,
  most: number,
  name: string,
  normal: (value: number) => number = (value) => value,
  down = false,
): Values {
  if (text === '*') return undefined
  const found = new Set<number>()
  for (const part of text.split(',')) {
    const [, star, first, last, step] = /^(?:(\*)|(\d+)(?:\.\.(\d+))?)(?:\/(\d+))?$/.exec(part) ?? []
    if (star === undefined && first === undefined) throw new Error(`"${part}" is no ${name}`)
    const from = star === undefined ? normal(Number(first)) : least
    const to = last === undefined ? from : normal(Number(last))
    for (const value of [from, to]) {
      if (value < least || value > most) throw new Error(`${name} ${value} is not between ${least} and ${most}`)
    }
    if (from > to) throw new Error(`"${part}" runs backwards`)
    if (step !== undefined && Number(step) === 0) throw new Error(`"${part}" repeats by nothing`)
    const stride = Number(step ?? 1)
    if (down && step !== undefined && last === undefined)
      for (let value = from; value >= least; value -= stride) found.add(value)
    else
      for (let value = from; value <= (last !== undefined || step === undefined ? to : most); value += stride)
        found.add(value)
    if (star !== undefined && step === undefined) return undefined
  }
  return found
}

const SECOND = 1000
const DAY = 86_400_000

/** Wall times (see zone.ts) after `after`, ascending; ends when there are no more until the year 2200. */
export function* calendarTimes(spec: CalendarSpec, after: number): Generator<number> {
  const first = new Date(after)
  for (let year = Math.max(1970, first.getUTCFullYear()); year <= LAST_YEAR; year++) {
    if (spec.years && !spec.years.has(year)) continue
    for (let month = 1; month <= 12; month++) {
      if (spec.months && !spec.months.has(month)) continue
      const length = new Date(Date.UTC(year, month, 0)).getUTCDate()
      if (Date.UTC(year, month - 1, length) + DAY <= after) continue
      for (let day = 1; day <= length; day++) {
        if (spec.days && !spec.days.has(spec.fromEnd ? length - day + 1 : day)) continue
        const midnight = Date.UTC(year, month - 1, day)
        if (midnight + DAY <= after) continue
        if (spec.weekdays && !spec.weekdays.has(new Date(midnight).getUTCDay())) continue
        for (const time of spec.times) if (midnight + time * SECOND > after) yield midnight + time * SECOND
      }
    }
  }
}
