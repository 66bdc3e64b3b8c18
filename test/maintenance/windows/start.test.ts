/** Starts in time zones, beside systemd's own reading of them. */
import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import { parseOnCalendar } from '../../../src/maintenance/windows/on-calendar.ts'
import { type GapRule, parseStart, startTimes } from '../../../src/maintenance/windows/start.ts'
import { Zone } from '../../../src/maintenance/windows/zone.ts'
import '../../property.ts'

function starts(text: string, zone: string, from: string, count: number, gap: GapRule = 'shift'): string[] {
  const found = startTimes(parseStart(text), new Zone(zone), gap, Date.parse(from))
  return found
    .take(count)
    .map(({ at, shifted }) => new Date(at).toISOString().slice(0, 16) + (shifted ? ' shifted' : ''))
    .toArray()
}

const utc = (text: string): string => new Date(`${text.replace(' ', 'T')}Z`).toISOString()

/**
 * What `systemd-analyze calendar` says, in UTC. Undefined where it gives up: systemd 252 ends with EDEADLK at some gaps
 * (a quarter to three on the Chatham Islands), and goes on from the day after them when it is asked there.
 */
function systemd(text: string, from: string, count: number): string[] | undefined {
  const { status, stdout, stderr } = spawnSync(
    'systemd-analyze',
    ['calendar', `--iterations=${count}`, `--base-time=${from}`, text],
    { encoding: 'utf8', env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' } },
  )
  if (stderr.includes('Resource deadlock avoided')) return undefined
  // It refuses a repetition that never comes to its second time, such as ~1/2.
  if (/~[1-7]\/\d/.test(text) && stderr.includes('Invalid argument')) return undefined
  if (status !== 0) throw new Error(stderr)
  return [...stdout.matchAll(/(?:Next elapse|Iter. #\d+|Iteration #\d+): \w{3} (\S+ \S+) UTC/g)].map((m) => utc(m[1]!))
}

/** Five zones with their changes of 2026 and 2027: by an hour, by half an hour, at midnight, at 2:45; north and south. */
const ZONES = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'America/Santiago', 'Pacific/Chatham']

/** Every half hour of the hours at which some zone changes its clock, and expressions of every kind. */
const CALENDARS = [
  ...['00:00', '00:30', '01:00', '01:30', '02:00', '02:15', '02:30', '02:45', '03:00', '03:30'].map(
    (at) => `*-*-* ${at}`,
  ),
  'Sun *-*-* 02:30:00',
  'Sat,Sun 00/4:15',
  'Mon..Fri *-*~3 10:00',
  '*-*-8..14 1/6:00',
  '*-02~07/1 0:00',
  '*-03,04,09,10,11-* 02:10',
  'quarterly',
  'weekly',
]

t.test('OnCalendar over two years of clock changes, beside systemd-analyze', async (t) => {
  // A year and a half at once would be slow for daily ones: from shortly before each change.
  const bases = [
    '2026-03-06',
    '2026-03-27',
    '2026-04-03',
    '2026-09-04',
    '2026-09-25',
    '2026-10-02',
    '2026-10-23',
    '2026-10-30',
  ]
  let compared = 0
  const givenUp: string[] = []
  for (const zone of ZONES) {
    for (const text of CALENDARS) {
      const daily = text.startsWith('*-*-*')
      for (const base of daily ? bases : ['2026-01-01']) {
        const count = daily ? 12 : 60
        const from = `${base} 00:00:00 UTC`
        const want = systemd(`${text} ${zone}`, from, count)
        if (want === undefined) {
          givenUp.push(`${text} ${zone}`)
          continue
        }
        const got = startTimes(parseStart(text), new Zone(zone), 'skip', Date.parse(`${base}T00:00:00Z`))
          .take(want.length)
          .map(({ at }) => new Date(at).toISOString())
          .toArray()
        if (JSON.stringify(got) !== JSON.stringify(want)) t.same(got, want, `${text} ${zone} from ${base}`)
        compared += want.length
      }
    }
  }
  t.ok(compared > 4000, `${compared} times`)
  t.ok(givenUp.length <= 3, `systemd gave up: ${givenUp.join(', ')}`)
})

t.test('the rule for gaps, for cron and OnCalendar alike', async (t) => {
  for (const [zone, cron, calendar, from, shift, skip] of [
    ['Europe/Berlin', '30 2 * * *', '*-*-* 02:30', '2026-03-28T12:00Z', '2026-03-29T01:00 shifted', '2026-03-30T00:30'],
    [
      'America/New_York',
      '15 2 * * *',
      '*-*-* 02:15',
      '2026-03-07T12:00Z',
      '2026-03-08T07:00 shifted',
      '2026-03-09T06:15',
    ],
    [
      'Australia/Lord_Howe',
      '15 2 * * *',
      '*-*-* 02:15',
      '2026-10-03T00:00Z',
      '2026-10-03T15:30 shifted',
      '2026-10-04T15:15',
    ],
    [
      'America/Santiago',
      '0 0 * * *',
      '*-*-* 00:00',
      '2026-09-05T12:00Z',
      '2026-09-06T04:00 shifted',
      '2026-09-07T03:00',
    ],
    [
      'Pacific/Chatham',
      '0 3 * * *',
      '*-*-* 03:00',
      '2026-09-26T00:00Z',
      '2026-09-26T14:00 shifted',
      '2026-09-27T13:15',
    ],
  ] as const) {
    for (const text of [cron, calendar]) {
      t.same(starts(text, zone, from, 1), [shift], `${text} ${zone} shift`)
      t.same(starts(text, zone, from, 1, 'skip'), [skip], `${text} ${zone} skip`)
    }
  }
  t.same(
    starts('15,45 2 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', 2),
    ['2026-03-29T01:00 shifted', '2026-03-30T00:15'],
    'two times of one gap are one start',
  )
})

t.test('a time that comes twice starts once, the first time', async (t) => {
  for (const [zone, text, from, first, second] of [
    ['Europe/Berlin', '30 2 * * *', '2026-10-24T12:00Z', '2026-10-25T00:30', '2026-10-26T01:30'],
    ['America/New_York', '30 1 * * *', '2026-10-31T12:00Z', '2026-11-01T05:30', '2026-11-02T06:30'],
    ['Australia/Lord_Howe', '45 1 * * *', '2026-04-04T00:00Z', '2026-04-04T14:45', '2026-04-05T15:15'],
    ['America/Santiago', '30 23 * * *', '2026-04-04T12:00Z', '2026-04-05T02:30', '2026-04-06T03:30'],
    ['Pacific/Chatham', '0 3 * * *', '2026-04-03T20:00Z', '2026-04-04T13:15', '2026-04-05T14:15'],
  ] as const)
    t.same(starts(text, zone, from, 2), [first, second], zone)
})

t.test('cron', async (t) => {
  t.same(starts('0 3 * * TUE', 'UTC', '2026-11-21T00:00Z', 2), ['2026-11-24T03:00', '2026-12-01T03:00'])
  t.same(starts('@monthly', 'UTC', '2026-11-21T00:00Z', 1), ['2026-12-01T00:00'])
  t.same(starts('0 3 * * SAT#2', 'UTC', '2026-11-21T00:00Z', 1), ['2026-12-12T03:00'])
  t.same(starts('0 3 L * *', 'UTC', '2027-02-01T00:00Z', 1), ['2027-02-28T03:00'])
  t.same(starts('0 0 30 2 *', 'UTC', '2026-11-21T00:00Z', 1), [], 'never')
})

t.test('what is no start', async (t) => {
  for (const [text, why] of [
    ['0 25 * * *', /hour/],
    ['0 0 3 * * TUE', /five fields/],
    ['Tuesdays 03:00', /"Tuesdays"/],
    ['Fri..Mon 03:00', /backwards/],
    ['*-13-01', /month 13/],
    ['25:00', /hour 25/],
    ['*-*-* 03:00 Europe/Berlin now', /"?now|not understood|five/],
    ['*-*-* 03', /"03" is not understood/],
    ['@123456', /./],
    ['', /./],
    ['1..', /./],
    ['*-*-1/0 3:00', /repeats by nothing/],
  ] as const)
    t.throws(() => parseStart(text), { message: why }, text)
})

t.test('property: parsing anything gives a start or an Error with words, and times ascend', async () => {
  const part = fc.oneof(
    fc.constantFrom(
      '*',
      'Mon',
      'Mon..Fri',
      '*-*-*',
      '3:00',
      '*:0/15',
      '~',
      '..',
      ',',
      '/',
      'UTC',
      '2026-02-30',
      'weekly',
      '@daily',
    ),
    fc.string({ maxLength: 6 }),
    fc.nat(99).map(String),
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
      let start: ReturnType<typeof parseStart>
      try {
        start = parseStart(parts.join(' '))
      } catch (error) {
        return error instanceof Error && error.message.length > 0
      }
      const times = startTimes(start, new Zone('Europe/Berlin'), 'shift', Date.UTC(2026, 2, 28))
        .take(5)
        .toArray()
      return times.every(({ at }, i) => at > (times[i - 1]?.at ?? Date.UTC(2026, 2, 28)))
    }),
    { numRuns: 300 },
  )
})

t.test('property: a calendar that we make is read as systemd reads it', async () => {
  const list = (least: number, most: number) =>
    fc.oneof(
      fc.constant('*'),
      fc.integer({ min: least, max: most }).map(String),
      fc
        .tuple(fc.integer({ min: least, max: most }), fc.integer({ min: least, max: most }))
        .map(([a, b]) => `${Math.min(a, b)}..${Math.max(a, b)}`),
      // systemd refuses a repetition that never comes to its second time.
      fc.tuple(fc.integer({ min: least, max: most - 7 }), fc.integer({ min: 2, max: 7 })).map(([a, b]) => `${a}/${b}`),
    )
  const made = fc.tuple(
    fc.constantFrom('', 'Mon ', 'Tue..Thu ', 'Sat,Sun '),
    list(1, 12),
    fc.constantFrom('-', '~'),
    list(1, 28),
    list(0, 23),
    fc.integer({ min: 0, max: 59 }),
  )
  fc.assert(
    fc.property(made, fc.constantFrom(...ZONES), ([weekday, month, sign, day, hour, minute], zone) => {
      const text = `${weekday}*-${month}${sign}${day} ${hour}:${minute}:00`
      const want = systemd(`${text} ${zone}`, '2026-03-01 00:00:00 UTC', 15)
      if (want === undefined) return
      const got = startTimes(parseStart(text), new Zone(zone), 'skip', Date.UTC(2026, 2, 1))
        .take(15)
        .map(({ at }) => new Date(at).toISOString())
        .toArray()
      if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`${text} ${zone}: ${got} instead of ${want}`)
    }),
    { numRuns: 60 },
  )
})

t.test('zones', async (t) => {
  for (const name of ['Europe/Belrin', '', '+02:00', 'Nowhere']) t.throws(() => new Zone(name), RangeError, name)
  t.equal(new Zone('America/New_York').format(Date.UTC(2026, 6, 1, 7)), 'Wed 2026-07-01 03:00 EDT')
  t.equal(new Zone('America/Santiago').format(Date.UTC(2026, 6, 1, 7)), 'Wed 2026-07-01 03:00 UTC-04:00')
  t.same(parseOnCalendar('Sat 3:00 Europe/Berlin').zone, 'Europe/Berlin')
  const samoa = new Zone('Pacific/Apia')
  t.same(samoa.instants(Date.UTC(2011, 11, 30, 12)), [], 'a day that was left out')
  t.equal(new Date(samoa.gapEnd(Date.UTC(2011, 11, 30, 12))).toISOString(), '2011-12-30T10:00:00.000Z')
})
