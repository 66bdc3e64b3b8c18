/** What is wrong in maintenance.yml: where, and what to do; and that the other windows stand. */
import t from 'tap'
import { readSchedule } from '../../../src/maintenance/windows/schema.ts'
import { parseSpan, span } from '../../../src/maintenance/windows/time.ts'
import { type Occurrence, occurrenceAt, occurrences } from '../../../src/maintenance/windows/window.ts'
import { parseYaml } from '../../../src/shared/yaml.ts'

const NOW = Date.parse('2026-11-21T00:00:00Z')

const read = (text: string) => readSchedule(parseYaml({ path: 'maintenance.yml', text }), NOW)

const GOOD: Record<string, string> = {
  name: 'workers',
  start: '"0 3 * * TUE"',
  timezone: 'Europe/Berlin',
  duration: '3h',
  hosts: 'workers',
  playbook: 'cycle.yml',
}

function yaml(...windows: readonly Record<string, string | undefined>[]): string {
  const one = (w: Record<string, string | undefined>): string =>
    Object.entries({ ...GOOD, ...w })
      .filter(([, value]) => value !== undefined)
      .map(([key, value], i) => `${i === 0 ? '  - ' : '    '}${key}: ${value}\n`)
      .join('')
  return `windows:\n${windows.map(one).join('')}`
}

t.test('what is wrong with one window', async (t) => {
  for (const [change, line, why] of [
    [{ timezone: 'Europe/Belrin' }, 4, /there is no time zone "Europe\/Belrin"/],
    [{ timezone: '"+02:00"' }, 4, /there is no time zone/],
    [{ timezone: undefined }, 2, /needs a timezone/],
    [{ start: '"Tue 03:00 Asia/Tokyo"' }, 4, /start names the time zone Asia\/Tokyo, timezone another one/],
    [{ start: '"0 25 * * *"' }, 3, /start: .*hour/],
    [{ start: '"0 0 30 2 *"' }, 3, /can never open: there is no such time/],
    [{ start: '2020-01-01 03:00' }, 3, /can never open/],
    [
      { start: '"30 2 29 3 *"', dst_gap: 'skip', blackouts: '[{ from: 01-01, to: 12-31, reason: all year }]' },
      3,
      /always in a blackout \(all year\)/,
    ],
    [{ duration: '0s' }, 5, /longer than nothing/],
    [{ duration: '3 hours' }, 5, /must be a length of time/],
    [{ duration: 3 as unknown as string }, 5, /duration: must be a length of time with its unit/],
    [{ duration: '200h' }, 3, /would open again while it is open, first on Tue 2026-12-01/],
    [{ jitter: '3h' }, 8, /jitter is as long as the window/],
    [{ last_start_margin: '3h' }, 8, /no node could ever start/],
    [{ concurrency: '0' }, 8, /concurrency/],
    [{ notify: 'slakc' }, 8, /there is no "slakc" below notify/],
    [{ blackouts: '[{ from: 2026-13-01, to: 2026-12-01 }]' }, 8, /"2026-13-01" is no date/],
    [{ blackouts: '[{ from: 2026-12-24, to: 2026-12-01 }]' }, 8, /ends before it begins/],
    [{ blackouts: '[{ from: 12-24, to: 2026-12-31 }]' }, 8, /both have a year/],
    [{ hosts: undefined }, 2, /hosts is missing/],
    [{ conccurrency: '2' }, 8, /unknown key "conccurrency"/],
    [{ name: '"a b"' }, 2, /name: must be a plain name/],
    [{ missed: 'later' }, 8, /missed/],
  ] as const) {
    const { windows, bad } = read(
      `${yaml(change)}${yaml({ name: 'other', start: '"0 3 * * THU"' }).replace('windows:\n', '')}`,
    )
    const problems = bad.flatMap((one) => one.problems)
    t.match(problems[0], { message: why, place: { line } }, JSON.stringify(change))
    t.same(
      windows.map(({ name }) => name),
      ['other'],
      'the other one stands',
    )
  }
})

t.test('windows that are in each other’s way', async (t) => {
  for (const [a, b, when] of [
    [
      { start: '"0 3 * * TUE"' },
      { start: '"0 5 * * *"' },
      /overlaps "workers" \(line 2\), first on Tue 2026-11-24 05:00 CET/,
    ],
    // Apart by the clock, but not in every time zone on every day: Berlin and New York change theirs weeks apart.
    [
      { start: '"0 3 * * TUE"', duration: '5h' },
      { start: '"0 2 * * TUE"', timezone: 'America/New_York' },
      /overlaps "workers".* 2027-03-16 02:00 EDT/,
    ],
    [{ start: '"30 2 28 3 *"', duration: '1h' }, { start: '"0 3 28 3 *"', duration: '1h' }, /2027-03-28/],
  ] as const) {
    const { windows, bad } = read(yaml(a, { name: 'second', ...b }))
    t.same(
      windows.map(({ name }) => name),
      ['workers'],
      'the first of the file stands',
    )
    t.match(bad, [{ name: 'second', problems: [{ message: when }] }])
  }
  t.same(read(yaml({}, { name: 'second', start: '"0 6 * * TUE"' })).bad, [], 'one after the other is none')
  t.match(read(yaml({}, {})).bad[0]?.problems[0], { message: 'there is another window "workers"' })
})

t.test('the file as a whole', async (t) => {
  t.match(read('- a').bad[0]?.problems[0], { message: /must be a map/ })
  t.match(read('window: []').bad[0]?.problems[0], { message: 'unknown key "window"', hint: 'did you mean "windows"?' })
  t.match(read('windows: {}').bad[0]?.problems[0], { message: 'windows must be a list' })
  t.match(read('notify: []').bad[0]?.problems[0], { message: 'notify must be a map' })
  t.match(read('windows: [x]').bad[0], { name: 'window 1', problems: [{ message: 'must be a map' }] })
  t.same(read('guards: {}').bad, [])
})

const show = ({ opens, ends, blackout, shifted }: Occurrence): string =>
  [
    new Date(opens).toISOString().slice(0, 16),
    new Date(ends).toISOString().slice(5, 16),
    blackout,
    shifted && 'shifted',
  ]
    .filter(Boolean)
    .join(' ')

t.test('openings: elapsed time over clock changes, blackouts, jitter', async (t) => {
  const next = (change: Record<string, string>, from: string, count = 3): string[] => {
    const { windows, bad } = read(yaml(change))
    t.same(bad, [])
    return occurrences(windows[0]!, Date.parse(from)).take(count).map(show).toArray()
  }
  t.same(
    next({ start: '"0 1 * * SUN"', duration: '4h' }, '2027-03-27T00:00Z', 1),
    ['2027-03-28T00:00 03-28T04:00'],
    'four hours, though the clock shows five',
  )
  t.same(next({ start: '"0 1 * * SUN"', duration: '4h' }, '2027-10-30T00:00Z', 1), ['2027-10-30T23:00 10-31T03:00'])
  t.same(next({ start: '"30 2 * * SUN"' }, '2027-03-27T00:00Z', 1), ['2027-03-28T01:00 03-28T04:00 shifted'])
  const freeze = '[{ from: 12-20, to: 01-06, reason: freeze }, { from: "2027-01-12 04:00", to: "2027-01-12 05:00" }]'
  t.same(next({ blackouts: freeze }, '2026-12-14T00:00Z', 5), [
    '2026-12-15T02:00 12-15T05:00',
    '2026-12-22T02:00 12-22T05:00 freeze',
    '2026-12-29T02:00 12-29T05:00 freeze',
    '2027-01-05T02:00 01-05T05:00 freeze',
    '2027-01-12T02:00 01-12T03:00',
  ])
  const twice = '[{ from: "2027-10-31 01:00", to: "2027-10-31 02:30" }]'
  t.same(
    next({ start: '"45 2 * * SUN"', blackouts: twice }, '2027-10-30T00:00Z', 2),
    ['2027-10-31T00:45 10-31T03:45 blackout', '2027-11-07T01:45 11-07T04:45'],
    'until the clock shows its end for the second time',
  )
  const [window] = read(yaml({ jitter: '30m' })).windows
  const jitters = occurrences(window!, NOW)
    .take(50)
    .map(({ opens, starts }) => (starts - opens) / 60_000)
    .toArray()
  t.ok(jitters.every((one) => one >= 0 && one < 30))
  t.ok(Math.max(...jitters) > 20 && Math.min(...jitters) < 10, 'spread')
  t.same(occurrenceAt(window!, NOW), occurrenceAt(window!, NOW), 'the same each time')
})

t.test('lengths of time', async (t) => {
  for (const [text, ms] of [
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['', undefined],
    ['1', undefined],
    ['-1h', undefined],
    ['1w', undefined],
  ] as const)
    t.equal(parseSpan(text), ms, text)
  for (const [ms, text] of [
    [0, '0s'],
    [59_400, '59s'],
    [90_000, '1m 30s'],
    [3_600_000, '1h'],
    [5_400_000, '1h 30m'],
    [604_790_000, '7d'],
    [90_000_000, '1d 1h'],
  ] as const)
    t.equal(span(ms), text)
})
