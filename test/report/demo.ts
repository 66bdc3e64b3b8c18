/**
 * Shows a reporter at work on a made-up run: `node test/report/demo.ts [--hosts 300] [--speed 1] [--forks 50]
 * [--output tree|plain|json] [--diff] [-v…]`.
 */
import { parseArgs } from 'node:util'
import { createReporter, type OutputName } from '../../src/report/create.ts'
import type { Verbosity } from '../../src/report/reporter.ts'
import { simulate } from './simulate.ts'

const { values } = parseArgs({
  options: {
    hosts: { type: 'string', default: '3' },
    speed: { type: 'string', default: '1' },
    forks: { type: 'string', default: '50' },
    output: { type: 'string' },
    diff: { type: 'boolean', default: false },
    v: { type: 'boolean', short: 'v', multiple: true, default: [] },
  },
})
const reporter = await createReporter({
  output: values.output as OutputName | undefined,
  verbosity: Math.min(3, values.v.length) as Verbosity,
  diff: values.diff,
})
const { user, system } = process.cpuUsage()
for await (const event of simulate({ hosts: +values.hosts, speed: +values.speed, forks: +values.forks }))
  reporter.event(event)
await reporter.close()
const cpu = process.cpuUsage({ user, system })
process.stderr.write(`${((cpu.user + cpu.system) / 1000).toFixed(0)} ms CPU\n`)
