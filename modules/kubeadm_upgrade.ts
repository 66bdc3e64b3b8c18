import {
  type ActionContext,
  args,
  defineAction,
  type KubeObject,
  type KubernetesApi,
  kubeadm,
  TaskFailure,
  z,
} from '#module'

const { FILES } = kubeadm

const schema = z.strictObject({
  ...kubeadm.clusterArgs,
  kubernetes_version: z
    .string()
    .refine((v) => kubeadm.parseVersion(v) !== undefined, 'must be a whole version, such as v1.34.1')
    .transform((v) => kubeadm.parseVersion(v)!)
    .describe('the version to go to; kubeadm on the host must be of it already'),
  node_name: z.string().optional().describe('name of the node; default: the hostname'),
  ignore_preflight_errors: z.array(z.string()).default([]).describe('checks of kubeadm that may fail'),
  timeout: args.seconds.default(900).describe('seconds that kubeadm may take'),
})
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Take a node to another version with kubeadm',
  description:
    'The first control plane that is reached upgrades the cluster (kubeadm upgrade apply), the others and the workers ' +
    'themselves (upgrade node). One minor at a time; kubelets that would be too old for the new API server, and control ' +
    'planes that are not Ready, stop it before anything is changed. Control planes first, one at a time. kubelet itself ' +
    'is upgraded by its package and a restart afterwards.',
  args: schema,
  returns: { node: 'name of the node', from: 'version of the cluster before' },
  examples: [
    {
      name: 'One node',
      yaml: 'kubeadm_upgrade:\n  kubernetes_version: v1.34.1\n  control_planes: [cp1]\nbecome: true',
    },
  ],
  async run(ctx, a) {
    const state = await kubeadm.settledState(ctx)
    const step = await nextStep(ctx, a, state)
    const { node, from } = step
    if (step.argv === undefined) return { changed: false, data: { node, from } }
    const version = await kubeadm.kubeadmVersion(ctx)
    const target = a.kubernetes_version
    if (version.minor !== target.minor || kubeadm.compare(version, target) < 0)
      throw new TaskFailure(
        `kubeadm is ${version.text}: install the one of ${target.text} first (role kubernetes_packages)`,
      )
    const flags = a.ignore_preflight_errors.map((check) => `--ignore-preflight-errors=${check}`)
    const words = `upgrade ${step.argv[1]}`
    const result = await kubeadm.runKubeadm(ctx, [...step.argv, ...flags], {
      timeoutMs: a.timeout * 1000,
      log: ctx.log,
    })
    const after = result.lost ? await kubeadm.settledState(ctx) : await ctx.read(kubeadm.hostState)
    if (result.rc !== 0 && !result.lost) throw kubeadm.kubeadmFailure(words, result)
    if (after.files.has(FILES.apiServer) && after.apiServer !== target.text)
      throw result.lost
        ? kubeadm.kubeadmFailure(words, result)
        : new TaskFailure(`kubeadm ${words} has ended, but the API server is still ${after.apiServer}`)
    return {
      changed: true,
      changes: [{ summary: `kubeadm ${words} (${from} to ${target.text})` }],
      data: { node, from },
    }
  },
  async preview(ctx, a) {
    const { argv, node, from } = await nextStep(ctx, a, await ctx.read(kubeadm.hostState))
    if (argv === undefined) return { changed: false, data: { node, from } }
    return {
      changed: true,
      changes: [{ summary: `kubeadm upgrade ${argv[1]} (${from} to ${a.kubernetes_version.text})` }],
      data: { node, from },
    }
  },
})

interface Step {
  readonly node: string
  readonly from: string
  /** Undefined: the node is there. */
  readonly argv: readonly string[] | undefined
}

async function nextStep(ctx: ActionContext, a: Args, state: kubeadm.HostState): Promise<Step> {
  const target = a.kubernetes_version
  const api = await ctx.kubernetes(kubeadm.clusterSource(a))
  const name = a.node_name ?? state.hostname
  const node = await kubeadm.getNode(api, name)
  if (!node || !state.files.has(FILES.kubelet)) throw new TaskFailure(`${name} is no node of ${api.server}`)
  const from = await clusterVersion(api)
  const trouble = kubeadm.upgradeTrouble(from, target)
  if (trouble !== undefined) throw new TaskFailure(trouble)

  const isControlPlane = state.files.has(FILES.apiServer)
  const stays = { node: name, from: from.text, argv: undefined }
  if (kubeadm.compare(from, target) === 0) {
    const there = isControlPlane ? state.apiServer === target.text : kubeadm.nodeStatus(node).kubelet === target.text
    return there ? stays : { ...stays, argv: ['upgrade', 'node'] }
  }
  if (!isControlPlane)
    throw new TaskFailure(`the control planes are ${from.text} still: they go to ${target.text} before any worker`)
  const problems = obstacles(await api.list({ apiVersion: 'v1', kind: 'Node' }), target)
  if (problems.length > 0) throw new TaskFailure(`the cluster cannot go to ${target.text}: ${problems.join('; ')}`)
  return { ...stays, argv: ['upgrade', 'apply', '--yes', target.text] }
}

async function clusterVersion(api: KubernetesApi): Promise<kubeadm.Version> {
  const text = await kubeadm.clusterConfiguration(api)
  const version = /^kubernetesVersion:\s*"?(\S+?)"?\s*$/m.exec(text ?? '')?.[1]
  if (version === undefined) throw new TaskFailure(`${api.server} has no kubeadm-config: was it made by kubeadm?`)
  return kubeadm.mustParse(version, 'kubeadm-config')
}

/** Nodes that forbid the upgrade, each with why. */
function obstacles(nodes: readonly KubeObject[], target: kubeadm.Version): string[] {
  return nodes.flatMap((node) => {
    const { name } = node.metadata
    const { ready, why, kubelet } = kubeadm.nodeStatus(node)
    if (kubeadm.isControlPlane(node) && !ready) return [`control plane ${name} is not Ready (${why})`]
    const version = kubeadm.parseVersion(kubelet)
    const skew = version && kubeadm.kubeletSkew(version, target)
    // A kubelet that is newer was upgraded before its control plane; going on mends that.
    return skew === undefined || (version && kubeadm.compare(version, target) > 0) ? [] : [`${name}: ${skew}`]
  })
}
