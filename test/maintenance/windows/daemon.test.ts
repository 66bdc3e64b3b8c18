/** The daemon on a clock that the test turns: a year, clock changes, ends, pauses, crashes. */
import { basename } from 'node:path'
import t from 'tap'
import { Daemon } from '../../../src/maintenance/windows/daemon.ts'
import { openScheduleDatabase } from '../../../src/maintenance/windows/database.ts'
import type { ScheduleEvent } from '../../../src/maintenance/windows/events.ts'
import { readSchedule } from '../../../src/maintenance/windows/schema.ts'
import { State } from '../../../src/maintenance/windows/state.ts'
import { type Problem, UserError } from '../../../src/shared/errors.ts'
import { parseYaml } from '../../../src/shared/yaml.ts'
import { FakeClock, type FakeNode, FakeNodes } from './fake.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

interface Site {
  readonly yaml: string
  readonly hosts?: readonly string[]
  readonly plan?: (host: string, playbook: string, attempt: number) => FakeNode
  readonly tick?: number
}

/** A daemon with its own clock and state. `crash` forgets it as SIGKILL would, nodes too. */
function site(start: string, { yaml, hosts = ['n1', 'n2', 'n3'], plan = () => ({ takes: 20 * MINUTE }), tick }: Site) {
  const clock = new FakeClock(start)
  const state = new State(openScheduleDatabase(undefined))
  const events: ScheduleEvent[] = []
  const nodes = new FakeNodes(clock, plan)
  let hash = 'plan'
  let alive = 0
  let noInventory: Problem[] | undefined
  let file = yaml
  const begin = () => {
    const mine = ++alive
    const leave = new AbortController()
    const hurry = new AbortController()
    const daemon = new Daemon({
      state,
      clock: {
        now: () => clock.now(),
        // What was killed sleeps for ever.
        sleep: async (ms, signal) => {
          await clock.sleep(ms, signal)
          if (mine !== alive) await new Promise(() => {})
        },
      },
      load: async () => {
        const read = readSchedule(parseYaml({ path: 'maintenance.yml', text: file }), clock.now())
        if (noInventory === undefined) return read
        return { ...read, windows: [], bad: [{ name: 'inventory', problems: noInventory }], noInventory }
      },
      resolve: async (window) => {
        if (noInventory) throw new UserError(noInventory)
        const last = state.lastDone(window.name)
        return { hosts: hosts.toSorted((a, b) => (last.get(a) ?? 0) - (last.get(b) ?? 0)), plan: hash }
      },
      nodes: () => ({
        start(host, playbook, attempt) {
          const run = nodes.start(host, playbook, attempt)
          return { ...run, done: run.done.then((end) => (mine === alive ? end : new Promise(() => {}))) }
        },
        adopt: () => undefined,
        touched: () => nodes.touched(),
      }),
      onEvent: (event) => events.push(event),
      tick: tick ?? MINUTE,
    })
    const ended = daemon.run({ leave: leave.signal, hurry: hurry.signal })
    return { daemon, leave, hurry, ended }
  }
  return {
    clock,
    state,
    events,
    nodes,
    begin,
    crash: () => {
      alive++
    },
    change: () => {
      hash = 'another plan'
    },
    write: (text: string) => {
      file = text
    },
    /** The inventory can be read, or not. */
    inventory: (isThere: boolean) => {
      noInventory = isThere ? undefined : [{ message: 'inventory.py ended with 1' }]
    },
    /** Kinds and texts of what happened, with the time of day. */
    said: (...kinds: string[]) =>
      events
        .filter(({ kind }) => kinds.length === 0 || kinds.includes(kind))
        .map(({ at, kind, text }) => `${new Date(at).toISOString().slice(5, 16)} ${kind} ${text}`),
    history: () =>
      state
        .history(1000)
        .map(({ window, opens, status }) => `${new Date(opens).toISOString().slice(0, 16)} ${window} ${status}`)
        .toReversed(),
    of: (i = 0) => {
      const record = state.history(1000)[i]!
      return Object.fromEntries(state.nodes(record.id).map(({ host, status }) => [host, status]))
    },
  }
}

const WINDOW = `
windows:
  - name: workers
    start: "30 2 * * SUN"
    timezone: Europe/Berlin
    duration: 2h
    hosts: all
    playbook: cycle.yml
    rollback: back.yml
    overrun: 30m
    last_start_margin: 30m
`

t.test('a year: every Sunday once, clock changes included, never two nodes, nothing past the last start', async (t) => {
  const s = site('2026-01-01T00:00:00Z', { yaml: WINDOW, tick: HOUR, hosts: ['n1', 'n2', 'n3', 'n4', 'n5', 'n6'] })
  const { leave, ended } = s.begin()
  let most = 0
  await s.clock.runUntil('2027-01-01T00:00:00Z', () => {
    most = Math.max(most, s.nodes.active)
    return false
  })
  leave.abort()
  await ended
  t.equal(most, 1)
  const history = s.history()
  t.equal(history.length, 52)
  t.ok(history.includes('2026-03-29T01:00 workers cut'), 'in the gap: at its end')
  t.ok(history.includes('2026-10-25T00:30 workers cut'), 'twice that night: the first time')
  t.ok(history.includes('2026-10-18T00:30 workers cut') && history.includes('2026-11-01T01:30 workers cut'))
  const records = s.state.history(1000)
  for (const { host, at } of s.nodes.started) {
    const inside = records.some(({ starts, ends }) => at >= starts && at <= ends - 30 * MINUTE)
    if (!inside) t.fail(`${host} started at ${new Date(at).toISOString()}`)
  }
  // 90 minutes for starting, 20 a node: five a night, and six nodes take their turns.
  t.equal(s.nodes.started.length, 52 * 5)
  const turns = Object.groupBy(s.nodes.started, ({ host }) => host)
  t.same(
    Object.values(turns)
      .map((list) => list!.length)
      .sort(),
    [43, 43, 43, 43, 44, 44],
  )
})

t.test('the margin is measured', async (t) => {
  const yaml = WINDOW.replace('last_start_margin: 30m', 'last_start_margin: measured')
  const s = site('2026-01-03T12:00:00Z', {
    yaml,
    hosts: ['n1', 'n2', 'n3', 'n4'],
    plan: () => ({ takes: 40 * MINUTE }),
  })
  const { leave, ended } = s.begin()
  await s.clock.runUntil('2026-01-05T00:00:00Z')
  // Nothing measured: 30 min. Then 50 (40 and a quarter): at 80 of 120 minutes 40 are left, which is not enough.
  t.same(s.of(), { n1: 'done', n2: 'done', n3: 'left_out', n4: 'left_out' })
  t.match(
    s.said('closed')[0],
    /2 of 4 nodes done, 2 left for the next time \(a node takes up to 50m, and 40m were left\)/,
  )
  await s.clock.runUntil('2026-01-12T00:00:00Z')
  t.same(s.of(), { n3: 'done', n4: 'done', n1: 'left_out', n2: 'left_out' }, 'those that had no turn come first')
  leave.abort()
  await ended
})

t.test('concurrency, a failed node, and how many may fail', async (t) => {
  const plan = (host: string): FakeNode => ({
    takes: host === 'n2' ? 5 * MINUTE : 20 * MINUTE,
    ...(host === 'n2' ? { ends: { status: 'failed', detail: 'disk: it is gone' } } : {}),
  })
  const hosts = ['n1', 'n2', 'n3', 'n4', 'n5']
  const s = site('2026-01-03T12:00:00Z', { yaml: `${WINDOW}    concurrency: 2\n`, hosts, plan })
  s.begin()
  await s.clock.runUntil('2026-01-05T00:00:00Z')
  t.same(s.of(), { n1: 'done', n2: 'failed', n3: 'left_out', n4: 'left_out', n5: 'left_out' })
  t.same(
    s.said('node_failed', 'closed').map((line) => line.slice(12)),
    [
      'node_failed n2: disk: it is gone; go on: runbook apply cycle.yml --limit n2',
      'closed workers: 1 of 5 nodes done, 1 failed, 3 left for the next time (1 failed)',
    ],
  )
  const more = site('2026-01-03T12:00:00Z', { yaml: `${WINDOW}    concurrency: 2\n    max_failures: 2\n`, hosts, plan })
  more.begin()
  await more.clock.runUntil('2026-01-05T00:00:00Z')
  t.same(more.of(), { n1: 'done', n2: 'failed', n3: 'done', n4: 'done', n5: 'done' })
})

t.test('the hard end', async (t) => {
  const run = async (node: FakeNode, again: FakeNode = node) => {
    const plan = (_: string, playbook: string, attempt: number): FakeNode =>
      playbook.endsWith('back.yml') ? { takes: MINUTE } : attempt === 1 ? node : again
    const s = site('2026-01-03T12:00:00Z', { yaml: WINDOW, hosts: ['n1'], plan })
    s.begin()
    await s.clock.runUntil('2026-01-05T00:00:00Z')
    const list = s.nodes.started.map(
      ({ playbook, at }) => `${new Date(at).toISOString().slice(11, 16)} ${playbook.replace(/.*\//, '')}`,
    )
    return { status: s.of().n1, list, said: s.said('rolled_back', 'overrun', 'node_failed', 'closed', 'node_done') }
  }
  const back = await run({ takes: 5 * HOUR })
  t.equal(back.status, 'rolled_back', 'nothing was changed yet: back')
  t.same(back.list, ['01:30 cycle.yml', '03:30 back.yml'])
  t.match(back.said.at(-1), /01-04T03:31 closed workers: 0 of 1 nodes done, 1 rolled back/)

  const late = await run({ takes: 2.25 * HOUR, touchesAfter: HOUR })
  t.equal(late.status, 'done', 'too far to go back: finished')
  t.same(late.list, ['01:30 cycle.yml'])
  t.match(late.said, [/03:30 overrun n1: the window is over; it is being finished/, /03:45 node_done n1/, /closed/])

  const step = await run(
    { takes: 5 * HOUR, touchesAfter: 2 * HOUR + 1, stopsIn: 2 * MINUTE },
    { takes: 10 * MINUTE, touchesAfter: 0 },
  )
  t.equal(step.status, 'done', 'the step at which it was stopped changed something: forward again')
  t.same(step.list, ['01:30 cycle.yml', '03:32 cycle.yml'])

  const looked = await run({ takes: 5 * HOUR, unsureAfter: HOUR, sureAfter: 2 * HOUR + 5 * MINUTE })
  t.equal(looked.status, 'rolled_back', 'a command was under way, and had changed nothing: back when it has ended')
  t.same(looked.list, ['01:30 cycle.yml', '03:35 back.yml'])

  const changed = await run({ takes: 2.5 * HOUR, unsureAfter: HOUR, touchesAfter: 2.2 * HOUR })
  t.equal(changed.status, 'done', 'a command was under way, and had changed something: not stopped, finished')
  t.same(changed.list, ['01:30 cycle.yml'])

  const hangs = await run({ takes: 9 * HOUR, unsureAfter: HOUR })
  t.match(
    hangs.said,
    [/03:30 overrun .*the command that it is at/, /04:00 node_failed n1: not finished 30m after the end/, /closed/],
    'a command that hangs',
  )

  const never = await run({ takes: 9 * HOUR, touchesAfter: HOUR })
  t.equal(never.status, 'failed', 'not without end')
  t.match(never.said, [
    /03:30 overrun/,
    /04:00 node_failed n1: not finished 30m after the end of the window: it needs a person/,
    /closed/,
  ])
})

t.test('a window without a playbook for going back is finished', async (t) => {
  const yaml = WINDOW.replace('    rollback: back.yml\n', '')
  const s = site('2026-01-03T12:00:00Z', { yaml, hosts: ['n1'], plan: () => ({ takes: 2.2 * HOUR }) })
  s.begin()
  await s.clock.runUntil('2026-01-05T00:00:00Z')
  t.same(s.of(), { n1: 'done' })
})

t.test('missed: skipped and told, or caught up while there is time', async (t) => {
  for (const [missed, back, want] of [
    ['skip', '2026-01-04T01:45:00Z', 'missed'],
    ['skip', '2026-01-04T01:31:00Z', 'cut'],
    ['catch_up', '2026-01-04T02:10:00Z', 'cut'],
    ['catch_up', '2026-01-04T03:10:00Z', 'missed'],
    ['catch_up', '2026-01-09T03:10:00Z', 'missed'],
  ] as const) {
    const s = site('2026-01-03T12:00:00Z', {
      yaml: `${WINDOW}    missed: ${missed}\n`,
      hosts: ['a', 'b', 'c', 'd', 'e', 'f'],
    })
    const { leave, ended } = s.begin()
    await s.clock.runUntil('2026-01-04T01:00:00Z')
    leave.abort()
    await ended
    s.clock.wall = Date.parse(back)
    s.begin()
    await s.clock.runUntil('2026-01-10T00:00:00Z')
    t.same(s.history(), [`2026-01-04T01:30 workers ${want}`], `${missed} ${back}`)
    t.equal(s.said('missed').length, want === 'missed' ? 1 : 0)
  }
})

t.test('away for a year', async (t) => {
  const s = site('2026-01-03T12:00:00Z', { yaml: WINDOW })
  const { leave, ended } = s.begin()
  await s.clock.runUntil('2026-01-03T13:00:00Z')
  leave.abort()
  await ended
  s.clock.wall = Date.parse('2027-01-06T00:00:00Z')
  s.begin()
  await s.clock.runUntil('2027-01-06T01:00:00Z')
  t.equal(s.history().length, 10)
  t.match(s.said('missed')[0], /workers was missed 43 times more before these/)
})

t.test('clock jumps', async (t) => {
  await t.test('back over an opening: not once more', async (t) => {
    const s = site('2026-01-03T12:00:00Z', { yaml: WINDOW })
    s.begin()
    await s.clock.runUntil('2026-01-04T06:00:00Z')
    s.clock.wall = Date.parse('2026-01-04T00:00:00Z')
    await s.clock.runUntil('2026-01-12T00:00:00Z')
    t.same(s.history(), ['2026-01-04T01:30 workers done', '2026-01-11T01:30 workers done'])
    t.match(s.said('trouble')[0], /the clock went back by (6h|5h 59m)/)
  })
  await t.test('to 2099 and back: the windows in between are not lost', async (t) => {
    const s = site('2026-01-03T12:00:00Z', { yaml: WINDOW })
    s.begin()
    await s.clock.runUntil('2026-01-03T13:00:00Z')
    s.clock.wall = Date.parse('2099-01-01T00:00:00Z')
    await s.clock.runUntil('2099-01-01T00:05:00Z')
    s.clock.wall = Date.parse('2026-01-03T13:05:00Z')
    await s.clock.runUntil('2026-01-05T00:00:00Z')
    t.ok(s.history().includes('2026-01-04T01:30 workers done'))
  })
  await t.test('back while a node is under way: the end comes when the clock shows it', async (t) => {
    const s = site('2026-01-03T12:00:00Z', { yaml: WINDOW, hosts: ['n1'], plan: () => ({ takes: 2.5 * HOUR }) })
    s.begin()
    await s.clock.runUntil('2026-01-04T02:00:00Z')
    s.clock.wall = Date.parse('2026-01-04T01:00:00Z')
    await s.clock.runUntil('2026-01-05T00:00:00Z')
    t.same(s.of(), { n1: 'done' })
  })
})

/** Crashes while the second node is under way, and is begun again when the window is over. */
async function backAfterTheWindow({ begin, crash, clock }: ReturnType<typeof site>): Promise<void> {
  begin()
  await clock.runUntil('2026-01-04T02:00:00Z')
  crash()
  clock.wall = Date.parse('2026-01-04T05:00:00Z')
  begin()
  await clock.runUntil('2026-01-04T12:00:00Z')
}

t.test('crashes', async (t) => {
  await t.test('in a window: goes on where it was', async (t) => {
    const s = site('2026-01-03T12:00:00Z', { yaml: WINDOW, hosts: ['n1', 'n2', 'n3'] })
    s.begin()
    await s.clock.runUntil('2026-01-04T02:00:00Z')
    t.same(s.of(), { n1: 'done', n2: 'running', n3: 'waiting' })
    s.crash()
    s.clock.wall = Date.parse('2026-01-04T02:05:00Z')
    s.begin()
    await s.clock.runUntil('2026-01-04T12:00:00Z')
    t.same(s.of(), { n1: 'done', n2: 'done', n3: 'done' })
    t.same(
      s.nodes.started.map(({ host }) => host),
      ['n1', 'n2', 'n2', 'n3'],
      'the one under way once more, no other',
    )
    t.same(s.history(), ['2026-01-04T01:30 workers done'])
  })
  await t.test(
    'and back when the window is over: what is under way is seen to its end, nothing new begins',
    async (t) => {
      const plan = (_: string, __: string, attempt: number): FakeNode => ({
        takes: 20 * MINUTE,
        touchesAfter: attempt > 1 ? 0 : HOUR,
      })
      const s = site('2026-01-03T12:00:00Z', { yaml: WINDOW, plan })
      await backAfterTheWindow(s)
      t.match(s.of(), { n1: 'done', n3: 'left_out' })
      t.not(s.of().n2, 'running')
    },
  )
  await t.test('what had done no more than cordon and drain is rolled back, and not begun again', async (t) => {
    const s = site('2026-01-03T12:00:00Z', { yaml: WINDOW, plan: () => ({ takes: 20 * MINUTE }) })
    s.nodes.leftTouched = false
    await backAfterTheWindow(s)
    t.same(s.of(), { n1: 'done', n2: 'rolled_back', n3: 'left_out' })
    t.same(
      s.nodes.started
        .filter(({ at }) => at > Date.parse('2026-01-04T04:00Z'))
        .map(({ playbook }) => basename(playbook)),
      ['back.yml'],
    )
  })
  await t.test('the inventory is away for a while: the opening waits for it, and nothing else is opened', async (t) => {
    const s = site('2026-01-03T12:00:00Z', { yaml: WINDOW, hosts: ['n1', 'n2', 'n3'] })
    s.begin()
    await s.clock.runUntil('2026-01-04T02:00:00Z')
    s.crash()
    s.inventory(false)
    s.begin()
    await s.clock.runUntil('2026-01-04T02:10:00Z')
    t.same(s.of(), { n1: 'done', n2: 'running', n3: 'waiting' })
    s.inventory(true)
    await s.clock.runUntil('2026-01-04T12:00:00Z')
    t.same(s.of(), { n1: 'done', n2: 'done', n3: 'done' })
    t.same(s.history(), ['2026-01-04T01:30 workers done'])
    t.match(s.said('trouble'), [
      /inventory is left out: inventory.py ended with 1/,
      /workers is open, and waits until it can be read what it is to do/,
    ])
    t.equal(s.said('trouble').length, 2, 'told once')
  })
  await t.test('with another plan: no further node', async (t) => {
    const s = site('2026-01-03T12:00:00Z', { yaml: WINDOW })
    s.begin()
    await s.clock.runUntil('2026-01-04T02:00:00Z')
    s.crash()
    s.change()
    s.begin()
    await s.clock.runUntil('2026-01-04T12:00:00Z')
    t.same(s.of(), { n1: 'done', n2: 'done', n3: 'left_out' })
    t.match(s.said('closed')[0], /the playbook or its hosts were changed meanwhile/)
  })
})

t.test('an inventory that cannot be read for a while takes no windows with it', async (t) => {
  const s = site('2026-01-03T12:00:00Z', { yaml: WINDOW, hosts: ['n1'] })
  s.inventory(false)
  const { daemon } = s.begin()
  await s.clock.runUntil('2026-01-03T13:00:00Z')
  t.equal(daemon.schedule.windows.length, 0)
  s.inventory(true)
  await s.clock.runUntil('2026-01-03T13:05:00Z')
  t.same([daemon.schedule.windows.length, daemon.trouble], [1, undefined], 'read again by itself')
  s.inventory(false)
  daemon.reload()
  await s.clock.runUntil('2026-01-03T14:00:00Z')
  t.match(daemon.trouble, /inventory.py ended with 1/)
  t.match(s.said('trouble').at(-1), /the inventory cannot be read, what was read before stands: inventory.py/)
  s.inventory(true)
  await s.clock.runUntil('2026-01-05T12:00:00Z')
  t.equal(daemon.trouble, undefined)
  t.same(s.history(), ['2026-01-04T01:30 workers done'])
  t.equal(s.said('trouble').length, 2)
})

t.test('hosts that cannot be read when a window opens are read again while there is time', async (t) => {
  const start = '2026-01-03T12:00:00Z'
  const fails = async (s: ReturnType<typeof site>): Promise<void> => {
    s.begin()
    await s.clock.runUntil('2026-01-04T01:29:00Z')
    s.inventory(false)
    await s.clock.runUntil('2026-01-04T01:45:00Z')
  }
  await t.test('it opens late', async (t) => {
    const s = site(start, { yaml: WINDOW, hosts: ['n1'] })
    await fails(s)
    t.same(s.history(), [])
    s.inventory(true)
    await s.clock.runUntil('2026-01-04T12:00:00Z')
    t.same([s.of(), s.history()], [{ n1: 'done' }, ['2026-01-04T01:30 workers done']])
    t.equal(s.said('trouble').length, 1)
  })
  await t.test('until there is none any more', async (t) => {
    const s = site(start, { yaml: WINDOW, hosts: ['n1'] })
    await fails(s)
    await s.clock.runUntil('2026-01-04T12:00:00Z')
    t.same(s.history(), ['2026-01-04T01:30 workers missed'])
    t.match(s.said('missed')[0], /its hosts or its playbook could not be read, and no node could be finished any more/)
    t.equal(s.said('trouble').length, 1)
  })
  await t.test('its window is taken out of the file meanwhile', async (t) => {
    const s = site(start, { yaml: WINDOW, hosts: ['n1'] })
    const { daemon } = s.begin()
    await s.clock.runUntil('2026-01-04T01:29:00Z')
    s.inventory(false)
    await s.clock.runUntil('2026-01-04T01:45:00Z')
    s.inventory(true)
    s.write('windows: []\n')
    daemon.reload()
    await s.clock.runUntil('2026-01-04T12:00:00Z')
    t.same([s.nodes.started, s.history()], [[], ['2026-01-04T01:30 workers skipped']])
  })
  await t.test('the daemon dies meanwhile: the next one knows of it', async (t) => {
    const s = site(start, { yaml: WINDOW.replace('overrun', 'missed: catch_up\n    overrun'), hosts: ['n1'] })
    await fails(s)
    s.crash()
    s.inventory(true)
    s.begin()
    await s.clock.runUntil('2026-01-04T12:00:00Z')
    t.same(s.history(), ['2026-01-04T01:30 workers done'])
  })
})

t.test('leaving: the node under way comes to its end, and the next daemon goes on', async (t) => {
  const s = site('2026-01-03T12:00:00Z', { yaml: WINDOW })
  const { leave, ended } = s.begin()
  await s.clock.runUntil('2026-01-04T02:00:00Z')
  leave.abort()
  let over = false
  void ended.then(() => {
    over = true
  })
  await s.clock.runUntil('2026-01-04T02:30:00Z', () => over)
  t.ok(over)
  t.same(s.of(), { n1: 'done', n2: 'done', n3: 'waiting' })
  s.begin()
  await s.clock.runUntil('2026-01-04T12:00:00Z')
  t.same(s.of(), { n1: 'done', n2: 'done', n3: 'done' })
})

t.test('pauses, blackouts, triggers, one window at a time', async (t) => {
  const yaml = `${WINDOW}    blackouts:
      - { from: 2026-01-17, to: 2026-01-18, reason: release }
      - { from: "2026-01-25 03:00", to: "2026-01-25 12:00", reason: audit }
  - name: other
    start: "0 12 * * SUN"
    timezone: UTC
    duration: 3h
    hosts: all
    playbook: cycle.yml
`
  const s = site('2026-01-03T12:00:00Z', { yaml })
  s.begin()
  await s.clock.runUntil('2026-01-04T01:35:00Z')
  s.state.pause({ window: '*', at: s.clock.now(), until: null, actor: 'ann', reason: 'storage' })
  await s.clock.runUntil('2026-01-04T02:50:00Z')
  t.same(s.of(), { n1: 'done', n2: 'waiting', n3: 'waiting' }, 'a pause stops a window that is open')
  s.state.resume('*')
  await s.clock.runUntil('2026-01-04T04:00:00Z')
  t.same(s.of(), { n1: 'done', n2: 'done', n3: 'left_out' })
  s.state.pause({
    window: 'other',
    at: s.clock.now(),
    until: Date.parse('2026-01-04T13:00Z'),
    actor: 'ann',
    reason: '',
  })
  await s.clock.runUntil('2026-01-04T13:30:00Z')
  t.match(s.said('skipped').at(-1), /other of Sun 2026-01-04 12:00 UTC was skipped: paused by ann/)
  // Triggered while nothing is open, and once more while it is.
  s.state.request('other', 'ann', s.clock.now())
  await s.clock.runUntil('2026-01-04T13:40:00Z')
  s.state.request('workers', 'bob', s.clock.now())
  await s.clock.runUntil('2026-01-04T18:00:00Z')
  const triggered = s.state.history(2)
  t.match(triggered, [
    { window: 'workers', actor: 'bob', status: 'done' },
    { window: 'other', actor: 'ann', status: 'done' },
  ])
  t.ok(triggered[0]!.opened_at >= triggered[1]!.closed_at!, 'one after the other')
  await s.clock.runUntil('2026-01-26T00:00:00Z')
  const history = s.history()
  t.ok(history.includes('2026-01-18T01:30 workers skipped'), 'blackout')
  t.match(s.said('skipped').at(-1), /blackout: release/)
  t.ok(
    history.includes('2026-01-25T01:30 workers cut'),
    'cut short by a blackout: half an hour is no time for any node',
  )
  t.match(
    s.state.history(100).find(({ id }) => id.startsWith('20260125-013000')),
    { ends: Date.parse('2026-01-25T02:00Z') },
  )
})
