import t from 'tap'
import type { StepAnswer } from '../../src/engine/stepper.ts'
import { play, runPlays } from './runner.ts'

/** Runs tasks with `--step`, answered in order; tells what was asked. */
async function step(answers: readonly StepAnswer[], plays: unknown, hosts: number) {
  const asked: string[] = []
  const rest = [...answers]
  const result = await runPlays(plays, hosts, {
    step: async (task, names) => {
      asked.push(`${task} on ${names.join()}`)
      const answer = rest.shift()
      if (!answer) throw new Error(`asked once too often: ${task}`)
      return answer
    },
  })
  return { asked, ...result }
}

const cmd = (name: string, more: object = {}) => ({ name, cmd: { say: name }, ...more })

t.test('one question a task for all hosts; no leaves it out; a handler left out stays owed', async (t) => {
  const tasks = [
    cmd('one', { notify: ['told', 'done'] }),
    cmd('two'),
    cmd('{{ inventory_hostname }}', { loop: ['a', 'b'] }),
    cmd('once', { run_once: true }),
  ]
  const handlers = [cmd('told'), cmd('done')]
  const { asked, trace, host, journal } = await step(
    ['yes', 'no', 'yes', 'no', 'no', 'yes'],
    [play(tasks, { handlers })],
    2,
  )
  t.same(asked, ['one on h1,h2', 'two on h1,h2', 'h1 on h1,h2', 'once on h1,h2', 'told on h1,h2', 'done on h1,h2'])
  for (const name of ['h1', 'h2']) {
    t.same(trace(name), [
      'one changed',
      'two skipped',
      `${name} changed`,
      'once skipped',
      'told skipped',
      'done changed',
    ])
    t.same(host(name).log, ['one', name, name, 'done'])
    t.same(journal.debtsOf(name), ['told'])
  }
})

t.test('nothing of a later task is done before its question is answered', async (t) => {
  let during = ''
  const { hosts } = await runPlays([play([cmd('one'), cmd('two')])], 2, {
    forks: 1,
    step: async (task) => {
      during += `${task};`
      return 'yes'
    },
    onEvent: (event) => {
      if (event.type === 'task_result') during += `${event.host} ${event.task};`
    },
  })
  t.match(during, /^one;h[12] one;h[12] one;two;h[12] two;h[12] two;$/)
  t.same(
    hosts.map(({ log }) => log),
    [
      ['one', 'two'],
      ['one', 'two'],
    ],
  )
})

t.test('continue asks no more; stop begins no more', async (t) => {
  const plays = [play([cmd('one'), cmd('two'), cmd('three')]), play([cmd('four')])]
  const on = await step(['no', 'continue'], plays, 3)
  t.same(on.asked.length, 2)
  t.same(on.host('h3').log, ['two', 'three', 'four'])
  const off = await step(['yes', 'stop'], plays, 3)
  t.same(off.host('h2').log, ['one'])
  t.match(off.events.at(-1), { type: 'recap', interrupted: true })
})

t.test('hosts that a rescue led apart are asked for apart', async (t) => {
  const block = {
    block: [cmd('may fail', { failed_when: "inventory_hostname == 'h1'" }), cmd('went well')],
    rescue: [cmd('saved')],
  }
  const { asked, trace } = await step(['yes', 'yes', 'no', 'yes'], [play([block, cmd('last')])], 2)
  t.same(asked, ['may fail on h1,h2', 'went well on h2', 'saved on h1', 'last on h1,h2'])
  t.same(trace('h1'), ['may fail rescued', 'saved skipped', 'last changed'])
  t.same(trace('h2'), ['may fail changed', 'went well changed', 'last changed'])
})
