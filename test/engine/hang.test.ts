import t from 'tap'
import { play, runPlays } from './runner.ts'
import { FakeHost } from './world.ts'

t.test('a question that hangs fails the task that asks it, not the first of the window', async (t) => {
  const host = new FakeHost('h1')
  // All three together, then one by one.
  host.fate = (n) => (n === 0 || n === 2 ? { steps: 0, error: 'timeout' } : undefined)
  const look = (key: string) => ({ name: key, look: { key }, ignore_errors: true })
  const { trace, events } = await runPlays([play([look('a'), look('b'), look('c'), look('d')])], 1, { hosts: [host] })
  t.strictSame(trace('h1'), ['a ok', 'b ignored', 'c ok', 'd ok'])
  t.match(
    events.find((e) => e.type === 'task_result' && e.task === 'b'),
    { hint: /a dead NFS server/ },
  )
  t.equal(host.requests.length, 5)
})

t.test('a task that asks alone is not asked again', async (t) => {
  const host = new FakeHost('h1')
  host.fate = () => ({ steps: 0, error: 'timeout' })
  const { trace } = await runPlays([play([{ name: 'a', look: { key: 'a' } }])], 1, { hosts: [host] })
  t.strictSame(trace('h1'), ['a failed'])
  t.equal(host.requests.length, 1)
})
