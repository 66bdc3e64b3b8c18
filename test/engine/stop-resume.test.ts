/** Stopping a run, and going on with it. */
import t from 'tap'
import { FakeJournal, load, play, runPlays } from './runner.ts'
import { FakeHost } from './world.ts'

const tasks = [
  { name: 'a', set: { key: 'a', value: 1 }, notify: 'h' },
  { block: [{ name: 'b', cmd: { say: 'b' } }], always: [{ name: 'z', note: { msg: 'x' } }] },
  { name: 'c', cmd: { say: 'c' } },
]
const handlers = [{ name: 'h', cmd: { say: 'h' } }]

t.test('stop: what runs comes to its end, no more is begun', async (t) => {
  const stop = new AbortController()
  const host = new FakeHost('h1')
  const journal = new FakeJournal()
  journal.onRecord = (e) => {
    if (e.type === 'task_started' && e.task === 'b') stop.abort()
  }
  const { trace, events } = await runPlays([play(tasks, { handlers })], 1, {
    hosts: [host],
    journal,
    stop: stop.signal,
  })
  t.strictSame(trace('h1'), ['a changed', 'b changed'])
  t.match(events.at(-1), { type: 'recap', interrupted: true, owed: { h1: ['h'] } })
  t.strictSame(journal.debtsOf('h1'), ['h'])
})

t.test('abort: what runs is killed', async (t) => {
  const abort = new AbortController()
  const host = new FakeHost('h1')
  const journal = new FakeJournal()
  journal.onRecord = (e) => {
    if (e.type === 'task_started' && e.task === 'b') abort.abort()
  }
  const { trace, events } = await runPlays([play(tasks, { handlers })], 1, {
    hosts: [host],
    journal,
    abort: abort.signal,
  })
  t.strictSame(trace('h1'), ['a changed', 'b failed'])
  t.match(events.filter((e) => e.type === 'task_result').at(-1), { msg: 'interrupted' })
  t.match(events.at(-1), { interrupted: true })
  t.strictSame(journal.debtsOf('h1'), ['h'])
})

/** Kills a run when `task` has a result, and goes on with it; what the host did in the second run, and its trace. */
async function resumed(plays: unknown, task: string): Promise<{ log: string[]; trace: string[] }> {
  const playbooks = await load(plays)
  const host = new FakeHost('h1')
  const journal = new FakeJournal()
  journal.onRecord = (e) => {
    if (e.type !== 'task_result' || e.task !== task || host.gone) return
    journal.results.push(e)
    journal.dead = true
    host.gone = true
  }
  await runPlays(undefined, 1, { playbooks, hosts: [host], journal })
  if (!host.gone) throw new Error(`${task} has no result`)
  journal.onRecord = () => {}
  journal.dead = false
  host.gone = false
  const before = host.log.length
  const { trace } = await runPlays(undefined, 1, { playbooks, hosts: [host], journal, resume: 'x' })
  return { log: host.log.slice(before), trace: trace('h1') }
}

t.test('resume: commands that came to their end are not run again', async (t) => {
  t.strictSame(await resumed([play(tasks, { handlers })], 'b'), {
    log: ['c', 'h'],
    trace: ['a ok', 'b ok', 'z ok', 'c changed', 'h changed'],
  })
})

t.test('resume: a handler runs again for what notifies it now', async (t) => {
  const more = { handlers, pre_tasks: [{ name: 'p', set: { key: 'p', value: 1 }, notify: 'h' }] }
  t.strictSame(await resumed([play([{ name: 'x', note: { msg: 'x' } }, ...tasks], more)], 'x'), {
    log: ['set a=1', 'b', 'c', 'h'],
    trace: ['p ok', 'x ok', 'a changed', 'b changed', 'z ok', 'c changed', 'h changed'],
  })
})

t.test('resume: a failure that was rescued leads into its rescue part', async (t) => {
  const block = {
    block: [{ name: 'f', cmd: { say: 'f', rc: 1 } }],
    rescue: [
      { name: 'r1', cmd: { say: 'r1' } },
      { name: 'r2', cmd: { say: 'r2' } },
    ],
  }
  t.strictSame(await resumed([play([block, { name: 'c', cmd: { say: 'c' } }])], 'r1'), {
    log: ['r2', 'c'],
    trace: ['f rescued', 'r1 ok', 'r2 changed', 'c changed'],
  })
})

t.test('resume: from a failure that nothing rescued on everything is done anew', async (t) => {
  const playbooks = await load([
    play([
      { name: 'a', cmd: { say: 'a' } },
      { block: [{ name: 'k', look: { key: '!k' } }], always: [{ name: 'z', cmd: { say: 'z' } }] },
      { name: 'c', cmd: { say: 'c' } },
    ]),
  ])
  const host = new FakeHost('h1')
  const journal = new FakeJournal()
  await runPlays(undefined, 1, { playbooks, hosts: [host], journal })
  t.strictSame(host.log, ['a', 'z'])
  await runPlays(undefined, 1, { playbooks, hosts: [host], journal, resume: 'x' })
  t.strictSame(host.log, ['a', 'z', 'z'])
})

t.test('resume: meta and set_fact are done anew, registers are as they were', async (t) => {
  const list = [
    { name: 'a', cmd: { say: 'out' }, register: 'r' },
    { name: 's', remember: { x: '{{ r.stdout }}' } },
    { name: 'b', note: { msg: 'x' } },
    { name: 'c', cmd: { say: '{{ x }} {{ r.stdout }}' } },
    { name: 'm', meta: 'end_host' },
    { name: 'd', cmd: { say: 'd' } },
  ]
  t.strictSame(await resumed([play(list)], 'b'), {
    log: ['out out'],
    trace: ['a ok', 's ok', 'b ok', 'c changed', 'm ok'],
  })
  t.strictSame(await resumed([play(list)], 'm'), { log: [], trace: ['a ok', 's ok', 'b ok', 'c ok', 'm ok'] })
})

t.test('resume: a declared state is looked at again, and its register is as it was where it still holds', async (t) => {
  const playbooks = await load([
    play([
      { name: 'a', set: { key: 'a', value: 1 }, register: 'r' },
      { name: 'l', set: { key: '{{ item }}', value: 1 }, loop: ['x', 'y'], register: 'l' },
      { name: 'b', cmd: { say: 'b' } },
      { name: 'c', cmd: { say: 'a {{ r.changed }}, x {{ l.results.[0].changed }}, y {{ l.results.[1].changed }}' } },
    ]),
  ])
  for (const [drift, trace, said] of [
    [[], ['a ok', 'l ok', 'b ok', 'c changed'], 'a true, x true, y true'],
    [['a'], ['a changed', 'l ok', 'b ok', 'c changed'], 'a true, x true, y true'],
    [['y'], ['a ok', 'l changed', 'b ok', 'c changed'], 'a true, x false, y true'],
  ] as const) {
    const host = new FakeHost('h1')
    const journal = new FakeJournal()
    await runPlays(undefined, 1, { playbooks, hosts: [host], journal })
    // As if it had been killed behind b.
    journal.results.splice(journal.results.findIndex((r) => r.task === 'b') + 1)
    for (const key of drift) host.keys.set(key, 'by hand')
    const before = host.log.length
    const second = await runPlays(undefined, 1, { playbooks, hosts: [host], journal, resume: 'x' })
    t.strictSame(second.trace('h1'), trace)
    t.ok(host.log.slice(before).includes(said), host.log.join())
    for (const key of ['a', 'x', 'y']) t.equal(host.keys.get(key), '1', key)
  }
})

t.test('resume: a run_once task', async (t) => {
  const list = [
    { name: 'once', cmd: { say: 'once' }, run_once: true, register: 'r' },
    { name: 'x', note: { msg: 'x' } },
    { name: 'c', cmd: { say: 'c {{ r.stdout }}' } },
  ]
  t.strictSame(await resumed([play(list)], 'x'), { log: ['c once'], trace: ['once ok', 'x ok', 'c changed'] })
})

t.test('what an earlier run owes is done by the next, though nothing changes in it', async (t) => {
  const host = new FakeHost('h1')
  const journal = new FakeJournal()
  const first = play(
    [
      { name: 'a', set: { key: 'a', value: 1 }, notify: 'h' },
      { name: 'f', fail: {} },
    ],
    { name: 'p', handlers },
  )
  const playbooks = await load([first])
  const { events } = await runPlays(undefined, 1, { playbooks, hosts: [host], journal })
  t.match(events.at(-1), { owed: { h1: ['h'] } })
  const second = await runPlays(
    [play([{ name: 'a', set: { key: 'a', value: 1 }, notify: 'h' }], { name: 'p', handlers })],
    1,
    {
      hosts: [host],
      journal,
    },
  )
  t.strictSame(second.trace('h1'), ['a ok', 'h changed'])
  t.match(
    second.events.find((e) => e.type === 'host_note'),
    { msg: /still owed/ },
  )
  t.strictSame(journal.debtsOf('h1'), [])
})
