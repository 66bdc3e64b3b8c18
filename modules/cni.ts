import { createHash } from 'node:crypto'
import {
  type ActionContext,
  type AppliedObject,
  args,
  defineAction,
  describeRef,
  type KubeObject,
  type KubernetesApi,
  kubeadm,
  TaskFailure,
  z,
} from '#module'

const POLL_MS = 1000
const FETCH_MS = 60_000

const schema = z.strictObject({
  ...kubeadm.clusterArgs,
  manifest: z
    .string()
    .min(1)
    .describe(
      'the CNI’s manifest: a file beside the playbook or role, or an https URL: flannel, Calico, Cilium (rendered)',
    ),
  sha256: z
    .string()
    .regex(/^([0-9a-f]{64})?$/, 'must be 64 hex digits')
    .default('')
    .describe("what the manifest must hash to; give it with a URL. '' checks nothing"),
  pod_subnet: z
    .string()
    .optional()
    .describe(
      'network of the pods, as the cluster has it: a manifest of flannel or Calico that names another one is refused, for it never works',
    ),
  force_conflicts: args.boolean.default(false).describe('take fields over that kubectl or others have set'),
  wait: args.boolean.default(true).describe('wait until its pods run'),
  timeout: args.seconds.default(300).describe('seconds to wait'),
})
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Install the pod network from its manifest',
  description:
    'Applies the manifest server-side and waits until the workloads in it run on every node. Where a node says "cni plugin ' +
    'not initialized", the failure says what that means and which pod is in trouble.',
  controllerOnly: true,
  args: schema,
  examples: [
    {
      name: 'flannel',
      yaml: 'cni:\n  manifest: files/kube-flannel.yml\n  pod_subnet: 10.244.0.0/16\n  control_planes: [cp1]\nrun_once: true',
    },
  ],
  async run(ctx, a) {
    const { api, applied } = await apply(ctx, a, false)
    if (a.wait) await rolledOut(ctx, api, applied, a.timeout)
    return report(applied)
  },
  preview: kubeadm.foreseen<Args>(async (ctx, a) => report((await apply(ctx, a, true)).applied), { changed: true }),
})

async function apply(ctx: ActionContext, a: Args, dryRun: boolean) {
  const text = await load(ctx, a)
  const named = podNetworks(text)
  if (a.pod_subnet && named.length > 0 && !a.pod_subnet.split(',').some((network) => named.includes(network.trim())))
    throw new TaskFailure(
      `${a.manifest} has the pod network ${named.join(', ')}, the cluster ${a.pod_subnet}: edit the one or the other`,
    )
  const api = await ctx.kubernetes(kubeadm.clusterSource(a))
  const applied = await api.applyManifest(text, a.manifest, { dryRun, force: a.force_conflicts })
  return { api, applied }
}

/**
 * The pod networks that a manifest names: flannel's net-conf.json, Calico's first pool. Calico as it is shipped names none (the
 * lines are a comment) and takes kubeadm's; Cilium gives pods addresses of pools of its own.
 */
function podNetworks(text: string): string[] {
  const names =
    /^[^#\n]*(?:"(?:IPv6)?Network": *"|name: *CALICO_IPV[46]POOL_CIDR *\n *value: *["']?)([\da-fA-F.:]+\/\d+)/gm
  return [...text.matchAll(names)].map(([, network]) => network!)
}

async function load(ctx: ActionContext, { manifest, sha256 }: Args): Promise<string> {
  const text = /^https?:\/\//.test(manifest) ? await download(ctx, manifest) : await file(ctx, manifest)
  const hash = createHash('sha256').update(text).digest('hex')
  if (sha256 !== '' && hash !== sha256)
    throw new TaskFailure(`${manifest} has the checksum ${hash}, expected ${sha256}`)
  return text
}

async function file(ctx: ActionContext, path: string): Promise<string> {
  const { content } = await ctx.loadFile(path, 'file')
  if (content === undefined) throw new TaskFailure(`${path} is too large for a manifest`)
  return content.toString('utf8')
}

async function download(ctx: ActionContext, url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.any([ctx.signal, AbortSignal.timeout(FETCH_MS)]) })
    if (!response.ok) throw new Error(`HTTP ${response.status}`)
    return await response.text()
  } catch (error) {
    const { message, cause } = error as Error
    const why = cause instanceof Error ? cause.message : message
    throw new TaskFailure(`${url} cannot be fetched: ${why}; without a way out, name a file`)
  }
}

function report(applied: readonly AppliedObject[]) {
  const changes = applied
    .filter(({ changed }) => changed)
    .map(({ ref, before }) => ({ summary: `${before ? 'configure' : 'create'} ${describeRef(ref)}` }))
  const data = { objects: applied.map(({ ref }) => describeRef(ref)) }
  return { changed: changes.length > 0, changes, data }
}

/** Waits for the DaemonSets and Deployments of the manifest. */
async function rolledOut(
  ctx: ActionContext,
  api: KubernetesApi,
  applied: readonly AppliedObject[],
  timeout: number,
): Promise<void> {
  const workloads = applied.map(({ ref }) => ref).filter(({ kind }) => ['DaemonSet', 'Deployment'].includes(kind))
  const until = Date.now() + timeout * 1000
  for (let told = ''; ; ) {
    const objects = await Promise.all(workloads.map((ref) => api.get(ref)))
    const open = workloads.flatMap((ref, i) => {
      const why = objects[i] ? unfinished(objects[i]) : 'is gone'
      return why === undefined ? [] : [`${describeRef(ref)} ${why}`]
    })
    if (open.length === 0) return
    if (Date.now() > until) throw new TaskFailure(`${open.join('; ')} after ${timeout} s${await trouble(api)}`)
    if (open.join() !== told) ctx.log(open.join('; '))
    told = open.join()
    await ctx.sleep(POLL_MS)
  }
}

/** Why a workload is not there yet, by kubectl's rules (rollout status); undefined when it is. */
function unfinished({ kind, metadata, spec, status }: KubeObject): string | undefined {
  const s = (status ?? {}) as Record<string, number | undefined>
  if ((s.observedGeneration ?? 0) < Number(metadata.generation ?? 0)) return 'has not been seen by its controller'
  const [wanted, updated, available] =
    kind === 'DaemonSet'
      ? [s.desiredNumberScheduled ?? 0, s.updatedNumberScheduled ?? 0, s.numberAvailable ?? 0]
      : [(spec as { replicas?: number }).replicas ?? 1, s.updatedReplicas ?? 0, s.availableReplicas ?? 0]
  if (updated >= wanted && available >= wanted) return undefined
  return `runs on ${Math.min(updated, available)} of ${wanted}`
}

/** What nodes and their pods say. */
async function trouble(api: KubernetesApi): Promise<string> {
  const nodes = await api.list({ apiVersion: 'v1', kind: 'Node' })
  const lines = nodes.flatMap((node) => {
    const { ready, why } = kubeadm.nodeStatus(node)
    return ready ? [] : [`${node.metadata.name}: ${why}`]
  })
  const pods = await Promise.all(nodes.map((node) => kubeadm.brokenPods(api, node.metadata.name)))
  const all = [...lines, ...pods.flat()]
  return all.length === 0 ? '' : `\n  ${all.join('\n  ')}`
}
