/** What a node's run has done to the node, as its events come. */
import t from 'tap'
import { Progress } from '../../../src/maintenance/windows/progress.ts'

const started = (module: string, looks = false) => ({ type: 'task_started', task_id: module, module, looks })
const result = (module: string, status: string) => ({ type: 'task_result', task_id: module, module, status })

for (const [title, want, ...events] of [
  ['nothing yet', 'untouched'],
  ['a cordon', 'untouched', started('cordon'), result('cordon', 'changed')],
  ['in the middle of a drain', 'untouched', result('node_preflight', 'ok'), started('drain')],
  ['a drain that was cut off', 'untouched', started('drain'), result('drain', 'failed')],
  ['services are being stopped', 'touched', result('drain', 'changed'), started('node_stop')],
  ['there was nothing to stop', 'untouched', started('node_stop'), result('node_stop', 'ok')],
  ['a file is being written', 'touched', started('copy')],
  ['a file is as it should be', 'untouched', result('copy', 'ok')],
  ['a task failed half way', 'touched', started('copy'), result('copy', 'failed')],
  ['a command is under way', 'unsure', started('command')],
  ['a command that looks', 'untouched', started('shell', true)],
  ['a command that looked, and was cut off', 'untouched', started('shell', true), result('shell', 'failed')],
  ['a command changed nothing', 'untouched', started('command'), result('command', 'ok')],
  ['a command changed something', 'touched', started('command'), result('command', 'changed')],
  ['a change behind a look', 'touched', started('shell', true), result('shell', 'ok'), started('service')],
  ['skipped', 'untouched', result('node_shutdown', 'skipped')],
] as const)
  t.test(title, async (t) => {
    const progress = new Progress()
    for (const event of events) progress.take(event)
    t.equal(progress.touch, want)
  })
