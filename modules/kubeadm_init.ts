import { connect } from 'node:tls'
import {
  type ActionContext,
  args,
  defineAction,
  type KubernetesApi,
  KubernetesError,
  kubeadm,
  TaskFailure,
  z,
} from '#module'

const { FILES } = kubeadm

const address = z.string().regex(/^[0-9a-fA-F.:]+$/, 'must be an IP address')

const schema = z.strictObject({
  kubernetes_version: z
    .string()
    .refine((v) => kubeadm.parseVersion(v) !== undefined, 'must be a whole version, such as v1.34.1')
    .transform((v) => kubeadm.parseVersion(v)!.text)
    .describe('the version of the control plane; kubeadm on the host must be of its minor or one newer'),
  endpoint: z
    .string()
    .regex(/^[^\s/]+:\d+$/, 'must be HOST:PORT')
    .describe('HOST:PORT that all nodes reach the API at: the virtual IP, a load balancer or the only control plane'),
  advertise_address: address
    .optional()
    .describe('address of this host’s API server; default: that of the default route'),
  bind_port: z.int().min(1).max(65535).default(6443).describe('port of this host’s API server'),
  virtual_ip: z
    .union([z.literal(''), address])
    .default('')
    .describe("checked to be free before the cluster is made; '': there is none"),
  pod_subnet: z.string().optional().describe('network of the pods, as the CNI’s manifest has it'),
  service_subnet: z.string().optional().describe('network of the services; default 10.96.0.0/12'),
  dns_domain: z.string().optional().describe('domain of the services; default cluster.local'),
  image_repository: z.string().optional().describe('registry of Kubernetes’ own images; default registry.k8s.io'),
  cert_sans: z.array(z.string()).default([]).describe('more names and addresses for the API server’s certificate'),
  node_name: z.string().optional().describe('name of the node; default: the hostname'),
  cri_socket: z.string().default('unix:///run/containerd/containerd.sock').describe('socket of the container runtime'),
  kubelet_extra_args: z.record(z.string(), z.string()).default({}).describe('arguments for kubelet'),
  cluster_configuration: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('merged into kubeadm’s ClusterConfiguration'),
  documents: z
    .array(z.looseObject({ apiVersion: z.string(), kind: z.string() }))
    .default([])
    .describe('further documents: KubeletConfiguration, KubeProxyConfiguration'),
  skip_phases: z
    .array(z.string())
    .default([])
    .describe('phases of kubeadm init to leave out, such as addon/kube-proxy'),
  ignore_preflight_errors: z.array(z.string()).default([]).describe('checks of kubeadm that may fail'),
  timeout: args.seconds.default(600).describe('seconds that kubeadm may take'),
})
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Make the first control plane of a cluster',
  description:
    'Done when the files are there and the API itself says that the node is a control plane with everything that kubeadm ' +
    'init makes. An init that one of our runs began and that did not end is gone on with: nothing is destroyed. An init ' +
    'goes on when the run dies; the next one waits for it. Never takes a host out of another cluster.',
  args: schema,
  returns: {
    endpoint: 'HOST:PORT of the API',
    node: 'name of the node',
    ca_cert_hashes: 'what joins pin their discovery by',
  },
  examples: [
    {
      name: 'A control plane',
      yaml: 'kubeadm_init:\n  kubernetes_version: v1.34.1\n  endpoint: 10.0.0.10:6443\n  pod_subnet: 10.244.0.0/16\nbecome: true',
    },
  ],
  async run(ctx, a) {
    const state = await kubeadm.settledState(ctx)
    const node = a.node_name ?? state.hostname
    const before = await look(ctx, a, state, node)
    if (before.done) return { changed: false, data: facts(before.api, a, node) }
    await refuse(ctx, a, state, before.why)

    const version = await kubeadm.kubeadmVersion(ctx)
    const skew = kubeadm.kubeadmSkew(version, kubeadm.mustParse(a.kubernetes_version, 'kubernetes_version'))
    if (skew !== undefined) throw new TaskFailure(skew)
    const again = state.unfinished === 'init'
    if (again) ctx.log('an init was begun and did not end: going on with it')
    const ignored = [...a.ignore_preflight_errors, ...(again ? leftBehind(a.bind_port) : [])]
    const result = await kubeadm.runKubeadm(ctx, ['init', '--skip-token-print'], {
      config: configOf(a, version, node, ignored),
      validate: true,
      mark: 'init',
      timeoutMs: a.timeout * 1000,
      log: ctx.log,
    })
    const after = result.lost ? await kubeadm.settledState(ctx) : await ctx.read(kubeadm.hostState)
    if (result.rc !== 0 && !result.lost) throw kubeadm.kubeadmFailure('init', result)
    const view = await look(ctx, a, after, node)
    if (!view.done)
      throw result.lost
        ? kubeadm.kubeadmFailure('init', result)
        : new TaskFailure(`kubeadm init has ended, but the API says otherwise: ${view.why}`)
    return {
      changed: true,
      changes: [{ summary: `kubeadm init (${a.kubernetes_version})` }],
      data: facts(view.api, a, node),
    }
  },
  async preview(ctx, a) {
    const state = await ctx.read(kubeadm.hostState)
    const node = a.node_name ?? state.hostname
    const view = await look(ctx, a, state, node)
    if (view.done) return { changed: false, data: facts(view.api, a, node) }
    await refuse(ctx, a, state, view.why)
    return { changed: true, changes: [{ summary: `kubeadm init (${a.kubernetes_version})` }] }
  },
})

type View = { readonly done: true; readonly api: KubernetesApi } | { readonly done: false; readonly why: string }

/** What files and API together say of the host. */
async function look(ctx: ActionContext, a: Args, { files }: kubeadm.HostState, node: string): Promise<View> {
  if (!files.has(FILES.admin)) return { done: false, why: `there is no ${FILES.admin}` }
  const api = await ctx.kubernetes({ path: FILES.admin }, { fresh: true })
  try {
    const missing = await missingParts(api, a, node)
    return missing.length === 0
      ? { done: true, api }
      : { done: false, why: `the cluster has no ${missing.join(', no ')}` }
  } catch (error) {
    // Until init has come to its rights, the API refuses even its administrator.
    if (!(error instanceof KubernetesError)) throw error
    return { done: false, why: error.problems[0]!.message }
  }
}

/** The last things that `kubeadm init` makes (cmd/kubeadm/app/cmd/init.go: mark-control-plane, bootstrap-token, addon). */
async function missingParts(api: KubernetesApi, a: Args, node: string): Promise<string[]> {
  const wants = (phase: string) =>
    !a.skip_phases.some((skipped) => phase === skipped || phase.startsWith(`${skipped}/`))
  const map = (namespace: string, name: string) => api.get({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name })
  const addon = (kind: string, name: string, phase: string) =>
    wants(phase) ? api.get({ apiVersion: 'apps/v1', kind, namespace: 'kube-system', name }) : true
  const parts: Record<string, unknown> = {
    [`node ${node} with the role control-plane`]: kubeadm
      .getNode(api, node)
      .then((found) => (found && kubeadm.isControlPlane(found) ? found : undefined)),
    'kubeadm-config in kube-system': map('kube-system', 'kubeadm-config'),
    'cluster-info in kube-public': map('kube-public', 'cluster-info'),
    'CoreDNS (addon)': addon('Deployment', 'coredns', 'addon/coredns'),
    'kube-proxy (addon)': addon('DaemonSet', 'kube-proxy', 'addon/kube-proxy'),
  }
  const found = await Promise.all(Object.values(parts))
  return Object.keys(parts).filter((_, i) => found[i] === undefined)
}

/** Throws TaskFailure where an init would harm something that is there. */
async function refuse(ctx: ActionContext, a: Args, state: kubeadm.HostState, why: string): Promise<void> {
  const clear = 'If what is there may go, reset the host by name with kubeadm_reset.'
  const server = state.servers[FILES.admin]
  if (server !== undefined && kubeadm.endpointOf(server) !== a.endpoint)
    throw new TaskFailure(`the host is a control plane of another cluster, ${server}. ${clear}`)
  if (state.unfinished === 'init') return
  if (state.unfinished === 'join' || (kubeadm.isTouched(state) && server === undefined)) {
    const of = state.servers[FILES.kubelet] ?? state.servers[FILES.bootstrap]
    throw new TaskFailure(
      `the host ${of ? `is a node of ${of}` : `has remains of a cluster (${[...state.files][0]})`} already. ${clear}`,
    )
  }
  if (server !== undefined) {
    throw new TaskFailure(
      `the host has been made a control plane of ${server}, but ${why}. ` +
        `Look at it (runbook node doctor ${ctx.host}; crictl ps -a; journalctl -u kubelet). ${clear}`,
    )
  }
  const { hostname, port } = new URL(`https://${a.endpoint}`)
  const answer = await knock(hostname.replace(/^\[|\]$/g, ''), Number(port || 443))
  if (answer === 'tls')
    throw new TaskFailure(
      `an API answers at ${a.endpoint} already, and ${ctx.host} is not part of it: init would make a second cluster. ` +
        'Join the host with kubeadm_join, or name a host that is in the cluster first in the inventory.',
    )
  if (answer === 'refused' && a.virtual_ip === hostname && a.virtual_ip !== a.advertise_address)
    throw new TaskFailure(`the virtual IP ${a.virtual_ip} is in use: a host there refuses connections to port ${port}`)
}

const KNOCK_MS = 3000

/** What answers at an address: something that speaks TLS, a host without such a port, or nothing. */
function knock(host: string, port: number): Promise<'tls' | 'refused' | 'nothing'> {
  return new Promise((resolve) => {
    // Only whether somebody is there is asked, and nothing is told to it.
    const socket = connect({ host, port, rejectUnauthorized: false })
    const end = (answer: 'tls' | 'refused' | 'nothing') => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(KNOCK_MS, () => end('nothing'))
    socket.once('secureConnect', () => end('tls'))
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED' ? 'refused' : 'nothing'))
  })
}

/** Checks that fail because of what the first try has left; kubeadm goes on with certificates and etcd data that are there. */
function leftBehind(port: number): string[] {
  const pods = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'etcd']
  return [
    ...pods.map((pod) => `FileAvailable--etc-kubernetes-manifests-${pod}.yaml`),
    ...[port, 10250, 10257, 10259, 2379, 2380].map((one) => `Port-${one}`),
    'DirAvailable--var-lib-etcd',
  ]
}

function configOf(a: Args, version: kubeadm.Version, node: string, ignorePreflightErrors: readonly string[]): string {
  return kubeadm.initConfig({
    kubeadm: version,
    version: a.kubernetes_version,
    nodeName: node,
    advertiseAddress: a.advertise_address,
    bindPort: a.bind_port,
    endpoint: a.endpoint,
    criSocket: a.cri_socket,
    podSubnet: a.pod_subnet,
    serviceSubnet: a.service_subnet,
    dnsDomain: a.dns_domain,
    imageRepository: a.image_repository,
    certSans: a.cert_sans,
    kubeletExtraArgs: a.kubelet_extra_args,
    ignorePreflightErrors,
    skipPhases: a.skip_phases,
    clusterConfiguration: a.cluster_configuration,
    documents: a.documents,
  })
}

function facts(api: KubernetesApi, a: Args, node: string): Record<string, unknown> {
  return { endpoint: a.endpoint, node, ca_cert_hashes: kubeadm.mustPin(api) }
}
