/**
 * `npm run bench -- kubernetes`: from booted hosts to all nodes Ready by playbooks/site.yml, beside the same bare commands
 * run by a script (test/lab/kubernetes/cluster.ts: the floor), each on a new lab with local images, in turn; then site.yml
 * again with nothing to do. `--control-planes 3`, `--workers 2`, `--runs 3`, `--again 5`, `--without floor`.
 */
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { bareCluster, kubectl, type Timings } from '../test/lab/kubernetes/cluster.ts'
import { bootKubernetesLab, type KubernetesLab } from '../test/lab/kubernetes/index.ts'
import { writeInventory } from '../test/lab/kubernetes/inventory.ts'
import { type Ran, SITE, siteOf } from '../test/playbooks/site.ts'

const { values } = parseArgs({
  options: {
    'control-planes': { type: 'string', default: '3' },
    workers: { type: 'string', default: '2' },
    runs: { type: 'string', default: '3' },
    again: { type: 'string', default: '5' },
    without: { type: 'string', default: '' },
  },
})
const hosts = { controlPlanes: Number(values['control-planes']), workers: Number(values.workers) }
const WITHOUT = values.without.split(',')

function median(all: readonly number[]): number {
  const sorted = all.toSorted((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}
const seconds = (all: readonly number[]): string =>
  `${median(all).toFixed(1)} s (${all.map((one) => one.toFixed(1)).join(', ')})`

async function allReady(lab: KubernetesLab): Promise<void> {
  const nodes = await kubectl(lab, ['get', 'nodes', '--no-headers'])
  if (nodes.match(/ Ready /g)?.length !== lab.lab.hosts.length) throw new Error(`not all nodes are Ready:\n${nodes}`)
}

function must(ran: Ran): Ran {
  if (ran.rc !== 0) throw new Error(`runbook ended with ${ran.rc}: ${ran.failed.map((f) => f.msg).join('\n')}`)
  return ran
}

const load = (): string => loadavg()[0]!.toFixed(1)
const ours: number[] = []
const floor: number[] = []
const again: number[] = []
let [first, later] = [0, 0]
for (let run = 1; run <= Number(values.runs); run++) {
  if (!WITHOUT.includes('floor')) {
    await using lab = await bootKubernetesLab(hosts)
    const before = load()
    const started = performance.now()
    const timings: Timings = await bareCluster(lab)
    floor.push((performance.now() - started) / 1000)
    await allReady(lab)
    console.log(`floor    ${floor.at(-1)!.toFixed(1)} s  ${JSON.stringify(timings)} ms  (load ${before} before)`)
  }
  await using lab = await bootKubernetesLab(hosts)
  const site = siteOf(lab, await writeInventory(lab))
  const before = load()
  const made = must(await site.runbook('apply', SITE))
  ours.push(made.seconds)
  first = Math.max(first, made.scripts)
  await allReady(lab)
  console.log(`runbook  ${made.seconds.toFixed(1)} s  ${made.scripts} scripts a host at most  (load ${before} before)`)
  if (run < Number(values.runs)) continue
  for (let n = 0; n < Number(values.again); n++) {
    const { seconds, scripts, changed } = must(await site.runbook('apply', SITE))
    if (changed.length > 0) throw new Error(`changed again: ${changed.map((c) => `${c.host} ${c.task}`).join(', ')}`)
    again.push(seconds)
    later = Math.max(later, scripts)
  }
  console.log(`again    ${seconds(again)}, ${later} scripts a host at most  (load ${load()} behind)`)
}

console.log(`\n${hosts.controlPlanes} control planes, ${hosts.workers} workers; medians`)
if (floor.length > 0) console.log(`  bare commands      ${seconds(floor)}`)
console.log(`  runbook, site.yml  ${seconds(ours)}, ${first} scripts a host at most`)
if (floor.length > 0)
  console.log(`  ratio              ${(median(ours) / median(floor)).toFixed(2)} (aim: at most 1.25)`)
console.log(`  nothing to do      ${seconds(again)}, ${later} scripts a host at most (aim: 5 s, 10 scripts)`)
