/** Variables of a play that say how its hosts are reached. */
import t from 'tap'
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
