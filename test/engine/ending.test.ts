/** Whatever hosts do and whenever somebody stops it, a run ends: nobody waits for a host that does not come. */
import { getEventListeners } from 'node:events'
import t from 'tap'
import { exitCodeOf } from '../../src/cli/exit.ts'
import type { Recap } from '../../src/shared/events.ts'
import fc from '../property.ts'
import { playbook, toYaml } from './plays.ts'
import { FakeJournal, hostNames, play, runPlays } from './runner.ts'
import { FakeHost } from './world.ts'

const RUNS = Number(process.env.ENGINE_RUNS ?? 300)
t.setTimeout(900_000)

t.test('runs that are stopped, aborted, or lose hosts end', { timeout: 300_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      playbook,
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 6 }),
      fc.record({
        end: fc.constantFrom('stop', 'abort', 'both', 'none'),
        at: fc.nat(30),
        vanish: fc.array(fc.nat(4)),
        fatal: fc.boolean(),
        slow: fc.boolean(),
      }),
      async (plays, count, forks, { end, at, vanish, fatal, slow }) => {
        const hosts = hostNames(count).map((name) => new FakeHost(name))
        const [stop, abort] = [new AbortController(), new AbortController()]
        const journal = new FakeJournal()
        let n = 0
        journal.onRecord = () => {
          if (n++ !== at) return
          for (const i of vanish) if (hosts[i]) hosts[i].gone = true
          if (end === 'stop' || end === 'both') stop.abort()
          if (end === 'abort' || end === 'both') abort.abort()
        }
        if (slow) for (const host of hosts) host.pause = () => new Promise((resolve) => setImmediate(resolve))
        const files = {}
        const result = await runPlays(
          plays.map((p, i) => toYaml(fatal ? { ...p, fatal: true, linear: false } : p, i, files)),
          count,
          { hosts, forks, files, journal, stop: stop.signal, abort: abort.signal },
        )
        const recap = result.events.at(-1)
        if (recap?.type !== 'recap') throw new Error('no recap')
        for (const signal of [stop.signal, abort.signal])
          if (getEventListeners(signal, 'abort').length > 0) throw new Error('somebody still listens')
      },
    ),
    { numRuns: RUNS },
  )
})

/** What was a deadlock once, or could be one. */
const TABLE: {
  name: string
  tasks: unknown[]
  more?: Record<string, unknown>
  hosts?: number
  forks?: number
  trace: string[]
}[] = [
  {
    name: 'throttled tasks that read each other’s variables',
    tasks: [
      { name: 'a', remember: { x: '{{ inventory_hostname }}' } },
      { name: 'b', note: { msg: '{{ hostvars.h1.r.msg }}' }, throttle: 1 },
    ],
    more: { pre_tasks: [{ name: 'r', note: { msg: 'm' }, register: 'r' }] },
    trace: ['r ok', 'a ok', 'b ok'],
  },
  {
    name: 'a variable that another host has yet to set',
    tasks: [
      { name: 'a', remember: { x: '{{ inventory_hostname }}' } },
      { name: 'b', note: { msg: '{{ hostvars.h3.x }}' } },
    ],
    forks: 1,
    trace: ['a ok', 'b ok'],
  },
  {
    name: 'its own variable, by way of hostvars',
    tasks: [
      { name: 'a', set: { key: 'a', value: 1 }, register: 'r' },
      { name: 'b', remember: { x: 1 } },
      { name: 'c', note: { msg: '{{ hostvars.h1.x }}' } },
      { name: 'd', note: { msg: '{{ hostvars.h1.r.key }}' } },
    ],
    trace: ['a changed', 'b ok', 'c ok', 'd ok'],
  },
  {
    name: 'a value of a task that ran in check mode',
    tasks: [
      { name: 'a', set: { key: 'a', value: 1 }, register: 'r', check_mode: true },
      { name: 'b', note: { msg: '{{ r.key }}' }, ignore_errors: true },
    ],
    trace: ['a changed', 'b ignored'],
  },
  {
    name: 'run_once with a flush of handlers that meet',
    tasks: [
      { name: 'a', set: { key: 'a', value: 1 }, notify: 'h' },
      { name: 'f', meta: 'flush_handlers', run_once: true },
      { name: 'b', note: { msg: 'x' } },
    ],
    more: { strategy: 'linear', handlers: [{ name: 'h', note: { msg: 'x' } }] },
    trace: ['a changed', 'f ok', 'h ok', 'b ok'],
  },
  {
    name: 'a throttle that is no number',
    tasks: [{ name: 'a', note: { msg: 'x' }, throttle: '{{ inventory_hostname }}', ignore_errors: true }],
    trace: ['a ignored'],
  },
  {
    name: 'retries that are no number',
    tasks: [
      { name: 'a', note: { msg: 'x' }, until: 'false', retries: '{{ inventory_hostname }}', ignore_errors: true },
    ],
    trace: ['a ignored'],
  },
  {
    name: 'a pause that is no number',
    tasks: [
      {
        name: 'a',
        note: { msg: 'x' },
        loop: [1, 2],
        loop_control: { pause: '{{ inventory_hostname }}' },
        ignore_errors: true,
      },
    ],
    trace: ['a ignored'],
  },
  {
    name: 'break_when sees the result of the item',
    tasks: [
      {
        name: 'a',
        set: { key: '{{ item }}', value: 1 },
        loop: ['x', 'y', 'z'],
        register: 'r',
        loop_control: { break_when: 'r.key == "y"' },
      },
      { name: 'b', note: { msg: 'x' }, when: 'size(r.results) == 2' },
    ],
    trace: ['a changed', 'b ok'],
  },
  {
    name: 'a break_when that fails',
    tasks: [
      { name: 'a', note: { msg: 'x' }, loop: [1, 2], loop_control: { break_when: 'nothing.x' }, ignore_errors: true },
    ],
    trace: ['a ignored'],
  },
  {
    name: 'a handler that is not there, named by a template',
    tasks: [{ name: 'a', set: { key: 'a', value: 1 }, notify: 'h-{{ inventory_hostname }}', ignore_errors: true }],
    more: { handlers: [{ name: 'h', note: { msg: 'x' } }] },
    trace: ['a ignored'],
  },
  {
    name: 'failed_when that looks at a task of the same window',
    tasks: [
      { name: 'a', set: { key: 'a', value: 1 }, register: 'r' },
      { name: 'b', set: { key: 'b', value: 1 }, failed_when: 'r.changed', ignore_errors: true },
    ],
    trace: ['a changed', 'b ignored'],
  },
  {
    name: 'forced handlers of a linear play',
    tasks: [
      { name: 'a', set: { key: 'a', value: 1 }, notify: 'h' },
      { name: 'b', fail: {} },
    ],
    more: { strategy: 'linear', force_handlers: true, handlers: [{ name: 'h', note: { msg: 'x' } }] },
    trace: ['a changed', 'b failed', 'h ok'],
  },
  {
    name: 'always parts when any_errors_fatal stops the play',
    tasks: [
      {
        block: [
          { name: 'a', fail: {}, when: 'inventory_hostname == "h1"', any_errors_fatal: true },
          { name: 'b', note: { msg: 'x' } },
        ],
        rescue: [],
        always: [{ name: 'z', note: { msg: 'x' } }],
      },
      { name: 'c', note: { msg: 'x' } },
    ],
    more: { strategy: 'linear' },
    trace: ['a failed', 'z ok'],
  },
]

for (const { name, tasks, more = {}, hosts = 3, forks = 1, trace } of TABLE) {
  t.test(name, async (t) => {
    const result = await runPlays([play(tasks, more)], hosts, { forks })
    t.strictSame(result.trace('h1'), trace)
  })
}

t.test('the run ends with a play that was stopped, or of which no host is left', async (t) => {
  const fail = { name: 'f', fail: {}, when: 'inventory_hostname == "h1"' }
  const next = play([{ name: 'n', note: { msg: 'x' } }])
  for (const [first, runs] of [
    [play([fail]), true],
    [play([fail], { any_errors_fatal: true }), false],
    [play([fail], { max_fail_percentage: 49 }), false],
    [play([fail], { max_fail_percentage: 50 }), true],
    [play([fail], { hosts: 'h1' }), false],
    [play([{ meta: 'end_play' }]), true],
  ] as const) {
    const { trace } = await runPlays([first, next], 2)
    t.equal(trace('h2').includes('n ok'), runs, JSON.stringify(first))
  }
})

t.test('a handler that one host flushes in a rescue part is not met by those at the end of the section', async (t) => {
  const block = {
    block: [
      { name: 'a', set: { key: 'a', value: 1 }, notify: 'h' },
      { name: 'b', fail: {}, when: 'inventory_hostname == "h1"' },
    ],
    rescue: [
      { name: 'm', meta: 'flush_handlers' },
      { name: 'r', fail: {} },
    ],
  }
  const more = { strategy: 'linear', any_errors_fatal: true, handlers: [{ name: 'h', cmd: { say: 'h' } }] }
  const { trace, journal } = await runPlays([play([block], more)], 2)
  t.strictSame(trace('h1'), ['a changed', 'b rescued', 'm ok', 'h changed', 'r failed'])
  t.strictSame(trace('h2'), ['a changed', 'b skipped'])
  t.strictSame([journal.debtsOf('h1'), journal.debtsOf('h2')], [[], ['h']])
})

t.test('a bug on one host fails that host; the others go on', async (t) => {
  const bug = () => {
    throw new TypeError('boom')
  }
  const tasks = [
    {
      block: [{ name: 'a', set: { key: 'a', value: 1 }, notify: 'h' }],
      always: [{ name: 'always', note: { msg: 'x' } }],
    },
    { name: 'b', cmd: { say: 'b' }, run_once: true },
    { name: 'c', set: { key: 'c', value: 1 } },
  ]
  const handlers = [{ name: 'h', cmd: { say: 'h' } }]
  for (const strategy of ['free', 'linear']) {
    const hosts = hostNames(3).map((name) => new FakeHost(name))
    hosts[0]!.interpret = bug
    const result = await runPlays([play(tasks, { handlers, strategy })], 3, { hosts })
    t.strictSame(result.trace('h1'), ['a failed', 'always ok'], strategy)
    t.strictSame(result.trace('h3').slice(0, 2), ['a changed', 'always ok'])
    t.ok(result.trace('h3').includes('c changed'))
    const failed = result.events.find((e) => e.type === 'task_result' && e.status === 'failed')
    t.match(failed, { msg: /^this is a bug in runbook.*TypeError: boom$/, stderr: /boom\n +at .*ending\.test/ })
    const recap = result.events.at(-1)
    t.match(recap, { type: 'recap', bugs: 1, interrupted: false, owed: { h1: ['h'] } })
    t.equal(exitCodeOf(recap as Recap, { detailed: false }), 1)
  }
})

t.test('a bug outside of any task fails its host', async (t) => {
  const hosts = hostNames(2).map((name) => new FakeHost(name))
  const journal = new FakeJournal()
  journal.owed = (_key, host) => {
    if (host === 'h1') throw new TypeError('boom')
    return []
  }
  const { trace, events } = await runPlays([play([{ name: 'a', set: { key: 'a', value: 1 } }])], 2, { hosts, journal })
  t.strictSame([trace('h1'), trace('h2')], [[], ['a changed']])
  t.match(
    events.find((e) => e.type === 'host_note'),
    { host: 'h1', level: 'warning', msg: /bug in runbook.*boom\n/ },
  )
  t.match(events.at(-1), { bugs: 1, hosts: { h1: { failed: 1 }, h2: { failed: 0 } } })
})

t.test('many hosts that listen for an abort are no leak', async (t) => {
  const warnings: string[] = []
  const listen = (w: Error): void => void warnings.push(w.message)
  process.on('warning', listen)
  t.teardown(() => void process.off('warning', listen))
  await runPlays(
    [
      play([
        { name: 'a', act: { say: 'x' } },
        { note: { msg: 'x' }, loop: [1, 2], loop_control: { pause: 0.01 } },
      ]),
    ],
    30,
  )
  await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(warnings, [])
})
