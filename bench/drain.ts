/**
 * `npm run bench -- drain`: how long a drain of a node with 100 pods takes beside its slowest pod's own termination, by
 * `runbook node drain` and by kubectl in turn, on a lab cluster. `--pods 100`, `--ends 5` (seconds that each pod takes to
 * end after SIGTERM), `--runs 3`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { loadavg } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { bareCluster, kubectl } from '../test/lab/kubernetes/cluster.ts'
import { bootKubernetesLab, type KubernetesLab } from '../test/lab/kubernetes/index.ts'
import { attempt } from '../test/lab/run.ts'

const { values } = parseArgs({
  options: {
    pods: { type: 'string', default: '100' },
    ends: { type: 'string', default: '5' },
    runs: { type: 'string', default: '3' },
  },
})
const PODS = Number(values.pods)

interface Drain {
  readonly seconds: number
  /** Of the pod that took longest from the request to end it until it was gone. */
  readonly slowest: number
}

const median = (all: readonly number[]): number => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)]!
const seconds = (all: readonly number[]): string =>
  `${median(all).toFixed(1)} s (${all.map((one) => one.toFixed(1)).join(', ')})`

/** Replacements have nowhere else to go: they wait until the node takes pods again. */
const workload = (node: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas: PODS,
    selector: { matchLabels: { app: 'web' } },
    strategy: { type: 'Recreate' },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: {
        nodeSelector: { 'kubernetes.io/hostname': node },
        containers: [
          {
            name: 'server',
            image: 'runbook.test/test-server:1',
            args: ['serve', ':8080'],
            env: [{ name: 'DRAIN_SECONDS', value: values.ends }],
          },
        ],
      },
    },
  },
})

interface WatchEvent {
  readonly type: string
  readonly object: { readonly metadata: { readonly name: string; readonly deletionTimestamp?: string } }
}

/** When the API said of the node's pods that they are to end, and that they are gone: milliseconds, by name. */
class Watch implements Disposable {
  readonly asked = new Map<string, number>()
  readonly gone = new Map<string, number>()
  private readonly child: ChildProcess
  constructor(argv: readonly string[], node: string) {
    const query = `watch=1&labelSelector=app%3Dweb&fieldSelector=spec.nodeName%3D${node}`
    const words = [...argv.slice(1), 'get', '--raw', `/api/v1/namespaces/default/pods?${query}`]
    this.child = spawn(argv[0]!, words, { stdio: ['ignore', 'pipe', 'inherit'] })
    createInterface({ input: this.child.stdout! }).on('line', (line) => {
      const { type, object } = JSON.parse(line) as WatchEvent
      const { name, deletionTimestamp } = object.metadata
      if (deletionTimestamp !== undefined && !this.asked.has(name)) this.asked.set(name, performance.now())
      if (type === 'DELETED') this.gone.set(name, performance.now())
    })
  }
  slowest(): number {
    const each = [...this.gone].map(([name, at]) => at - this.asked.get(name)!)
    return Math.max(...each) / 1000
  }
  [Symbol.dispose](): void {
    this.child.kill()
  }
}

async function measure(lab: KubernetesLab, node: string, argv: (kubeconfig: string) => string[]): Promise<Drain> {
  await kubectl(lab, ['uncordon', node])
  await kubectl(lab, ['rollout', 'status', 'deployment/web', '--timeout=600s'])
  const kubeconfig = path.join(lab.controlPlanes[0]!.rootfs, 'etc/kubernetes/admin.conf')
  using watch = new Watch([...theirs(lab, kubeconfig)], node)
  const env = { ...process.env, HOME: lab.lab.hosts[0]!.rootfs }
  const started = performance.now()
  const { rc, stdout, stderr } = await attempt(argv(kubeconfig), { env })
  const took = (performance.now() - started) / 1000
  if (rc !== 0) throw new Error(`the drain ended with ${rc}: ${stdout}${stderr}`)
  if (watch.gone.size !== PODS) throw new Error(`${watch.gone.size} of ${PODS} pods were seen to go`)
  return { seconds: took, slowest: watch.slowest() }
}

const theirs = (lab: KubernetesLab, kubeconfig: string): string[] => [
  path.join(lab.kubernetes.releases[lab.minor]!.bin, 'kubectl'),
  '--kubeconfig',
  kubeconfig,
]

// The other worker takes nothing: a last node is not drained.
await using lab = await bootKubernetesLab({ controlPlanes: 1, workers: 2 })
await bareCluster(lab)
const node = lab.workers[0]!.name
await kubectl(lab, ['apply', '-f', '-'], { input: JSON.stringify(workload(node)) })

const runbook = [process.execPath, path.join(import.meta.dirname, '../bin/runbook.js'), 'node', 'drain', node]
const programs: Record<string, (kubeconfig: string) => string[]> = {
  kubectl: (kubeconfig) => [...theirs(lab, kubeconfig), 'drain', node, '--ignore-daemonsets'],
  runbook: (kubeconfig) => [...runbook, '--kubeconfig', kubeconfig, '--ignore-daemonsets'],
}
const drains: Record<string, Drain[]> = { kubectl: [], runbook: [] }
for (let run = 0; run < Number(values.runs); run++)
  for (const [name, argv] of Object.entries(programs)) {
    const drain = await measure(lab, node, argv)
    drains[name]!.push(drain)
    const words = `${drain.seconds.toFixed(2)} s, the slowest pod ${drain.slowest.toFixed(2)} s`
    console.log(`${name}  ${words}  (load ${loadavg()[0]!.toFixed(1)} behind)`)
  }

console.log(`\n${PODS} pods that end ${values.ends} s after SIGTERM; medians`)
for (const [name, all] of Object.entries(drains)) {
  const beyond = all.map(({ seconds, slowest }) => seconds - 1.1 * slowest)
  console.log(`  ${name}  ${seconds(all.map((one) => one.seconds))}, slowest pod ${seconds(all.map((o) => o.slowest))}`)
  console.log(`           beyond 1.1 times the slowest pod: ${seconds(beyond)} (aim: at most 1.0 s)`)
}
