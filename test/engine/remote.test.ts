/** Variables of a play that say how its hosts are reached. */
import t from 'tap'
import { SessionError } from '../../src/session/session.ts'
import { runPlays } from './runner.ts'
import { FakeHost } from './world.ts'

t.test('of each play, above those of the inventory, under the command line', async (t) => {
  const seen: string[] = []
  const play = (vars: object) => ({ hosts: 'h1', gather_facts: false, vars, tasks: [{ set: { key: 'k', value: 1 } }] })
  const run = (plays: unknown[], extraVars = {}) =>
    runPlays(plays, 1, {
      extraVars,
      connect: async ({ name, user, port }) => {
        seen.push(`${user}:${port}`)
        return new FakeHost(name).connect()
      },
    })
  await run([
    play({ ansible_user: 'one', ansible_port: '{{ port }}', port: 2222 }),
    play({ ansible_user: 'two' }),
    play({ x: 1 }),
  ])
  t.strictSame(seen.splice(0), ['one:2222', 'two:undefined', 'undefined:undefined'])
  await run([play({ ansible_user: 'one' })], { ansible_user: 'given' })
  t.strictSame(seen.splice(0), ['given:undefined'])
  await t.rejects(run([play({}), play({ ansible_port: 'abc' })]), /ansible_port must be a number/)
  t.strictSame(seen, [], 'known before the first connection')
})

t.test('a host is logged in ahead of its first task, once, and that task is told what came of it', async (t) => {
  const tried: string[] = []
  let refusals = 0
  const plays = (first: object) => [
    { hosts: 'all', ...first, tasks: [{ set: { key: 'k', value: '{{ add 1 2 }}' }, ignore_unreachable: true }] },
  ]
  const run = (first: object, refused: number, flags = {}) =>
    runPlays(plays(first), 1, {
      ...flags,
      connect: async ({ name, user }) => {
        tried.push(`${name}:${user}`)
        if (refusals++ < refused) throw new SessionError('auth', name, 'the door is shut')
        return new FakeHost(name).connect()
      },
    })
  const refused = await run({ gather_facts: true }, 9)
  t.strictSame(refused.trace('h1'), ['Gather facts unreachable'])
  t.match(
    refused.events.find((event) => event.type === 'task_result'),
    { msg: /the door is shut/ },
  )
  t.strictSame(tried.splice(0), ['h1:undefined'], 'not tried twice')

  refusals = 0
  const again = await run({ gather_facts: true, ignore_unreachable: true }, 1)
  t.strictSame(again.trace('h1'), ['Gather facts ignored', 'set changed'])
  t.equal(tried.splice(0).length, 2, 'the next task tries anew')

  refusals = 0
  const none = await run({ gather_facts: false, become: true, become_method: '{{ nothing }}' }, 0)
  t.strictSame(none.trace('h1'), ['set failed'])
  t.strictSame(tried, [], 'a task that cannot be rendered needs no host')
})
