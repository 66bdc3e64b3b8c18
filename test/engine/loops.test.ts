/** Loops: what is told and registered of their items. */
import t from 'tap'
import { play, runPlays } from './runner.ts'

t.test('a condition that left an item out is no secret of a task with no_log', async (t) => {
  const tasks = [
    { name: 'a', cmd: { say: 'a secret word' }, loop: [1, 2], when: 'item == 1', no_log: true, register: 'r' },
    { name: 'b', note: { msg: '{{ r.results.[0].stdout }}, {{ r.results.[1].msg }}' } },
  ]
  const { events } = await runPlays([play(tasks)], 1)
  t.match(
    events.find((e) => e.type === 'task_result' && e.task === 'b'),
    { msg: '********, when: item == 1 is false' },
  )
})

t.test('a loop without items has none in reports', async (t) => {
  const { events } = await runPlays([play([{ name: 'a', cmd: { say: 'x' }, loop: [] }])], 1)
  t.match(
    events.find((e) => e.type === 'task_result'),
    { status: 'skipped', msg: 'the loop has no items', items: [] },
  )
})

t.test('of a loop with an item that failed and one that changed something, both are told', async (t) => {
  const tasks = [
    { name: 'a', cmd: { say: 'x', rc: '{{ item }}' }, loop: [0, 1], register: 'r', ignore_errors: true },
    { name: 'b', note: { msg: '{{ r.changed }} {{ r.failed }}' } },
  ]
  const { events } = await runPlays([play(tasks)], 1)
  t.match(
    events.find((e) => e.type === 'task_result' && e.task === 'b'),
    { msg: 'true true' },
  )
})
