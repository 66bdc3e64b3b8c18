/** What is known of a node whose run has died, by what it had said. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { processName } from '../../../src/journal/process.ts'
import { touchedBefore } from '../../../src/maintenance/windows/node-run.ts'

const BEGAN = '{"type":"task_result","module":"debug","task_id":"0","status":"ok"}\n'
const drains = '{"type":"task_started","module":"drain","task_id":"1","looks":false}\n'
const stops = '{"type":"task_started","module":"node_stop","task_id":"2","looks":false}\n'
const isDone = '{"type":"recap","hosts":{"w1":{}}}\n'
const here = processName()
const [host, pid, start] = JSON.parse(here) as [string, number, string]
const beforeBoot = JSON.stringify([host, pid, start.replace(/^[^/]+/, '5e8d2c2e-0000-4000-8000-000000000000')])
const elsewhere = JSON.stringify(['elsewhere', pid, start])

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
    const touched = touchedBefore({
      ...{ host: 'w1', playbook: 'cycle.yml', cycle: false, reason: '', inventory: [], vars: {}, cwd: folder },
      ...{ occurrence: 'o', folder, attempt: attempts.length + 1, onStep: () => {} },
    })
    t.equal(touched, want, title)
  }
})
