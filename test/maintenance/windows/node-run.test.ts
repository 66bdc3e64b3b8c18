/** What is known of a node whose run has died, by what it had said. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { processName } from '../../../src/journal/process.ts'
import { touchedBefore } from '../../../src/maintenance/windows/attempts.ts'
import { adoptNode, type NodeRunRequest } from '../../../src/maintenance/windows/node-run.ts'

const BEGAN = '{"type":"task_result","module":"debug","task_id":"0","status":"ok"}\n'
const drains = '{"type":"task_started","module":"drain","task_id":"1","looks":false}\n'
const stops = '{"type":"task_started","module":"node_stop","task_id":"2","looks":false}\n'
const isDone = '{"type":"recap","hosts":{"w1":{}}}\n'
const here = processName()
const [host, pid, start] = JSON.parse(here) as [string, number, string]
const beforeBoot = JSON.stringify([host, pid, start.replace(/^[^/]+/, '5e8d2c2e-0000-4000-8000-000000000000')])
const elsewhere = JSON.stringify(['elsewhere', pid, start])

function request(folder: string, attempt: number): NodeRunRequest {
  const rest = { cycle: false, reason: '', inventory: [], vars: {}, occurrence: 'o', onStep: () => {} }
  return { host: 'w1', playbook: 'cycle.yml', cwd: folder, folder, attempt, ...rest }
}

t.test('whether an earlier attempt may have changed it', async (t) => {
  for (const [title, want, ...attempts] of [
    ['none', false],
    ['came to its end, no more than drained', false, [BEGAN + drains + isDone, here]],
    ['came to its end, stopped services', true, [BEGAN + stops + isDone, here]],
    ['came to its end on a machine that has booted since', false, [BEGAN + drains + isDone, beforeBoot]],
    ['died before its first word', false, ['', here]],
    ['died in the drain', false, [BEGAN + drains, here]],
    ['died when services were being stopped', true, [BEGAN + drains + stops, here]],
    ['died in the middle of a line', true, [BEGAN + drains + stops.slice(0, 30), here]],
    ['died with its machine: its last words may be lost', true, [BEGAN + drains, beforeBoot]],
    ['on another machine', true, [BEGAN + drains, elsewhere]],
    ['nobody wrote down which process it was', true, [BEGAN + drains, '']],
    ['the first of two', true, [BEGAN + stops, here], [BEGAN + drains, here]],
    ['both no more than drained', false, [BEGAN + drains, here], [BEGAN + drains + isDone, here]],
  ] as const) {
    const folder = mkdtempSync(join(tmpdir(), 'runbook-node-run-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    for (const [i, [out, process]] of attempts.entries()) {
      writeFileSync(join(folder, `w1.${i + 1}.ndjson`), out)
      if (process)
        writeFileSync(join(folder, `w1.${i + 1}.started.json`), JSON.stringify({ process, playbook: 'cycle.yml' }))
    }
    t.equal(touchedBefore(request(folder, attempts.length + 1)), want, title)
  }
})

t.test('one that runs is taken up also when its daemon died just after it had started it', async (t) => {
  const folder = t.testdir({})
  t.equal(adoptNode(null, request(folder, 1)), undefined, 'none was started')
  const child = spawn('sleep', ['600'])
  const name = processName(child.pid)
  const ended = new Promise((done) => child.once('exit', done))
  writeFileSync(join(folder, 'w1.1.started.json'), JSON.stringify({ process: name, playbook: 'cycle.yml' }))
  writeFileSync(join(folder, 'w1.1.ndjson'), BEGAN)
  const run = adoptNode(null, request(folder, 1))
  t.equal(run?.process, name)
  run?.stop()
  t.match(await run?.done, { status: 'gone' })
  await ended
  t.equal(adoptNode(null, request(folder, 1)), undefined, 'at its end, without its last words')
})
