import {
  type ActionContext,
  type ActionResult,
  args,
  containerd,
  defineAction,
  preflight,
  TaskFailure,
  z,
} from '#module'

/** Oldest versions of the distributions that Kubernetes runs well on and that the roles know. */
const SUPPORTED = {
  debian: '11',
  ubuntu: '20.04',
  rhel: '8',
  rocky: '8',
  almalinux: '8',
  centos: '9',
  fedora: '40',
  ol: '8',
}

/** kubeadm wants 2 processors and 1700 MB (cmd/kubeadm/app/constants); memory that the firmware keeps is not in its sum. */
const LEAST = {
  control_plane: {
    cpus: 2,
    memoryMb: 1700,
    diskGb: { '/var/lib/etcd': 4, '/var/lib/containerd': 10, '/var/lib/kubelet': 4 },
  },
  worker: { cpus: 1, memoryMb: 900, diskGb: { '/var/lib/containerd': 10, '/var/lib/kubelet': 4 } },
} as const

const schema = z.strictObject({
  kubernetes_version: z
    .string()
    .regex(/^v?1\.\d+\.\d+/, 'must be a whole version, such as v1.34.1')
    .describe('the version that the node is to have'),
  role: z.enum(['control_plane', 'worker']).describe('what the host is to become'),
  endpoint: z
    .string()
    .regex(/^([^\s/:][^\s/]*:\d+)?$/, 'must be HOST:PORT')
    .optional()
    .describe('HOST:PORT of the API; a host whose kubelet asks another one is in another cluster'),
  virtual_ip: z
    .union([z.ipv4(), z.ipv6(), z.literal('')])
    .optional()
    .describe('address of the API that moves between the control planes'),
  bind_port: z.int().min(1).max(65535).default(6443).describe('port of a control plane’s own API server'),
  hostname: z.string().optional().describe('name that the host is about to get; absent: the one it has'),
  kube_proxy_mode: z
    .enum(['iptables', 'ipvs', 'nftables', 'none'])
    .default('iptables')
    .describe('decides which kernel modules must be there'),
  swap: z.enum(['off', 'keep']).default('off').describe('keep: swap stays on, with a kubelet that is set up for it'),
  upgrade: args.boolean
    .default(false)
    .describe('a node that is in the cluster may be one minor version older: it is about to be upgraded'),
  peers: z
    .array(z.unknown())
    .default([])
    .describe(
      'all hosts as {host, hostname, machine_id, product_uuid, addresses, interfaces}, to find what must be unique and is not',
    ),
  names: args
    .list(z.string().regex(/^[^\s-]\S*$/))
    .default([])
    .describe('names that must resolve on the host'),
  urls: args
    .list(args.url)
    .default([])
    .describe('what the host must be able to fetch: files of a mirror, `https://registry/v2/`'),
  registries: containerd.registries
    .default({})
    .describe(
      'registry to {server, mirrors}, as the module `containerd` takes them: one mirror at least of each must answer, ' +
        'through the proxies that follow',
    ),
  http_proxy: containerd.proxyValue.optional().describe('containerd’s proxy for http'),
  https_proxy: containerd.proxyValue.optional().describe('containerd’s proxy for https'),
  no_proxy: args.list(containerd.proxyValue).default([]).describe('what containerd reaches without them'),
  max_clock_skew: args.seconds.default(5).describe('seconds that the host’s clock may differ from the controller’s'),
  min_cpus: z.int().positive().optional().describe('processors; default 2 for a control plane, 1 for a worker'),
  min_memory_mb: z.int().positive().optional().describe('memory; default 1700 for a control plane, 900 for a worker'),
  min_disk_gb: z
    .record(args.path, z.number().nonnegative())
    .optional()
    .describe(
      'path to GB that must be free there; default 10 for /var/lib/containerd, 4 for /var/lib/kubelet and /var/lib/etcd',
    ),
  supported_os: z
    .record(z.string(), z.string())
    .default(SUPPORTED)
    .describe('distribution (ID of os-release) to its oldest version, "" for any'),
  ignore: args.list(z.enum(preflight.CHECKS)).default([]).describe('checks whose problems are only notes'),
})
type Args = z.output<typeof schema>

export default defineAction({
  summary: 'Whether a host can become a Kubernetes node, before anything is changed',
  description:
    'Reads only, in check mode too, and reports every problem at once with its value and what to do. In a play with ' +
    '`strategy: linear` and `any_errors_fatal: true` all hosts say what is wrong with them, and then none is touched. Needs the ' +
    'facts, and root. What can only be found out by trying is left to kubeadm’s own preflight.',
  args: schema,
  returns: {
    problems: 'list of {check, message}',
    notes: 'list of {check, message}: what stands in nobody’s way, and what `ignore` names',
  },
  examples: [
    {
      name: 'A control plane',
      yaml:
        'preflight:\n  kubernetes_version: v1.34.1\n  role: control_plane\n  endpoint: 10.0.0.10:6443\n  virtual_ip: 10.0.0.10\n' +
        '  urls: https://registry.k8s.io/v2/',
    },
    {
      name: 'A small lab',
      yaml: 'preflight:\n  kubernetes_version: v1.34.1\n  role: worker\n  min_disk_gb: { /var/lib: 5 }\n  ignore: [memory]',
    },
  ],
  run: check,
  preview: check,
})

async function check(ctx: ActionContext, a: Args): Promise<ActionResult> {
  const facts = ctx.facts as preflight.Facts
  if (facts.os === undefined)
    throw new TaskFailure('preflight needs the facts: the play must not have `gather_facts: false`')
  const wanted = wantedOf(a)
  const before = Date.now() / 1000
  const seen = await ctx.read(preflight.look(wanted))
  const found = preflight.judge(ctx.host, wanted, facts, seen, [before, Date.now() / 1000])
  const isProblem = (f: preflight.Finding): boolean => f.level === 'problem' && !a.ignore.includes(f.check)
  const of = (list: readonly preflight.Finding[]) => list.map(({ check, message }) => ({ check, message }))
  const problems = found.filter(isProblem)
  const notes = found.filter((f) => !isProblem(f))
  const lines = (list: readonly preflight.Finding[]): string => list.map((f) => `- ${f.check}: ${f.message}`).join('\n')
  const data = { problems: of(problems), notes: of(notes) }
  if (problems.length > 0) {
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`
    throw new TaskFailure(`${ctx.host} has ${count}:\n${lines(problems)}`, data)
  }
  return { changed: false, msg: notes.length === 0 ? 'no problems' : `no problems; to know:\n${lines(notes)}`, data }
}

function wantedOf(a: Args): preflight.Wanted {
  const least = LEAST[a.role]
  // An address resolves to itself.
  const name = a.endpoint?.replace(/:\d+$/, '') || undefined
  const names = name === undefined || /^[0-9.]+$|[[:]/.test(name) ? a.names : [...new Set([name, ...a.names])]
  return {
    kubernetesVersion: a.kubernetes_version,
    role: a.role,
    endpoint: a.endpoint || undefined,
    virtualIp: a.virtual_ip || undefined,
    hostname: a.hostname || undefined,
    bindPort: a.bind_port,
    kubeProxyMode: a.kube_proxy_mode,
    supportedOs: a.supported_os,
    minCpus: a.min_cpus ?? least.cpus,
    minMemoryMb: a.min_memory_mb ?? least.memoryMb,
    minDiskGb: a.min_disk_gb ?? least.diskGb,
    maxClockSkew: a.max_clock_skew,
    swap: a.swap,
    upgrade: a.upgrade,
    names,
    urls: a.urls,
    mirrors: mirrorsOf(a),
    peers: a.peers as readonly preflight.Peer[],
  }
}

function mirrorsOf(a: Args): preflight.MirrorToTry[] {
  const proxies = { http: a.http_proxy, https: a.https_proxy, none: a.no_proxy }
  return Object.entries(a.registries).flatMap(([registry, { mirrors }]) =>
    mirrors
      .filter(({ capabilities }) => capabilities.includes('pull'))
      .map(({ skipVerify, ca, ...mirror }) => {
        const url = containerd.apiOf(mirror)
        return { registry, url, skipVerify, ca, proxy: containerd.proxyFor(url, proxies) }
      }),
  )
}
