import { args, defineAction, isUnreachable, type KubernetesApi, kubeadm, TaskFailure, z } from '#module'

const POLL_MS = 1000

const schema = z.strictObject({
  ...kubeadm.clusterArgs,
  node: kubeadm.nodeNames,
  kubelet_version: z
    .string()
    .transform((v) => kubeadm.parseVersion(v)?.text ?? v)
    .optional()
    .describe('wait until kubelet is of this version, too'),
  timeout: args.seconds.default(300).describe('seconds'),
})
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Wait until nodes are Ready',
  description:
    'Says what they wait for: the message of kubelet, explained where it is known, and the pods of the system on the node ' +
    'that do not run. Changes nothing.',
  controllerOnly: true,
  args: schema,
  returns: { nodes: 'name, kubelet and schedulable of each' },
  examples: [{ name: 'After a join', yaml: 'wait_for_node:\n  control_planes: [cp1]\n  timeout: 120' }],
  async run(ctx, a) {
    const api = await ctx.kubernetes(kubeadm.clusterSource(a))
    const names = a.node ?? [ctx.host]
    const until = Date.now() + a.timeout * 1000
    for (let told = ''; ; ) {
      const open = await waitingFor(api, names, a)
      if (open.length === 0) return { changed: false, data: { nodes: await nodesOf(api, names) } }
      const words = open.join('; ')
      if (Date.now() > until)
        throw new TaskFailure(`not Ready after ${a.timeout} s: ${words}${await broken(api, names)}`)
      if (words !== told) ctx.log(words)
      told = words
      await ctx.sleep(POLL_MS)
    }
  },
  preview: kubeadm.foreseen<Args>(
    async (ctx, a) => {
      const open = await waitingFor(await ctx.kubernetes(kubeadm.clusterSource(a)), a.node ?? [ctx.host], a)
      return { changed: false, msg: open.length === 0 ? '' : `would wait: ${open.join('; ')}` }
    },
    { changed: false },
  ),
})

/** Why each node is not as wanted; an API that does not answer may come back. */
async function waitingFor(api: KubernetesApi, names: readonly string[], a: Args): Promise<string[]> {
  try {
    const reasons = await Promise.all(names.map((name) => reason(api, name, a)))
    return reasons.filter((one) => one !== undefined)
  } catch (error) {
    if (!isUnreachable(error)) throw error
    return [error.problems[0]!.message]
  }
}

async function reason(api: KubernetesApi, name: string, { kubelet_version }: Args): Promise<string | undefined> {
  const node = await kubeadm.getNode(api, name)
  if (!node) return `${name} is not in the cluster`
  const { ready, why, kubelet } = kubeadm.nodeStatus(node)
  if (!ready) return `${name}: ${why}`
  if (kubelet_version !== undefined && kubelet !== kubelet_version)
    return `${name}: kubelet is ${kubelet}, not ${kubelet_version}`
  return undefined
}

async function broken(api: KubernetesApi, names: readonly string[]): Promise<string> {
  const pods = await Promise.all(names.map((name) => kubeadm.brokenPods(api, name))).catch(() => [])
  return pods.flat().length === 0 ? '' : `\n  ${pods.flat().join('\n  ')}`
}

async function nodesOf(api: KubernetesApi, names: readonly string[]) {
  const nodes = await Promise.all(names.map((name) => kubeadm.getNode(api, name)))
  return nodes.flatMap((node) => {
    if (!node) return []
    const { kubelet, schedulable } = kubeadm.nodeStatus(node)
    return [{ name: node.metadata.name, kubelet, schedulable }]
  })
}
