import t from 'tap'
import fc from '../property.ts'
import { playbook, toYaml } from './plays.ts'
import { ReferenceHost, runReference } from './reference.ts'
import { hostNames, runPlays } from './runner.ts'
import { FakeHost } from './world.ts'

/** How many plays: more at night. */
const RUNS = Number(process.env.ENGINE_RUNS ?? 1000)
/**
 * The same plays each time, so that a red run says something of the change that it is run for; ENGINE_SEED=random tries
 * others (in `npm run test:full`), and ENGINE_SEED with ENGINE_PATH repeats a failure.
 */
const SEED = process.env.ENGINE_SEED === 'random' ? {} : { seed: Number(process.env.ENGINE_SEED ?? 20261120) }
const PATH = process.env.ENGINE_PATH ? { path: process.env.ENGINE_PATH } : {}
t.setTimeout(900_000)

t.test('random plays come to what the reference comes to', { timeout: 600_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      playbook,
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 5 }),
      async (plays, count, forks) => {
        const expected = hostNames(count).map((name) => new ReferenceHost(name))
        runReference(plays, expected)
        const files = {}
        const yaml = plays.map((p, i) => toYaml(p, i, files))
        const hosts = hostNames(count).map((name) => new FakeHost(name))
        const { trace, journal, run } = await runPlays(yaml, count, { hosts, forks, files })
        const seen = hosts.map((host, i) => ({
          name: host.name,
          trace: trace(host.name),
          log: host.log,
          keys: [...host.keys],
          owed: owedNow(run.stateOf(host.name)),
          vars: comparable(run.stateOf(host.name).vars, expected[i]!),
          ended: run.stateOf(host.name).ended !== undefined,
        }))
        const wanted = expected.map((host) => ({
          name: host.name,
          trace: host.trace,
          log: host.log,
          keys: [...host.keys],
          owed: [...host.owed].sort(),
          vars: comparable(host.vars, host),
          ended: host.failed,
        }))
        if (JSON.stringify(seen) !== JSON.stringify(wanted))
          throw new Error(
            `engine\n${seen.map((s) => JSON.stringify(s)).join('\n')}\nreference\n${wanted.map((s) => JSON.stringify(s)).join('\n')}`,
          )
        // What is owed in memory is owed in the journal, so that the next run pays it.
        for (const { name, owed } of seen)
          for (const handler of owed)
            if (!journal.debtsOf(name).includes(handler)) throw new Error(`${handler} of ${name} is lost`)
      },
    ),
    { numRuns: RUNS, ...SEED, ...PATH, endOnFailure: process.env.ENGINE_NO_SHRINK !== undefined },
  )
})

function owedNow(state: { notified: ReadonlyMap<{ name: { evaluate(scope: never): unknown } }, string> }): string[] {
  return [...state.notified.keys()].map((h) => String(h.name.evaluate(undefined as never))).sort()
}

/** Of register values: what both have. */
function comparable(vars: ReadonlyMap<string, unknown>, host: ReferenceHost): unknown {
  return ['r1', 'r2', 'x'].map((name) => {
    const [value, pattern] = [vars.get(name), host.vars.get(name)]
    return [name, pick(value, pattern)]
  })
}

function pick(value: unknown, pattern: unknown): unknown {
  if (Array.isArray(pattern))
    return Array.isArray(value) ? [value.length, ...pattern.map((p, i) => pick(value[i], p))] : value
  if (pattern === null || typeof pattern !== 'object') return value
  return Object.fromEntries(
    Object.entries(pattern).map(([k, p]) => [k, pick((value as Record<string, unknown>)?.[k], p)]),
  )
}
