/** `runbook node drain` on a real API: beside the same release's kubectl drain (requests and effects), and with budgets. */
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { kubectl as inLab } from '../lab/kubernetes/cluster.ts'
import { skipWithoutKubernetes } from '../lab/kubernetes/skip.ts'
import { attempt, type CommandResult } from '../lab/run.ts'
import { ROOT } from './runbook.ts'
import { bootSite, converges, SITE, type Site } from './site.ts'

const HOUR = 60 * 60_000
t.setTimeout(HOUR)

const IMAGE = 'runbook.test/test-server:1'
const AUDIT = '/var/log/lab-audit'

/** What the API server writes down of the requests of a drain. */
const POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Request
    verbs: [create, delete, patch]
    userGroups: ['kubeadm:cluster-admins']
    resources: [{ group: '', resources: [pods, pods/eviction, nodes] }]
  - level: None
`

const VARS = {
  kubernetes_cluster_configuration: {
    apiServer: {
      extraArgs: [
        { name: 'audit-policy-file', value: `${AUDIT}/policy.yml` },
        { name: 'audit-log-path', value: `${AUDIT}/audit.log` },
      ],
      extraVolumes: [{ name: 'audit', hostPath: AUDIT, mountPath: AUDIT, pathType: 'DirectoryOrCreate' }],
    },
  },
}

interface AuditEvent {
  readonly verb: string
  readonly userAgent: string
  readonly requestURI: string
  readonly objectRef: { readonly resource: string; readonly subresource?: string; readonly name: string }
  readonly requestObject?: {
    readonly spec?: object
    readonly dryRun?: readonly string[]
    readonly gracePeriodSeconds?: number
    readonly deleteOptions?: { readonly dryRun?: readonly string[]; readonly gracePeriodSeconds?: number }
  }
}

type Spec = Record<string, unknown>

const pod = (more: Spec = {}): Spec => ({
  terminationGracePeriodSeconds: 2,
  containers: [
    {
      name: 'server',
      image: IMAGE,
      args: ['serve', ':8080'],
      env: [{ name: 'DRAIN_SECONDS', value: '0' }],
      readinessProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1 },
    },
  ],
  ...more,
})

/** Runs, and is never Ready. */
const sick = (more: Spec): Spec =>
  pod({
    containers: [
      { name: 'server', image: IMAGE, args: ['serve', ':1'], readinessProbe: { exec: { command: ['/no'] } } },
    ],
    ...more,
  })

const deployment = (name: string, replicas: number, spec: Spec): Spec => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, labels: { test: 'drain' } },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name, test: 'drain' } }, spec },
  },
})

const budget = (name: string, app: string, spec: Spec): Spec => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name, labels: { test: 'drain' } },
  spec: { selector: { matchLabels: { app } }, ...spec },
})

/** On n2 and nowhere else. */
const PINNED = { nodeSelector: { 'kubernetes.io/hostname': 'n2' } }
const WORKLOAD = [
  deployment('web', 2, pod(PINNED)),
  deployment('cache', 1, pod({ ...PINNED, volumes: [{ name: 'scratch', emptyDir: {} }] })),
  {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'bare', labels: { app: 'bare', test: 'drain' } },
    spec: pod(PINNED),
  },
]

/** Names that controllers make are others each time. */
const nameless = (name: string): string => name.replace(/^(web|cache)-.*/, '$1-*')

interface Cluster {
  readonly site: Site
  kubectl(...argv: string[]): Promise<CommandResult>
  drain(...argv: string[]): Promise<CommandResult>
  uncordon(): Promise<void>
  /** Makes these, and nothing else; waits until their pods are Ready. */
  put(objects: readonly Spec[], patient?: boolean): Promise<void>
  /** Requests of a program that changed something, since the last call. */
  requests(agent: RegExp): Promise<string[]>
  /** Pods of the test on n2. */
  left(): Promise<string[]>
  isCordoned(): Promise<boolean>
}

async function clusterOf(site: Site): Promise<Cluster> {
  const { lab } = site
  const kubeconfig = path.join(lab.controlPlanes[0]!.rootfs, 'etc/kubernetes/admin.conf')
  const log = path.join(lab.controlPlanes[0]!.rootfs, AUDIT, 'audit.log')
  const binary = path.join(lab.kubernetes.releases[lab.minor]!.bin, 'kubectl')
  const env = { ...process.env, HOME: lab.lab.hosts[0]!.rootfs }
  const runbook = [process.execPath, path.join(ROOT, 'bin/runbook.js'), 'node']
  const kubectl = (...argv: string[]) => attempt([binary, '--kubeconfig', kubeconfig, ...argv], { env })
  const must = async (...argv: string[]): Promise<string> => {
    const { rc, stdout, stderr } = await kubectl(...argv)
    if (rc !== 0) throw new Error(`kubectl ${argv.join(' ')}: ${stderr}`)
    return stdout
  }
  let seen = 0
  return {
    site,
    kubectl,
    drain: (...argv) => attempt([...runbook, 'drain', 'n2', '--kubeconfig', kubeconfig, ...argv], { env }),
    async uncordon() {
      await attempt([...runbook, 'uncordon', 'n2', '--kubeconfig', kubeconfig], { env })
      await must('uncordon', 'n2')
    },
    async put(objects, patient = true) {
      await must('delete', 'deployments,pods,pdb', '-l', 'test=drain', '--wait=true', '--timeout=300s')
      const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
      await inLab(lab, ['apply', '-f', '-'], { input })
      for (const { kind, metadata } of objects as { kind: string; metadata: { name: string } }[]) {
        if (!patient) continue
        if (kind === 'Deployment') await must('rollout', 'status', `deployment/${metadata.name}`, '--timeout=300s')
        if (kind === 'Pod') await must('wait', '--for=condition=Ready', `pod/${metadata.name}`, '--timeout=300s')
      }
    },
    async requests(agent) {
      const lines = (await readFile(log, 'utf8')).trim().split('\n')
      const events = lines.slice(seen).map((line) => JSON.parse(line) as AuditEvent)
      seen = lines.length
      return events
        .filter(({ userAgent }) => agent.test(userAgent))
        .flatMap(summary)
        .sort()
    },
    async left() {
      const jsonpath = 'jsonpath={range .items[*]}{.metadata.name}{"\\n"}{end}'
      const fields = ['--field-selector', 'spec.nodeName=n2', '-l', 'test=drain']
      return (await must('get', 'pods', ...fields, '-o', jsonpath)).split('\n').filter(Boolean).map(nameless).sort()
    },
    isCordoned: async () => (await must('get', 'node', 'n2', '-o', 'jsonpath={.spec.unschedulable}')) === 'true',
  }
}

/** What counts of a request: to what, with what. */
function summary({ verb, requestURI, objectRef, requestObject: body }: AuditEvent): string[] {
  const { resource, subresource, name } = objectRef
  const options = body?.deleteOptions ?? body
  if (requestURI.includes('dryRun=') || (options?.dryRun?.length ?? 0) > 0) return []
  if (resource === 'nodes') return body?.spec ? [`${verb} node ${name} ${JSON.stringify(body.spec)}`] : []
  return [`${verb} ${subresource ?? 'pod'} ${nameless(name)} grace=${options?.gracePeriodSeconds}`]
}

const CASES: readonly [name: string, flags: readonly string[], isRefused: boolean][] = [
  ['everything that stands in the way', [], true],
  ['no --force', ['--ignore-daemonsets', '--delete-emptydir-data'], true],
  ['no --delete-emptydir-data', ['--ignore-daemonsets', '--force'], true],
  ['all', ['--ignore-daemonsets', '--force', '--delete-emptydir-data'], false],
  ['a selector', ['--ignore-daemonsets', '--pod-selector=app=web'], false],
  ['a grace period', ['--ignore-daemonsets', '--force', '--delete-emptydir-data', '--grace-period=1'], false],
  ['deletion', ['--ignore-daemonsets', '--force', '--delete-emptydir-data', '--disable-eviction'], false],
]

async function besideKubectl(t: Test, cluster: Cluster): Promise<void> {
  for (const [name, flags, isRefused] of CASES) {
    await t.test(name, async (t) => {
      await cluster.put(WORKLOAD)
      await cluster.requests(/./)
      const theirs = await cluster.kubectl('drain', 'n2', '--timeout=300s', ...flags)
      const [theirRequests, theirsLeft] = [await cluster.requests(/^kubectl/), await cluster.left()]
      t.equal(theirs.rc, isRefused ? 1 : 0, `kubectl: ${theirs.stderr}`)
      t.ok(await cluster.isCordoned())
      await cluster.uncordon()

      await cluster.put(WORKLOAD)
      await cluster.requests(/./)
      const ours = await cluster.drain('--timeout=300s', ...flags)
      const [ourRequests, oursLeft] = [await cluster.requests(/^runbook/), await cluster.left()]
      t.equal(ours.rc, isRefused ? 3 : 0, `runbook: ${ours.stdout}${ours.stderr}`)
      t.same(oursLeft, theirsLeft, 'the same pods are left')
      t.ok(theirRequests.length > 0, 'requests are written down')
      // kubectl cordons before it looks; we touch nothing when something stands in the way.
      t.same(ourRequests, isRefused ? [] : theirRequests, 'the same requests')
      t.equal(await cluster.isCordoned(), !isRefused)
      await cluster.uncordon()
    })
  }
}

/** All pods begin on n2, and may go elsewhere afterwards. */
async function putOnN2(cluster: Cluster, objects: readonly Spec[]): Promise<void> {
  for (const other of ['n1', 'n3']) await cluster.kubectl('cordon', other)
  await cluster.put(objects)
  for (const other of ['n1', 'n3']) await cluster.kubectl('uncordon', other)
}

async function budgets(t: Test, cluster: Cluster): Promise<void> {
  const flags = ['--ignore-daemonsets', '--timeout=300s']

  await t.test('one at a time: a budget is never overdrawn', async (t) => {
    await putOnN2(cluster, [deployment('web', 3, pod()), budget('web', 'web', { maxUnavailable: 1 })])
    t.same(await cluster.left(), ['web-*', 'web-*', 'web-*'])
    const draining = cluster.drain(...flags)
    let least = 3
    let isOver = false
    const watching = (async () => {
      while (!isOver) {
        const { stdout } = await cluster.kubectl(
          'get',
          'deployment',
          'web',
          '-o',
          'jsonpath={.status.availableReplicas}',
        )
        least = Math.min(least, Number(stdout || 0))
      }
    })()
    const { rc, stdout } = await draining
    isOver = true
    await watching
    t.equal(rc, 0, stdout)
    t.same(await cluster.left(), [])
    t.ok(least >= 2, `${least} of 3 were there all the time`)
    await cluster.uncordon()
  })

  await t.test('two budgets for one pod: said before anything is touched', async (t) => {
    await cluster.put([
      deployment('web', 2, pod(PINNED)),
      budget('one', 'web', { maxUnavailable: 1 }),
      budget('two', 'web', { maxUnavailable: 1 }),
    ])
    const { rc, stdout } = await cluster.drain(...flags)
    t.equal(rc, 3)
    t.match(stdout, /default\/web-\S+: .*(one|two).*(one|two)/)
    t.notOk(await cluster.isCordoned())
  })

  await t.test('a budget that lets nothing go at the moment is waited for', async (t) => {
    // One of three is not Ready, elsewhere: when it is not wanted any more, one of the others may go.
    const late = deployment('late', 1, sick({ nodeSelector: { 'kubernetes.io/hostname': 'n3' } }))
    const all = budget('web', 'web', { selector: { matchLabels: { test: 'drain' } }, maxUnavailable: 1 })
    await putOnN2(cluster, [deployment('web', 2, pod()), all])
    await inLab(cluster.site.lab, ['apply', '-f', '-'], { input: JSON.stringify(late) })
    await cluster.kubectl('wait', '--for=jsonpath={.status.disruptionsAllowed}=0', 'pdb/web', '--timeout=300s')
    const short = await cluster.drain('--ignore-daemonsets', '--timeout=10s')
    t.equal(short.rc, 3, `nothing is touched while it is in the way: ${short.stdout}`)
    t.notOk(await cluster.isCordoned())
    const draining = cluster.drain(...flags)
    await sleep(5000)
    // Not deleted: while its pod is still there, the budget would have one without a controller and could not be computed.
    await cluster.kubectl('scale', 'deployment', 'late', '--replicas=0')
    const { rc, stdout } = await draining
    t.equal(rc, 0, stdout)
    t.match(stdout, /budget/i)
    t.same(await cluster.left(), [])
    await cluster.uncordon()
  })

  await t.test('unhealthy pods go when the budget says so', async (t) => {
    await cluster.put(
      [
        deployment('web', 2, sick(PINNED)),
        budget('web', 'web', { minAvailable: 2, unhealthyPodEvictionPolicy: 'AlwaysAllow' }),
      ],
      false,
    )
    await cluster.kubectl('wait', '--for=jsonpath={.status.expectedPods}=2', 'pdb/web', '--timeout=300s')
    await cluster.kubectl('wait', '--for=jsonpath={.status.phase}=Running', 'pods', '-l', 'app=web', '--timeout=300s')
    const { rc, stdout } = await cluster.drain(...flags)
    t.equal(rc, 0, stdout)
    t.same(await cluster.left(), [])
    await cluster.uncordon()
  })
}

t.test('drain on a real API', { skip: skipWithoutKubernetes(), timeout: HOUR }, async (t) => {
  await using site = await bootSite({ controlPlanes: 1, workers: 2 }, VARS)
  const folder = path.join(site.lab.controlPlanes[0]!.rootfs, AUDIT)
  await mkdir(folder, { recursive: true })
  await writeFile(path.join(folder, 'policy.yml'), POLICY)
  await appendFile(path.join(folder, 'audit.log'), '', { mode: 0o600 })
  await converges(t, site, SITE)
  const cluster = await clusterOf(site)
  await t.test('beside kubectl', (t) => besideKubectl(t, cluster))
  await t.test('budgets', (t) => budgets(t, cluster))
})
