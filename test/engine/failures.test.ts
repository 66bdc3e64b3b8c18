/** Connections that break, hosts that vanish, runs that are killed: nothing is done twice in silence, no handler is lost. */

import t from 'tap'
import { SessionError } from '../../src/session/session.ts'
import fc from '../property.ts'
import { FakeJournal, load, type Options, play, runPlays } from './runner.ts'
import { FakeHost, type Fate } from './world.ts'

const RUNS = Number(process.env.ENGINE_RUNS ?? 300)
t.setTimeout(900_000)

interface Step {
  readonly what: 'set' | 'cmd' | 'look'
  readonly notify: string | undefined
  readonly register: boolean
  readonly loop: boolean
  readonly block: boolean
}

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom('set', 'set', 'set', 'cmd', 'look'),
  notify: fc.constantFrom(undefined, 'H1', 'H2'),
  register: fc.boolean(),
  loop: fc.boolean(),
  block: fc.boolean(),
})

/** Every task has keys and words of its own, so that the host's log says who did what. */
function toPlay(steps: readonly Step[]): unknown {
  const tasks = steps.map(({ what, notify, register, loop, block }, i) => {
    const name = loop && what !== 'cmd' ? `t${i}-{{ item }}` : `t${i}`
    const task = {
      name: `t${i}`,
      ...(what === 'cmd'
        ? { cmd: { say: name } }
        : what === 'look'
          ? { look: { key: name } }
          : { set: { key: name, value: 1 } }),
      ...(loop && what !== 'cmd' ? { loop: ['a', 'b'] } : {}),
      ...(notify ? { notify } : {}),
      ...(register ? { register: `r${i}` } : {}),
      ...(i > 0 && steps[i - 1]!.register ? { when: `!r${i - 1}.failed` } : {}),
    }
    return block ? { block: [task], always: [{ name: `a${i}`, set: { key: `a${i}`, value: 1 } }] } : task
  })
  const handlers = ['H1', 'H2'].map((name) => ({ name, cmd: { say: name } }))
  return play(tasks, { name: 'p', handlers })
}

/** Every change that notifies is followed by its handler, or the handler is still owed. */
function lostHandlers(steps: readonly Step[], host: FakeHost, journal: FakeJournal): string[] {
  return steps.flatMap(({ notify, what }, i) => {
    if (notify === undefined || what === 'look') return []
    const last = host.log.findLastIndex((line) => new RegExp(`^(set )?t${i}(-|=|$)`).test(line))
    const ran = host.log.lastIndexOf(notify)
    return last === -1 || ran > last || journal.debtsOf(host.name).includes(notify) ? [] : [`${notify} of t${i}`]
  })
}

const twice = (host: FakeHost): string[] =>
  host.log.filter((line, i) => /^t\d+$/.test(line) && host.log.indexOf(line) !== i)

const fates = fc.array(
  fc.record({
    at: fc.nat(8),
    steps: fc.option(fc.nat(6), { nil: undefined }),
    error: fc.constantFrom<Fate['error']>('lost', 'lost', 'lost', 'timeout'),
  }),
  { maxLength: 3 },
)

t.test('requests that are lost, before, in the middle of and after their work', { timeout: 300_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), fates, async (steps, fates) => {
      const host = new FakeHost('h1')
      const plan = new Map(fates.map(({ at, ...fate }) => [at, fate]))
      host.fate = (n) => plan.get(n)
      const { journal, trace, events } = await runPlays([toPlay(steps)], 1, { hosts: [host] })
      const lost = lostHandlers(steps, host, journal)
      if (lost.length > 0) throw new Error(`lost ${lost}: ${host.log}\n${trace('h1').join('\n')}`)
      if (twice(host).length > 0) throw new Error(`twice: ${twice(host)}`)
      const failed = trace('h1').some((line) => line.endsWith('failed'))
      // Without commands and timeouts a lost connection is nobody's concern.
      const harmless = steps.every((s) => s.what !== 'cmd' && !s.notify) && fates.every((f) => f.error === 'lost')
      if (harmless && failed)
        throw new Error(`failed: ${JSON.stringify(events.filter((e) => e.type === 'task_result'))}`)
      if (harmless) {
        const calm = await runPlays([toPlay(steps)], 1)
        if (JSON.stringify(trace('h1')) !== JSON.stringify(calm.trace('h1'))) throw new Error(`trace ${trace('h1')}`)
        if (JSON.stringify([...host.keys]) !== JSON.stringify([...calm.host('h1').keys])) throw new Error('other keys')
      }
      // The next run does what is left.
      host.fate = () => undefined
      await runPlays([toPlay(steps)], 1, { hosts: [host], journal })
      const still = lostHandlers(steps, host, journal)
      if (still.length > 0 || journal.debtsOf('h1').length > 0) throw new Error(`still owed: ${journal.debtsOf('h1')}`)
    }),
    { numRuns: RUNS },
  )
})

t.test('a run that is killed, then run again or resumed', { timeout: 300_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      fc.nat(3),
      async (steps, resume, inFlight) => {
        const playbooks = await load([toPlay(steps)])
        const calm = await runPlays(undefined, 1, { playbooks })
        let length = 1
        for (let kill = 0; kill < length; kill++) {
          const host = new FakeHost('h1')
          const journal = new FakeJournal()
          let n = 0
          journal.onRecord = () => {
            if (n++ === kill) {
              journal.dead = true
              host.gone = true
            }
          }
          await runPlays(undefined, 1, { playbooks, hosts: [host], journal })
          length = Math.max(length, n)
          const before = [...host.log]
          const known = new Set(journal.results.filter((r) => r.status === 'changed').map((r) => r.task))
          journal.dead = false
          host.gone = false
          journal.onRecord = () => {}
          const options: Options = { playbooks, hosts: [host], journal }
          await runPlays(undefined, 1, resume ? { ...options, resume: 'x' } : options)
          if (JSON.stringify([...host.keys].sort()) !== JSON.stringify([...calm.host('h1').keys].sort()))
            throw new Error(`killed at ${kill}: ${[...host.keys]}`)
          const lost = lostHandlers(steps, host, journal)
          if (lost.length > 0 || journal.debtsOf('h1').length > 0) throw new Error(`killed at ${kill}: lost ${lost}`)
          const again = host.log.slice(before.length).filter((line) => known.has(line) && /^t/.test(line))
          if (resume && again.length > 0) throw new Error(`killed at ${kill}: done again ${again}`)
        }
        return inFlight >= 0
      },
    ),
    { numRuns: Math.ceil(RUNS / 10) },
  )
})

t.test('a command whose connection is lost is not run again', async (t) => {
  for (const steps of [0, undefined]) {
    const host = new FakeHost('h1')
    host.fate = (n) => (n === 0 ? { steps, error: 'lost' } : undefined)
    const { events, trace } = await runPlays([play([{ name: 'c', cmd: { say: 'c' } }])], 1, { hosts: [host] })
    t.strictSame(trace('h1'), ['c failed'])
    t.match(
      events.find((e) => e.type === 'task_result'),
      { msg: /it may have run to its end, in part, or not at all/ },
    )
    t.strictSame(host.log, steps === 0 ? [] : ['c'])
  }
})

t.test('a command that changes nothing is run again', async (t) => {
  const host = new FakeHost('h1')
  host.fate = (n) => (n === 0 ? { error: 'lost' } : undefined)
  const task = { name: 'c', cmd: { say: 'c' }, changed_when: false, check_mode: false }
  const { trace } = await runPlays([play([task])], 1, { hosts: [host] })
  t.strictSame(trace('h1'), ['c ok'])
})

t.test('a host that loses every connection is given up', async (t) => {
  const host = new FakeHost('h1')
  host.fate = () => ({ steps: 0, error: 'lost' })
  const { trace } = await runPlays([play([{ name: 's', set: { key: 'a', value: 1 } }])], 1, { hosts: [host] })
  t.strictSame(trace('h1'), ['s unreachable'])
  t.equal(host.connections, 4)
})

t.test('a host that vanishes while it is changed owes its handlers', async (t) => {
  const host = new FakeHost('h1')
  host.fate = (n) => {
    host.gone = n === 1
    return n === 1 ? { error: 'lost' } : undefined
  }
  const tasks = [{ name: 's', set: { key: 'a', value: 1 }, notify: 'h' }]
  const { trace, journal } = await runPlays([play(tasks, { handlers: [{ name: 'h', cmd: { say: 'h' } }] })], 1, {
    hosts: [host],
  })
  t.strictSame(trace('h1'), ['s unreachable'])
  t.strictSame(host.log, ['set a=1'])
  t.strictSame(journal.debtsOf('h1'), ['h'])
})

t.test('an answer that cannot be had fails its own task', async (t) => {
  const tasks = [
    { name: 'a', set: { key: 'a', value: 1 }, ignore_errors: true },
    { name: 'b', look: { key: '!b' }, ignore_errors: true },
    { name: 'c', set: { key: 'c', value: 1 } },
  ]
  const { trace, host } = await runPlays([play(tasks)], 1)
  t.strictSame(trace('h1'), ['a changed', 'b ignored', 'c changed'])
  t.strictSame(host('h1').log, ['set a=1', 'set c=1'])
})

t.test('what does not converge fails', async (t) => {
  const tasks = [
    { name: 'a', set: { key: 'a', value: 1 } },
    { name: 'w', wedge: { key: 'w', value: 1 }, ignore_errors: true, notify: 'h' },
    { name: 'b', set: { key: 'b', value: 1 } },
  ]
  const { trace, events } = await runPlays([play(tasks, { handlers: [{ name: 'h', note: { msg: 'x' } }] })], 1)
  // b rode in the same request: it is done, and said to be.
  t.strictSame(trace('h1'), ['a changed', 'w ignored', 'b changed', 'h ok'])
  t.match(
    events.find((e) => e.type === 'task_result' && e.task === 'w'),
    { msg: /did not converge/ },
  )
})

t.test('an unreachable host is an error that rescue and always see', async (t) => {
  const host = new FakeHost('h1')
  host.gone = true
  const look = { name: 'l', look: { key: 'a' } }
  const rescue = [{ name: 'r', note: { msg: 'x' } }]
  const always = [{ name: 'z', note: { msg: 'x' } }]
  for (const [task, expected] of [
    [{ block: [look], rescue }, ['l rescued', 'r ok']],
    [{ block: [look], always }, ['l unreachable', 'z ok']],
    [{ ...look, ignore_unreachable: true }, ['l ignored']],
    [{ ...look, ignore_errors: true }, ['l unreachable']],
    [{ ...look, loop: [1, 2, 3] }, ['l unreachable']],
  ] as const) {
    const { trace } = await runPlays([play([task])], 1, { hosts: [host] })
    t.strictSame(trace('h1'), expected)
  }
})

t.test('errors of the session as they come', async (t) => {
  for (const [error, status] of [
    ['timeout', 'failed'],
    ['upload', 'failed'],
    ['become', 'failed'],
    ['unreachable', 'unreachable'],
    ['locked', 'unreachable'],
  ] as const) {
    const host = new FakeHost('h1')
    host.fate = (n) => (n === 1 ? { error } : undefined)
    const { trace } = await runPlays([play([{ name: 's', set: { key: 'a', value: 1 } }])], 1, { hosts: [host] })
    t.strictSame(trace('h1'), [`s ${status}`])
  }
  t.ok(new SessionError('lost', 'h', 'x'))
})
