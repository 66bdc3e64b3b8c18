/**
 * What the controller spends on a host, without SSH: N hosts that answer at once, T tasks with nothing to do.
 *
 *     node --expose-gc bench/engine.ts [HOSTS] [TASKS]
 */
import { hostNames, load, play, runPlays } from '../test/engine/runner.ts'
import { FakeHost } from '../test/engine/world.ts'

const [hosts = 1000, tasks = 30] = process.argv.slice(2).map(Number)

/** As a node-preparation play is: literal arguments, some templates, a few conditions and registers. */
const steps = Array.from({ length: tasks }, (_, i) => ({
  name: `task ${i}`,
  set: { key: i % 3 === 0 ? `{{ prefix }}${i}` : `k${i}`, value: '1' },
  ...(i % 5 === 0 ? { when: 'enabled' } : {}),
  ...(i % 7 === 0 ? { register: `r${i}` } : {}),
}))
const playbooks = await load([play(steps, { vars: { prefix: 'k', enabled: true } })])

async function measure(count: number) {
  const fakes = hostNames(count).map((name) => new FakeHost(name))
  for (const host of fakes) for (let i = 0; i < tasks; i++) host.keys.set(`k${i}`, '1')
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  const started = process.cpuUsage()
  const { events, run } = await runPlays(undefined, count, { playbooks, hosts: fakes })
  const { user, system } = process.cpuUsage(started)
  const peak = process.memoryUsage().heapUsed
  globalThis.gc?.()
  const kept = process.memoryUsage().heapUsed - before
  const recap = events.at(-1)
  if (recap?.type !== 'recap' || Object.values(recap.hosts).some((h) => h.ok !== tasks)) throw new Error('not all ok')
  return { cpuMs: (user + system) / 1000, heapMb: (peak - before) / 2 ** 20, keptMb: kept / 2 ** 20, run }
}

await measure(20)
const { cpuMs, heapMb, keptMb } = await measure(hosts)
console.log(
  `${hosts} hosts, ${tasks} tasks: ${(cpuMs / hosts).toFixed(2)} ms CPU a host; heap at the end ${(heapMb / hosts).toFixed(3)} MB a host, ` +
    `${(keptMb / hosts).toFixed(3)} MB of it kept (with all events)`,
)
