/** Check mode reports exactly the changes that are made afterwards, or says that it cannot tell. */

import t from 'tap'
import type { TaskResultEvent } from '../../src/shared/events.ts'
import fc from '../property.ts'
import { playbook, toYaml } from './plays.ts'
import type { PlaySpec, StepSpec, TaskSpec } from './reference.ts'
import { runPlays } from './runner.ts'
import { FakeHost } from './world.ts'

const RUNS = Number(process.env.ENGINE_RUNS ?? 300)
t.setTimeout(900_000)

/** Tasks that state what is wanted; commands and what is judged by their output cannot be foreseen. */
function calm(step: StepSpec): StepSpec[] {
  if (step.kind === 'include') {
    const steps = step.steps.flatMap((s) => calm(s) as TaskSpec[])
    return steps.length > 0 ? [{ ...step, steps }] : []
  }
  if (step.kind === 'block')
    return [
      {
        ...step,
        block: step.block.flatMap(calm),
        rescue: step.rescue.flatMap(calm),
        always: step.always.flatMap(calm),
      },
    ]
  const { failedWhen: _f, changedWhen: _c, ...rest } = step
  return rest.work.module === 'cmd' || rest.work.module === 'act' || rest.work.module === 'look' ? [] : [rest]
}

const calmPlay = (play: PlaySpec): PlaySpec => ({
  ...play,
  fatal: false,
  maxFailPercentage: undefined,
  handlers: play.handlers.map((h) => ({
    ...h,
    work: { module: 'note' },
    notify: undefined,
    failedWhen: undefined,
    changedWhen: undefined,
    when: undefined,
  })),
  sections: play.sections.map((s) => s.flatMap(calm)),
})

t.test('random plays', { timeout: 300_000 }, async () => {
  let compared = 0
  await fc.assert(
    fc.asyncProperty(playbook, fc.subarray(['a', 'b', 'c']), async ([first], keys) => {
      const files = {}
      const play = toYaml(calmPlay(first!), 0, files)
      const host = new FakeHost('h1')
      for (const key of keys) host.keys.set(key, '1')
      const before = JSON.stringify([...host.keys])
      const results = async (check: boolean) => {
        const { events } = await runPlays([play], 1, { hosts: [host], check, files })
        return events.filter((e): e is TaskResultEvent => e.type === 'task_result' && !e.handler)
      }
      const foreseen = await results(true)
      if (host.log.length > 0 || JSON.stringify([...host.keys]) !== before)
        throw new Error('check mode changed the host')
      const made = await results(false)
      const unsure = (r: TaskResultEvent): boolean =>
        r.msg.includes('cannot tell') || (r.items ?? []).some((i) => i.msg.includes('cannot tell'))
      const end = foreseen.findIndex(unsure)
      // What comes behind the first thing that is not sure can go another way.
      for (const [i, r] of (end === -1 ? foreseen : foreseen.slice(0, end)).entries()) {
        compared++
        const line = (x: TaskResultEvent | undefined): string => `${x?.task} ${x?.status} ${JSON.stringify(x?.changes)}`
        if (line(r) !== line(made[i])) throw new Error(`foreseen ${line(r)}, made ${line(made[i])}`)
      }
      if (end === -1 && foreseen.length !== made.length) throw new Error('other tasks')
    }),
    { numRuns: RUNS },
  )
  if (compared < RUNS) throw new Error(`only ${compared} results were compared`)
})

t.test('what cannot be told is said', async (t) => {
  const set = (key: string, value: number, more = {}) => ({ name: `${key}${value}`, set: { key, value }, ...more })
  const tasks = [
    set('a', 1),
    set('a', 2, { register: 'r' }),
    set('b', 1),
    set('c', 1, { when: 'r.changed' }),
    { name: 'cmd', cmd: { say: 'x' }, register: 'c' },
    set('d', 1, { when: 'c.rc == 0' }),
    set('e', 1),
  ]
  const { events } = await runPlays([{ hosts: 'all', gather_facts: false, tasks }], 1, { check: true })
  t.strictSame(
    events.flatMap((e) =>
      e.type === 'task_result' ? [`${e.task} ${e.status}${e.msg.includes('cannot tell') ? ' ?' : ''}`] : [],
    ),
    ['a1 changed', 'a2 changed ?', 'b1 changed', 'c1 skipped ?', 'cmd changed', 'd1 skipped ?', 'e1 changed'],
  )
})

t.test('what changes that were not made would have made possible does not fail', async (t) => {
  const [set, as] = [{ set: { key: 'k', value: 1 } }, { become: true, become_user: 'app' }]
  const later = [
    { name: 'an action', peek: { key: 'k' } },
    { name: 'tried again', peek: { key: 'k' }, until: 'r.rc == 0', register: 'r', retries: 1000, delay: 1000 },
    { name: 'last', set: { key: 'l', value: 1 } },
  ]
  const user = [{ name: 'as a new user', set: { key: 'm', value: 1 }, ...as }, later.at(-1)]
  const results = async (tasks: unknown[]) => {
    const host = new FakeHost('h1')
    host.strangers.add('app')
    const { events } = await runPlays([{ hosts: 'all', gather_facts: false, tasks }], 1, { hosts: [host], check: true })
    return events.flatMap((e) => (e.type === 'task_result' ? [`${e.task} ${e.status}`] : []))
  }
  t.strictSame(await results([set, ...later]), [
    'set changed',
    'an action skipped',
    'tried again skipped',
    'last changed',
  ])
  t.strictSame(await results(later), ['an action failed'], 'nothing came before')
  const useradd = { name: 'useradd', cmd: { say: 'useradd app' } }
  t.strictSame(await results([useradd, ...user]), ['useradd changed', 'as a new user skipped', 'last changed'])
  t.strictSame(await results(user), ['as a new user failed'], 'nothing came before')
  t.strictSame(await results([set, ...user]), ['set changed', 'as a new user failed'], 'it makes no user')
})

t.test('meta steers check mode too', async (t) => {
  const tasks = [{ name: 'a', note: { msg: 'x' } }, { meta: 'end_host' }, { name: 'b', note: { msg: 'x' } }]
  const { trace } = await runPlays([{ hosts: 'all', gather_facts: false, tasks }], 1, { check: true })
  t.strictSame(trace('h1'), ['a ok', 'meta ok'])
})
