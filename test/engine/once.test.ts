/** `run_once`: what the other hosts of the batch get of it. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadInventory } from '../../src/inventory/index.ts'
import { runHere } from '../attack/here.ts'
import { hostNames, play, runPlays } from './runner.ts'
import { FakeHost } from './world.ts'

t.test('the others say where it failed, and what it printed is no secret', async (t) => {
  const tasks = [
    { name: 'once', cmd: { say: 'what it printed', rc: 1 }, run_once: true, ignore_errors: true, register: 'r' },
    { name: 'told', note: { msg: '{{ r.stdout }}' } },
  ]
  const { events } = await runPlays([play(tasks)], 2)
  const of = (host: string, task: string) =>
    events.find((e) => e.type === 'task_result' && e.host === host && e.task === task)
  t.match(of('h1', 'once'), { status: 'ignored', stdout: 'what it printed' })
  t.match(of('h2', 'once'), { status: 'ignored', msg: 'run_once: failed on h1' })
  for (const host of ['h1', 'h2']) t.match(of(host, 'told'), { msg: 'what it printed' })
})

t.test('with no_log the others say no more than the one that ran it', async (t) => {
  const tasks = [
    { name: 'once', cmd: { say: 'a secret', rc: 1 }, run_once: true, ignore_errors: true, no_log: true, register: 'r' },
    { name: 'told', note: { msg: '{{ r.stdout }}' } },
  ]
  const { events } = await runPlays([play(tasks)], 2)
  t.notMatch(JSON.stringify(events), 'a secret')
})

t.test('what is set for the host of delegate_to is set for nobody else', async (t) => {
  const tasks = [
    {
      name: 'set',
      remember: { x: 'of h3' },
      run_once: true,
      delegate_to: 'h3',
      delegate_facts: true,
    },
    { name: 'told', note: { msg: '{{ default x "none" }}' } },
  ]
  for (const strategy of ['free', 'linear']) {
    const { events } = await runPlays([play(tasks, { strategy })], 3, {
      hosts: hostNames(3).map((n) => new FakeHost(n)),
    })
    const said = events.flatMap((e) => (e.type === 'task_result' && e.task === 'told' ? [`${e.host} ${e.msg}`] : []))
    t.strictSame(said.sort(), ['h1 none', 'h2 none', 'h3 of h3'])
  }
})

t.test('facts of one host are not kept as those of the others', async (t) => {
  const folder = t.testdir({ 'names.yml': '{ all: { hosts: { a: , b: }, vars: { ansible_connection: local } } }' })
  const tasks = [{ facts: {}, run_once: true }, { debug: { msg: '{{ facts.hostname }}' } }]
  const { results } = await runHere(folder, tasks, {
    inventory: await loadInventory([join(folder, 'names.yml')]),
    factsMaxAgeMs: 3_600_000,
    stateDir: folder,
  })
  t.strictSame(
    results.map(({ status }) => status),
    ['ok', 'ok', 'ok'],
  )
  t.strictSame(readdirSync(join(folder, '.runbook/facts')), ['a.json'])
})
