import t from 'tap'
import { diffLines } from '../../src/report/diff.ts'
import { duration } from '../../src/report/duration.ts'
import { frame } from '../../src/report/frame.ts'
import { jsonReporter } from '../../src/report/json.ts'
import { plainReporter } from '../../src/report/plain.ts'
import { recapBlock } from '../../src/report/recap.ts'
import type { ReportOptions } from '../../src/report/reporter.ts'
import { failureBlock } from '../../src/report/result.ts'
import { makeStyle } from '../../src/report/style.ts'
import { cut, fit, indent, printable, width } from '../../src/report/text.ts'
import { treeReporter } from '../../src/report/tree.ts'
import { RunView } from '../../src/report/view.ts'
import type { HostRecap, Recap, RunEvent } from '../../src/shared/events.ts'
import { result } from '../journal/events.ts'
import fc from '../property.ts'
import { makeScreen } from './screen.ts'
import { simulate } from './simulate.ts'

const style = makeStyle({ colour: false, unicode: true })

/** Options that collect what is written. */
function collect(some: Partial<ReportOptions> = {}): { options: ReportOptions; out: () => string; err: () => string } {
  let out = ''
  let err = ''
  const stdout = {
    closed: false,
    write: (text: string) => {
      out += text
    },
  }
  const stderr = {
    closed: false,
    write: (text: string) => {
      err += text
    },
  }
  const options = { stdout, stderr, style, verbosity: 0 as const, diff: false, ...some }
  return { options, out: () => out, err: () => err }
}

const zero: HostRecap = {
  ok: 0,
  changed: 0,
  skipped: 0,
  failed: 0,
  ignored: 0,
  rescued: 0,
  unreachable: 0,
  round_trips: 2,
}
const recapOf = (hosts: Record<string, Partial<HostRecap>>, some: Partial<Recap> = {}): Recap => ({
  type: 'recap',
  run: 'r',
  hosts: Object.fromEntries(Object.entries(hosts).map(([name, r]) => [name, { ...zero, ...r }])),
  elapsedMs: 72_000,
  interrupted: false,
  owed: {},
  ...some,
})

t.test('durations', async (t) => {
  for (const [ms, text] of [
    [0, '0ms'],
    [340.4, '340ms'],
    [994.9, '995ms'],
    [995, '1.0s'],
    [2_440, '2.4s'],
    [9_949, '9.9s'],
    [9_950, '10s'],
    [59_400, '59s'],
    [59_600, '1m 00s'],
    [187_000, '3m 07s'],
    [3_720_000, '1h 02m'],
  ] as const)
    t.equal(duration(ms), text, String(ms))
})

t.test('text from hosts cannot steer the terminal', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      if (/[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]/.test(printable(text))) throw new Error('control character')
    }),
  )
  t.equal(printable('\x1b[2J\x1b]0;title\x07red \x1b[31mx\x1b[0m\ttab\r\nline'), 'red x\ttab\nline')
  t.equal(printable(' 10%\r 50%\r100%\n'), '100%\n', 'the last state of a progress line')
  t.equal(printable('a\rb\r'), 'b', 'and when more was to come')
  const started = performance.now()
  for (const text of ['x'.repeat(2_000_000), '\r'.repeat(2_000_000), `${'\n'.repeat(2_000_000)}x`])
    t.ok(indent(printable(text), '  '))
  t.ok(performance.now() - started < 5000, 'two megabytes take no minutes')
})

t.test('cut and fit keep to their cells', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 40 }), (text, cells) => {
      if (width(cut(text, cells)) > cells || width(fit(text, cells)) > cells) throw new Error('too wide')
    }),
  )
  t.equal(fit('名前', 6), '名前  ')
  t.equal(cut('Install containerd', 8), 'Install…')
})

t.test('diffs', async (t) => {
  t.same(diffLines({ kind: 'text', path: '/etc/x', before: 'a\nb\nc\n', after: 'a\nB\nc\n' }, style), [
    '--- /etc/x',
    '+++ /etc/x',
    '@@ -1,3 +1,3 @@',
    ' a',
    '-b',
    '+B',
    ' c',
  ])
  t.same(diffLines({ kind: 'text', path: '/etc/x', before: '', after: 'a' }, style), [
    '--- /dev/null',
    '+++ /etc/x',
    '@@ -0,0 +1,1 @@',
    '+a',
    '\\ No newline at end of file',
  ])
  t.same(diffLines({ kind: 'value', from: 0, to: { a: 1 } }, style), ['- 0', '+ {"a":1}'])
  t.same(diffLines({ kind: 'value', from: undefined, to: 'x' }, style), ['+ x'])
  t.match(diffLines({ kind: 'text', path: '/b', before: 'a\0', after: 'b' }, style), ['binary /b differs'])
  t.match(diffLines({ kind: 'text', path: '/b', before: 'a'.repeat(2e6), after: 'b' }, style).at(-1), /too large/)
  const shuffled = Array.from({ length: 20_000 }, (_, i) => `${(i * 7919) % 20_000}\n`)
  const started = performance.now()
  const lines = diffLines(
    { kind: 'text', path: '/b', before: shuffled.join(''), after: shuffled.toReversed().join('') },
    style,
  )
  t.match(lines.at(-1), /too many differences/)
  t.ok(performance.now() - started < 5000, 'and soon')
})

t.test('a failure in full', async (t) => {
  const event = result({
    status: 'failed',
    host: 'k8s-1',
    task: 'Install containerd',
    msg: 'exit status 100',
    hint: 'apt-cache madison containerd.io',
    frame: '7 |     - name: Install containerd\n        ^^^^',
    cmd: 'apt-get install x',
    rc: 100,
    stdout: 'Reading…\n',
    stderr: 'E: one\nE: two\n',
    notRun: ['Configure\n\x1b[2J it'],
    changes: [{ summary: 'add the repository' }],
    items: [
      { label: 'x', status: 'failed', changes: [], msg: 'no x' },
      { label: 'y', status: 'ok', changes: [], msg: '' },
    ],
  })
  t.equal(
    failureBlock(event, style),
    `✖ FAILED  k8s-1  Install containerd  (sysctl)
    exit status 100
    play    Prepare
    at      site.yml:7:5
            7 |     - name: Install containerd
                    ^^^^
    cmd     apt-get install x
    rc      100
    stdout  Reading…
    stderr  E: one
            E: two
    item    x: no x
    done    add the repository
    not run Configure  it
    hint    apt-cache madison containerd.io

`,
  )
  const long = failureBlock({ ...event, stdout: Array.from({ length: 1000 }, (_, i) => `line ${i}`).join('\n') }, style)
  const wide = failureBlock({ ...event, stderr: `begin${'x'.repeat(9_000_000)}end` }, style)
  t.match(wide, /stderr {2}beginx+ … 8996008 characters left out; --output json has them all … x+end\n/)
  t.ok(wide.length < 6000, 'one line of nine megabytes')
  t.match(long, /line 99\n +… 800 lines left out.*\n +line 900/)
})

t.test('recap', async (t) => {
  const two = recapOf({ bad: { ok: 3, failed: 1 }, good: { ok: 30, changed: 12 } }, { owed: { bad: ['Restart'] } })
  t.equal(
    recapBlock(two, style, {
      fold: true,
      check: false,
      failures: [result({ host: 'bad', status: 'failed', msg: 'no bad\nmore' })],
    }),
    `RECAP
  host  ok  changed  failed  round trips
  good  30       12       0            2
  bad    3        0       1            2
  notified, left to the next run: Restart  (1 host: bad)
  ✖ 1 host  Kernel parameters (site.yml:7:5): no HOST
1 of 2 hosts failed: bad · 1m 12s
`,
  )
  const many = recapOf(
    Object.fromEntries(
      Array.from({ length: 300 }, (_, i) => [`h${i}`, i === 7 ? { unreachable: 1 } : { changed: i % 2 }]),
    ),
  )
  const folded = recapBlock(many, style, { fold: true, check: false })
  t.match(folded, /150 hosts unchanged.*\n.*149 hosts changed.*\n {2}h7 .*\n1 of 300 hosts unreachable: h7/)
  t.equal(recapBlock(many, style, { fold: false, check: false }).split('\n').length, 304)
  t.match(recapBlock(recapOf({ a: { ok: 3 } }), style, { fold: true, check: false }), /nothing to change on 1 host/)
  t.match(
    recapBlock(recapOf({ a: { changed: 3 } }), style, { fold: true, check: true }),
    /nothing was changed\)(.|\n)*1 of 1 host would change/u,
  )
  t.match(
    recapBlock(recapOf({ a: {} }, { interrupted: true }), style, { fold: true, check: false, resumable: true }),
    /interrupted; .*--resume/,
  )
  const plan = recapBlock(recapOf({ a: {} }, { interrupted: true }), style, { fold: true, check: false })
  t.match(plan, /interrupted/)
  t.notMatch(plan, /--resume/, 'where there is none')
})

const RUN: RunEvent[] = [
  { type: 'run_started', run: 'r', at: 0, playbooks: ['site.yml'], check: false },
  { type: 'play_started', play: 'Prepare', playId: '0', hosts: ['h1'], tasks: 2 },
  { type: 'task_output', host: 'h1', task: 'x', taskId: '1', stream: 'stdout', text: 'printed\n' },
  result({ msg: 'said', result: { answer: 42 } }),
  { type: 'task_started', host: 'h1', task: 'Kernel parameters', taskId: '1', module: 'sysctl', looks: false },
  result({
    status: 'changed',
    changes: [{ summary: 'set it', diff: { kind: 'value', from: 'a', to: 'b' } }],
    elapsedMs: 1234.6,
  }),
  { type: 'host_note', host: 'h1', level: 'warning', msg: 'connection lost' },
  { type: 'play_ended', playId: '0', elapsedMs: 5 },
  recapOf({ h1: { ok: 1, changed: 1 } }),
]

t.test('plain: what each verbosity adds', async (t) => {
  const at = (verbosity: 0 | 1 | 2 | 3, diff = false): string => {
    const { options, out } = collect({ verbosity, diff })
    const reporter = plainReporter(options)
    for (const event of RUN) reporter.event(event)
    return out()
  }
  t.match(
    at(0),
    /^PLAY Prepare \(1 host, 2 tasks\)\nok {10}h1 {2}Kernel parameters\nchanged {5}h1 {2}Kernel parameters \(1\.2s\)\nnote .*connection lost\n\nRECAP/,
  )
  t.notMatch(at(0), /said|set it|42|printed/)
  t.match(at(0, true), /set it\n +- a\n +\+ b\n/)
  t.match(at(1), /said\n/)
  t.match(at(1), /set it\n/)
  t.notMatch(at(1), /42|printed/)
  t.match(at(2), /"answer": 42/)
  t.match(at(3), /printed/)
  t.match(at(3), /at site\.yml:7:5/)
})

t.test('json: task results and one recap, nothing else on stdout; with -v, tasks that begin', async (t) => {
  const read = (some: Partial<ReportOptions>) => {
    const { options, out, err } = collect(some)
    const reporter = jsonReporter(options)
    for (const event of RUN) reporter.event(event)
    reporter.warn('careful')
    return {
      objects: out()
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
      err: err(),
    }
  }
  const { objects, err } = read({})
  t.same(
    objects.map((o) => o.type),
    ['task_result', 'task_result', 'recap'],
  )
  const begins = read({ verbosity: 1 }).objects
  t.same(
    begins.map((o) => o.type),
    ['task_result', 'task_started', 'task_result', 'recap'],
  )
  t.same(begins[1], {
    type: 'task_started',
    host: 'h1',
    task: 'Kernel parameters',
    module: 'sysctl',
    task_id: '1',
    looks: false,
  })
  t.match(objects[1], {
    host: 'h1',
    play: 'Prepare',
    task: 'Kernel parameters',
    module: 'sysctl',
    status: 'changed',
    changes: [{ summary: 'set it' }],
    msg: '',
    elapsed_ms: 1235,
    place: 'site.yml:7:5',
  })
  t.equal('diff' in objects[1].changes[0], false)
  t.equal('result' in objects[0], false)
  t.same(objects[2].hosts, { h1: { ...zero, ok: 1, changed: 1 } })
  t.equal(objects[2].elapsed_ms, 72_000)
  t.equal(err, 'warning: h1: connection lost\nwarning: careful\n')
  const verbose = read({ diff: true, verbosity: 2 }).objects.filter(({ type }) => type !== 'task_started')
  t.same(verbose[1].changes[0].diff, { kind: 'value', from: 'a', to: 'b' })
  t.same(verbose[0].result, { answer: 42 })
})

t.test('the live part fits any terminal, at any moment of any run', async (t) => {
  for (const [hosts, columns, rows] of [
    [3, 80, 24],
    [300, 80, 24],
    [300, 120, 40],
    [1000, 40, 5],
    [1, 41, 2],
    [30, 80, 24],
  ] as const) {
    const view = new RunView()
    let now = 0
    for await (const event of simulate({ hosts, speed: Infinity, forks: 50, seed: hosts })) {
      now += 700
      view.apply(event, now)
      if (!view.play || now % (700 * Math.ceil(hosts / 10)) !== 0) continue
      const lines = frame(view.play, style, { columns, rows }, now + 1500, '⠋')
      if (lines.length > Math.max(2, rows - 1)) t.fail(`${hosts} hosts: ${lines.length} lines of ${rows}`)
      for (const line of lines) if (width(line) > columns) t.fail(`${width(line)} cells: ${line}`)
    }
    t.equal(view.play, undefined)
  }
})

t.test('what the live part says of many hosts', async (t) => {
  const view = new RunView()
  const hosts = Array.from({ length: 100 }, (_, i) => `h${i}`)
  view.apply({ type: 'play_started', play: 'Prepare', playId: '0', hosts, tasks: 1 }, 0)
  for (const host of hosts.slice(0, 50)) view.apply({ type: 'host_started', host, playId: '0' }, 0)
  const results: [number, Parameters<typeof result>[0]][] = [
    [0, { status: 'ok' }],
    [1, { status: 'changed' }],
    [2, { status: 'failed' }],
    [3, { status: 'unreachable' }],
  ]
  for (const [i, some] of results) view.apply(result({ host: `h${i}`, ...some }), 1000)
  for (const i of [10, 11, 12])
    view.apply(
      { type: 'task_started', host: `h${i}`, task: 'Install', taskId: '0', module: 'package', looks: false },
      30_000 - i * 1000,
    )
  t.same(frame(view.play!, style, { columns: 80, rows: 24 }, 61_000, '*'), [
    '* Prepare  4/100 hosts · 1m 01s',
    '  ✖ 1 failed: h2',
    '  ⚡ 1 unreachable: h3',
    '  ✔ 2 done  1 unchanged  1 changed',
    '  · 50 waiting',
    '  › 46 running',
    '      43 connecting, reading state  longest h4 1m 01s',
    '       3 Install                    longest h12 43s',
  ])
})

t.test('tree: the live part goes away, everything above it stays, in order', async (t) => {
  const screen = makeScreen(100, 30)
  const { stream } = screen
  const stdout = { closed: false, write: (text: string) => void stream.write(text) }
  const reporter = treeReporter({ ...collect().options, stdout, terminal: stream })
  const failed: string[] = []
  for await (const event of simulate({ hosts: 60, speed: 60, forks: 20, seed: 3 })) {
    if (event.type === 'task_result' && (event.status === 'failed' || event.status === 'unreachable'))
      failed.push(event.host)
    reporter.event(event)
  }
  await reporter.close()
  const lines = screen.lines()
  t.ok(failed.length > 0)
  t.same(
    lines.flatMap((line) => /^. (?:FAILED|UNREACHABLE) {2}(\S+)/.exec(line)?.[1] ?? []),
    failed,
  )
  t.equal(lines.filter((line) => / running$|waiting$/.test(line)).length, 0, 'no frame is left')
  t.equal(lines.filter((line) => line === 'RECAP').length, 1)
  t.match(
    lines.join('\n'),
    /~ Kernel parameters for Kubernetes {2}\d+ hosts: k8s-\d+ k8s-\d+ k8s-\d+ k8s-\d+ and \d+ more/,
  )
  t.ok(
    screen.snapshots.some((s) => s.some((line) => / running/.test(line))),
    'there was a live part',
  )
})

t.test('tree: a question gets the terminal to itself', async (t) => {
  const screen = makeScreen(100, 30)
  const stdout = { closed: false, write: (text: string) => void screen.stream.write(text) }
  const reporter = treeReporter({ ...collect().options, stdout, terminal: screen.stream })
  for (const event of RUN.slice(0, 3)) reporter.event(event)
  await new Promise((resolve) => setTimeout(resolve, 250))
  t.match(screen.lines().join('\n'), /Prepare {2}0\/1 host/)
  const answer = await reporter.suspend(async () => {
    t.notMatch(screen.lines().join('\n'), /Prepare/)
    screen.stream.write('password: \n')
    return 'secret'
  })
  t.equal(answer, 'secret')
  for (const event of RUN.slice(3)) reporter.event(event)
  await reporter.close()
  t.match(screen.lines().join('\n'), /password:\n.*~ h1 {2}Kernel parameters/s)
})

for (const count of [1, 20]) {
  t.test(`what check mode cannot tell is told by plain and tree: ${count} hosts`, async (t) => {
    const hosts = Array.from({ length: count }, (_, i) => `h${i}`)
    const unsure = { status: 'skipped', unsure: true, msg: 'check mode cannot tell: it depends on r.rc' } as const
    const events: RunEvent[] = [
      { type: 'run_started', run: 'r', at: 0, playbooks: ['site.yml'], check: true },
      { type: 'play_started', play: 'Prepare', playId: '0', hosts, tasks: 2 },
      ...hosts.flatMap((host) => [result({ host, task: 'Plain' }), result({ host, task: 'Unsure', ...unsure })]),
      { type: 'play_ended', playId: '0', elapsedMs: 1 },
      recapOf(Object.fromEntries(hosts.map((host) => [host, { ok: 1, skipped: 1 }]))),
    ]
    const plain = collect()
    const screen = makeScreen(120, 30)
    const stdout = { closed: false, write: (text: string) => void screen.stream.write(text) }
    const tree = treeReporter({ ...collect().options, stdout, terminal: screen.stream })
    for (const reporter of [plainReporter(plain.options), tree]) {
      for (const event of events) reporter.event(event)
      await reporter.close()
    }
    for (const text of [plain.out(), screen.lines().join('\n')]) {
      t.match(text, /Unsure.*\n\s+check mode cannot tell: it depends on r\.rc/)
      t.match(text, new RegExp(`check mode cannot tell what becomes of ${count} tasks?: see above`))
      t.match(text, /nothing to change on \d+ hosts?, as far as can be told/)
    }
    const told = screen.lines().filter((line) => line.includes('Unsure')).length
    t.equal(told, 1, 'hosts that came out the same together')
  })
}
