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

t.test('questions behind changes that hang: the changes are known, and made once', async (t) => {
  const host = new FakeHost('h1')
  const tasks = [
    { name: 'a', set: { key: 'a', value: 1 }, notify: 'h' },
    { name: 'b', cmd: { say: 'b' }, register: 'r' },
    { name: 'c', look: { key: 'c' }, ignore_errors: true },
    { name: 'd', set: { key: 'd', value: 1 } },
  ]
  const handlers = [{ name: 'h', cmd: { say: 'h' } }]
  // First the questions; then the change of a, behind which the questions of all hang.
  host.fate = (n) => (n === 1 ? { steps: 1, error: 'hang' } : n === 3 ? { steps: 0, error: 'timeout' } : undefined)
  const input = { hosts: [host], probeTimeoutMs: 50 }
  const { trace, journal } = await runPlays([play(tasks, { handlers })], 1, input)
  t.strictSame(trace('h1'), ['a changed', 'b changed', 'c ok', 'd changed', 'h changed'])
  t.strictSame(host.log, ['set a=1', 'b', 'set d=1', 'h'])
  t.strictSame(journal.debtsOf('h1'), [])
})

t.test('a change of which nobody can see whether it took', async (t) => {
  const host = new FakeHost('h1')
  host.fate = (n) => (n === 1 ? { steps: 1, error: 'hang' } : n === 2 ? { steps: 0, error: 'timeout' } : undefined)
  const tasks = [{ name: 'a', set: { key: 'a', value: 1 }, notify: 'h' }]
  const handlers = [{ name: 'h', cmd: { say: 'h' } }]
  const input = { hosts: [host], probeTimeoutMs: 50 }
  const { trace, events, journal } = await runPlays([play(tasks, { handlers })], 1, input)
  t.strictSame(trace('h1'), ['a failed'])
  t.match(
    events.find((e) => e.type === 'task_result'),
    { changes: [{ summary: 'set a=1' }], hint: /^the change was made; whether it took/ },
  )
  t.strictSame(journal.debtsOf('h1'), ['h'], 'its handler is owed')
})
