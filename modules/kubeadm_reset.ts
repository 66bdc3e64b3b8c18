import {
  type ActionContext,
  args,
  defineAction,
  isUnreachable,
  type KubernetesApi,
  kubeadm,
  TaskFailure,
  z,
} from '#module'

const { FILES } = kubeadm

const schema = z.strictObject({
  confirm: z.string().describe('the inventory’s name of the host: what is destroyed has to be named'),
  control_planes: kubeadm.clusterArgs.control_planes.describe(
    'hosts of the inventory that are control planes: the node is deleted through one that is not this host',
  ),
  kubeconfig: kubeadm.clusterArgs.kubeconfig,
  node_name: z.string().optional().describe('name of the node; default: the hostname'),
  last_control_plane: args.boolean
    .default(false)
    .describe('true: reset it also if it is the last control plane, which is the end of the cluster and its data'),
  timeout: args.seconds.default(300).describe('seconds that kubeadm may take'),
})
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Take a host out of its cluster and undo kubeadm',
  description:
    'Runs kubeadm reset (which also takes a control plane out of etcd), then removes what that leaves: CNI configuration ' +
    'and links, the rules of kube-proxy and the CNI. Images and other rules of the firewall stay. Deletes the node. Drain ' +
    'it first.',
  args: schema,
  examples: [
    {
      name: 'Take a worker out',
      yaml: 'kubeadm_reset:\n  confirm: worker-1\n  control_planes: [cp1, cp2, cp3]\nbecome: true',
    },
  ],
  async run(ctx, a) {
    const state = await kubeadm.settledState(ctx)
    const node = a.node_name ?? state.hostname
    const api = await check(ctx, a, state, node)
    const leftovers = await residue(ctx)
    const registered = api && (await kubeadm.getNode(api, node))
    if (!kubeadm.isTouched(state) && leftovers.length === 0 && !registered) return { changed: false }
    const result = await kubeadm.runKubeadm(ctx, ['reset', '--force', '--cleanup-tmp-dir'], {
      timeoutMs: a.timeout * 1000,
      log: ctx.log,
    })
    if (result.rc !== 0) throw kubeadm.kubeadmFailure('reset', result)
    const cleanup = await ctx.run(CLEANUP)
    if (cleanup.rc !== 0)
      throw new TaskFailure(`cleaning up after kubeadm reset: ${cleanup.stderr.toString('utf8').trim()}`)
    if (api) await api.delete({ apiVersion: 'v1', kind: 'Node', name: node })
    return { changed: true, changes: [{ summary: `reset ${ctx.host}${api ? ` and delete node ${node}` : ''}` }] }
  },
  async preview(ctx, a) {
    const state = await ctx.read(kubeadm.hostState)
    await check(ctx, a, state, a.node_name ?? state.hostname)
    const clean = !kubeadm.isTouched(state) && (await residue(ctx)).length === 0
    return clean ? { changed: false } : { changed: true, changes: [{ summary: `reset ${ctx.host}` }] }
  },
})

/** Throws TaskFailure unless the host may be reset; gives the API of the cluster that stays. */
async function check(
  ctx: ActionContext,
  a: Args,
  state: kubeadm.HostState,
  node: string,
): Promise<KubernetesApi | undefined> {
  if (a.confirm !== ctx.host)
    throw new TaskFailure(`to reset ${ctx.host} say confirm: ${ctx.host} (it is "${a.confirm}")`)
  const others = a.control_planes?.filter((host) => host !== ctx.host) ?? []
  const holdsData = state.files.has(FILES.etcdData) || state.files.has(FILES.etcd)
  if (a.kubeconfig === undefined && others.length === 0) {
    if (holdsData && !a.last_control_plane)
      throw new TaskFailure(
        `${ctx.host} holds the cluster's etcd, and no other control plane is named: say control_planes, or ` +
          'last_control_plane: true to end the cluster with all its data',
      )
    return undefined
  }
  const source = kubeadm.clusterSource({ kubeconfig: a.kubeconfig, control_planes: others })
  const api = await ctx.kubernetes(source).catch((error: unknown) => {
    if (holdsData && !a.last_control_plane) throw error
    if (!(error instanceof TaskFailure || kubeadm.isGone(error))) throw error
    ctx.log(`the node is not deleted from the cluster: ${error.message}`)
    return undefined
  })
  if (!api || !holdsData || a.last_control_plane) return api
  try {
    const nodes = await api.list({ apiVersion: 'v1', kind: 'Node' })
    const others = nodes.filter((one) => kubeadm.isControlPlane(one) && one.metadata.name !== node)
    if (others.some((one) => kubeadm.nodeStatus(one).ready)) return api
    const names = others.map((one) => one.metadata.name).join(', ')
    throw new TaskFailure(
      names === ''
        ? `${node} is the last control plane: say last_control_plane: true to end the cluster with all its data`
        : `no other control plane is Ready (${names}): without ${node} the cluster could not go on`,
    )
  } catch (error) {
    if (isUnreachable(error))
      throw new TaskFailure(
        `${error.message}\n  without an answer it is not known whether the cluster can do without ${node}`,
      )
    throw error
  }
}

/** Links and files of the usual CNIs; their own cleanup is not reachable once the cluster is gone. */
const LINKS = [
  'cni0',
  'flannel.1',
  'flannel-v6.1',
  'kube-ipvs0',
  'nodelocaldns',
  'cilium_host',
  'cilium_vxlan',
  'vxlan.calico',
  'kube-bridge',
]
const FOLDERS = ['/etc/cni/net.d', '/var/lib/cni', '/run/flannel', '/var/run/calico', '/var/run/cilium']

/** What is left although kubeadm's own files are gone. */
async function residue(ctx: ActionContext): Promise<string[]> {
  const tests = [
    ...LINKS.map((link) => `[ ! -e /sys/class/net/${link} ] || echo ${link}`),
    `ls -A /etc/cni/net.d 2>/dev/null`,
  ]
  const { stdout } = await ctx.run(tests.join('\n'))
  return stdout.toString('utf8').split('\n').filter(Boolean)
}

/**
 * Only rules of Kubernetes' and the CNIs' own chains go: flushing all, as is often done, would take the site's firewall
 * with it. A chain can be deleted when nothing jumps to it, hence rules first.
 */
const CHAINS = 'KUBE-|CNI-|CNI:|FLANNEL-|cali-|CILIUM_'
const CLEANUP = `
for t in iptables ip6tables; do
  command -v $t-save >/dev/null || continue
  $t-save | grep -Eq '${CHAINS}' || continue
  $t-save | grep -Ev '${CHAINS}' | $t-restore || exit 1
done
if command -v nft >/dev/null; then
  for f in ip ip6; do nft delete table $f kube-proxy 2>/dev/null || :; done
fi
if command -v ipvsadm >/dev/null; then ipvsadm --clear 2>/dev/null || :; fi
for l in ${LINKS.join(' ')}; do [ ! -e /sys/class/net/$l ] || ip link delete $l || exit 1; done
rm -rf ${FOLDERS.map((folder) => `${folder}/*`).join(' ')} ${kubeadm.MARKER}
`
