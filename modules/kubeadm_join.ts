import { randomBytes } from 'node:crypto'
import { type ActionContext, args, defineAction, type KubernetesApi, kubeadm, TaskFailure, z } from '#module'

const { FILES } = kubeadm

/** A token lives as long as a join may take, and is deleted after it. */
const TOKEN_SPARE_SECONDS = 300
const REGISTER_MS = 60_000

const schema = z.strictObject({
  control_planes: kubeadm.clusterArgs.control_planes
    .unwrap()
    .describe('hosts of the inventory that are control planes: the first that can be reached is joined through'),
  role: z.enum(['worker', 'control_plane']).default('worker').describe('what the host becomes'),
  node_name: z.string().optional().describe('name of the node; default: the hostname'),
  advertise_address: z.string().optional().describe('control plane: address of this host’s API server'),
  bind_port: z.int().min(1).max(65535).default(6443).describe('control plane: port of this host’s API server'),
  cri_socket: z.string().default('unix:///run/containerd/containerd.sock').describe('socket of the container runtime'),
  kubelet_extra_args: z.record(z.string(), z.string()).default({}).describe('arguments for kubelet'),
  taints: z
    .array(z.strictObject({ key: z.string(), value: z.string().optional(), effect: z.string() }))
    .optional()
    .describe('taints that the node registers with; default: kubeadm’s'),
  ignore_preflight_errors: z.array(z.string()).default([]).describe('checks of kubeadm that may fail'),
  rejoin: args.boolean
    .default(false)
    .describe('reset and join a host whose node was deleted from the cluster, or that is in another cluster'),
  timeout: args.seconds.default(600).describe('seconds that kubeadm may take'),
})
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Join a host to a cluster, as a worker or a control plane',
  description:
    'Done when the files are there and the API has the node (and its role). A token, and for a control plane a key for the ' +
    'certificates, are made just before the join, go in by standard input, and the token is deleted after it. A join that ' +
    'one of our runs began and that did not end is reset and tried again. A host of another cluster is left alone. Join ' +
    'control planes one at a time: throttle: 1.',
  args: schema,
  returns: { node: 'name of the node' },
  examples: [
    { name: 'A worker', yaml: 'kubeadm_join:\n  control_planes: [cp1, cp2, cp3]\nbecome: true' },
    {
      name: 'A control plane',
      yaml: 'kubeadm_join:\n  control_planes: [cp1]\n  role: control_plane\nthrottle: 1\nbecome: true',
    },
  ],
  async run(ctx, a) {
    const state = await kubeadm.settledState(ctx)
    const api = await ctx.kubernetes(others(ctx, a))
    const node = a.node_name ?? state.hostname
    const found = await judge(a, state, api, node)
    if (found === 'joined') {
      if (state.unfinished !== undefined) await ctx.run(`rm -f ${kubeadm.MARKER}`)
      return { changed: false, data: { node } }
    }

    const version = await kubeadm.kubeadmVersion(ctx)
    const skew = kubeadm.kubeadmSkew(version, kubeadm.mustParse(await api.version(), `the API at ${api.server}`))
    if (skew !== undefined) throw new TaskFailure(skew)
    if (found === 'reset') {
      ctx.log('a join was begun and did not end: resetting the host before it is tried again')
      await clear(ctx, api, node, a.timeout)
    }
    const result = await join(ctx, a, api, version, node)
    const after = result.lost ? await kubeadm.settledState(ctx) : await ctx.read(kubeadm.hostState)
    if (result.rc !== 0 && !result.lost) throw kubeadm.kubeadmFailure('join', result)
    if (!(await registered(ctx, a, after, api, node)))
      throw result.lost
        ? kubeadm.kubeadmFailure('join', result)
        : new TaskFailure(`kubeadm join has ended, but the API has no node ${node}: journalctl -u kubelet on the host`)
    return {
      changed: true,
      changes: [{ summary: `kubeadm join (${a.role.replace('_', ' ')} ${node})` }],
      data: { node },
    }
  },
  preview: kubeadm.foreseen<Args>(
    async (ctx, a) => {
      const state = await ctx.read(kubeadm.hostState)
      const node = a.node_name ?? state.hostname
      const found = await judge(a, state, await ctx.kubernetes(others(ctx, a)), node)
      if (found === 'joined') return { changed: false, data: { node } }
      const reset = found === 'reset' ? 'kubeadm reset, then ' : ''
      return { changed: true, changes: [{ summary: `${reset}kubeadm join (${a.role.replace('_', ' ')} ${node})` }] }
    },
    { changed: true },
  ),
})

/** The control planes but the host itself: what it has of an unfinished join is not to be trusted. */
function others(ctx: ActionContext, { control_planes }: Args) {
  const hosts = control_planes.filter((host) => host !== ctx.host)
  if (hosts.length === 0)
    throw new TaskFailure(`control_planes names only ${ctx.host} itself: there is no cluster that it could join`)
  return kubeadm.clusterSource({ control_planes: hosts })
}

type Verdict = 'joined' | 'join' | 'reset'

/** What there is to do. Throws TaskFailure where it would harm something that is there. */
async function judge(a: Args, state: kubeadm.HostState, api: KubernetesApi, name: string): Promise<Verdict> {
  const { files, unfinished, authority } = state
  const node = await kubeadm.getNode(api, name)
  const isNode = files.has(FILES.kubelet)
  const foreign = authority !== undefined && authority !== api.authorities?.trim()
  if (foreign && a.rejoin) return 'reset'
  if (foreign) {
    const server = state.servers[FILES.kubelet] ?? state.servers[FILES.admin]
    throw new TaskFailure(
      `the host is in another cluster${server === undefined ? '' : `, ${server}`}: its certificate authority is not that of ` +
        `${api.server}. To move it, reset it by name with kubeadm_reset, or say rejoin: true.`,
    )
  }
  if (isNode && node) {
    const isControlPlane = kubeadm.isControlPlane(node) && files.has(FILES.apiServer)
    if (a.role === 'worker' || isControlPlane) return 'joined'
    if (unfinished === 'join') return 'reset'
    if (kubeadm.isControlPlane(node))
      throw new TaskFailure(`node ${name} is a control plane to the API, but the host has no ${FILES.apiServer}`)
    throw new TaskFailure(
      `node ${name} is a worker; to make it a control plane, reset it by name with kubeadm_reset first`,
    )
  }
  if (unfinished === 'init')
    throw new TaskFailure('an init was begun on this host: let kubeadm_init go on with it, or reset it')
  if (unfinished === 'join') return 'reset'
  if (isNode || files.has(FILES.etcdData)) {
    if (a.rejoin) return 'reset'
    throw new TaskFailure(
      `the host is set up as node ${name} of ${api.server}, which has no such node: somebody deleted it. To join it again, ` +
        'say rejoin: true (the host is reset then).',
    )
  }
  if (node && kubeadm.nodeStatus(node).ready)
    throw new TaskFailure(`another host is node ${name} already, and it is Ready: give this one another node_name`)
  return files.size > 0 ? 'reset' : 'join'
}

/** Takes what a failed join has left off the host and out of the cluster. */
async function clear(ctx: ActionContext, api: KubernetesApi, node: string, timeout: number): Promise<void> {
  const result = await kubeadm.runKubeadm(ctx, ['reset', '--force'], { timeoutMs: timeout * 1000, log: ctx.log })
  if (result.rc !== 0) throw kubeadm.kubeadmFailure('reset', result)
  await api.delete({ apiVersion: 'v1', kind: 'Node', name: node })
}

async function join(
  ctx: ActionContext,
  a: Args,
  api: KubernetesApi,
  version: kubeadm.Version,
  node: string,
): Promise<kubeadm.KubeadmResult> {
  const certificateKey = a.role === 'control_plane' ? await uploadCertificates(ctx, a, api) : undefined
  const description = `runbook: join of ${node}`
  await dropTokens(api, description)
  const token = kubeadm.makeToken()
  ctx.secret(token.text)
  ctx.secret(token.secret)
  const ttlSeconds = a.timeout + TOKEN_SPARE_SECONDS
  await api.create(kubeadm.tokenSecret(token, { ttlSeconds, description }))
  try {
    const config = kubeadm.joinConfig({
      kubeadm: version,
      nodeName: node,
      endpoint: kubeadm.endpointOf(api.server),
      token: token.text,
      caCertHashes: kubeadm.mustPin(api),
      criSocket: a.cri_socket,
      kubeletExtraArgs: a.kubelet_extra_args,
      taints: a.taints,
      ignorePreflightErrors: a.ignore_preflight_errors,
      controlPlane:
        certificateKey === undefined
          ? undefined
          : { advertiseAddress: a.advertise_address, bindPort: a.bind_port, certificateKey },
    })
    const options = { config, validate: true, mark: 'join' as const, timeoutMs: a.timeout * 1000, log: ctx.log }
    const result = await kubeadm.runKubeadm(ctx, ['join'], options)
    // A join whose connection was lost goes on, and still needs it; it expires by itself.
    if (!result.lost) await api.delete(kubeadm.tokenRef(token.id))
    return result
  } catch (error) {
    await api.delete(kubeadm.tokenRef(token.id)).catch(() => false)
    throw error
  }
}

/** A run that died could not delete its token. */
async function dropTokens(api: KubernetesApi, description: string): Promise<void> {
  const encoded = Buffer.from(description).toString('base64')
  const fieldSelector = 'type=bootstrap.kubernetes.io/token'
  const secrets = await api.list({ apiVersion: 'v1', kind: 'Secret', namespace: 'kube-system', fieldSelector })
  for (const { data, metadata } of secrets) {
    if ((data as Record<string, string> | undefined)?.description !== encoded) continue
    await api.delete({ apiVersion: 'v1', kind: 'Secret', namespace: 'kube-system', name: metadata.name })
  }
}

/** The certificates of the control plane, encrypted with a new key, into the cluster for two hours (kubeadm-certs). */
async function uploadCertificates(ctx: ActionContext, a: Args, api: KubernetesApi): Promise<string> {
  const key = randomBytes(32).toString('hex')
  ctx.secret(key)
  const cluster = await kubeadm.clusterConfiguration(api)
  if (cluster === undefined) throw new TaskFailure(`${api.server} has no kubeadm-config: was it made by kubeadm?`)
  const reasons: string[] = []
  for (const name of a.control_planes.filter((one) => one !== ctx.host)) {
    const host = ctx.on(name)
    try {
      const { files } = await host.read(kubeadm.hostState)
      if (!files.has(FILES.caKey)) {
        reasons.push(`${name} has no ${FILES.caKey}`)
        continue
      }
      const config = kubeadm.uploadCertsConfig(await kubeadm.kubeadmVersion(host), cluster, key)
      const argv = ['init', 'phase', 'upload-certs', '--upload-certs']
      const result = await kubeadm.runKubeadm(host, argv, { config, timeoutMs: 120_000 })
      if (result.rc === 0) return key
      reasons.push(`${name}: ${kubeadm.kubeadmFailure('init phase upload-certs', result).message}`)
    } catch (error) {
      if (!kubeadm.isGone(error)) throw error
      reasons.push(`${name}: ${error.message}`)
    }
  }
  throw new TaskFailure(`no control plane can give its certificates: ${reasons.join('; ')}`)
}

/** Waits until the API has the node, as what it should be. */
async function registered(
  ctx: ActionContext,
  a: Args,
  { files }: kubeadm.HostState,
  api: KubernetesApi,
  name: string,
): Promise<boolean> {
  if (!files.has(FILES.kubelet)) return false
  for (const until = Date.now() + REGISTER_MS; Date.now() < until; await ctx.sleep(1000)) {
    const node = await kubeadm.getNode(api, name)
    if (node && (a.role === 'worker' || kubeadm.isControlPlane(node))) return true
  }
  return false
}
