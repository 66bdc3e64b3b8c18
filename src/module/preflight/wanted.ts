/** What a host is to become, as the arguments of `preflight` say. */
export interface Wanted {
  /** `v1.34.1` */
  readonly kubernetesVersion: string
  readonly role: 'control_plane' | 'worker'
  /** HOST:PORT of the API. */
  readonly endpoint: string | undefined
  readonly virtualIp: string | undefined
  readonly hostname: string | undefined
  readonly bindPort: number
  readonly kubeProxyMode: 'iptables' | 'ipvs' | 'nftables' | 'none'
  /** id of the distribution to its oldest version; '' for any. */
  readonly supportedOs: Readonly<Record<string, string>>
  readonly minCpus: number
  readonly minMemoryMb: number
  /** Path to GB that must be free. */
  readonly minDiskGb: Readonly<Record<string, number>>
  /** Seconds. */
  readonly maxClockSkew: number
  readonly swap: 'off' | 'keep'
  /** The version of a node that is in the cluster may be another one: it is about to be upgraded. */
  readonly upgrade: boolean
  /** Names that must resolve. */
  readonly names: readonly string[]
  /** URLs that the host must reach. */
  readonly urls: readonly string[]
  /** Mirrors that containerd is to pull from. */
  readonly mirrors: readonly MirrorToTry[]
  readonly peers: readonly Peer[]
}

/** A mirror of a registry, asked as containerd will ask it. */
export interface MirrorToTry {
  readonly registry: string
  /** Root of its API. */
  readonly url: string
  readonly skipVerify: boolean
  /** Path on the host of its certificate authority. */
  readonly ca?: string | undefined
  readonly proxy?: string | undefined
}

/** A host of the play, as the others see it. */
export interface Peer {
  readonly host: string
  readonly hostname?: string
  readonly machine_id?: string
  readonly product_uuid?: string
  readonly addresses?: readonly string[]
  readonly interfaces?: Readonly<Record<string, { readonly mac: string }>>
}

/** minor and patch of `v1.34.1`; the major is always 1. */
export function versionOf(text: string): { readonly minor: number; readonly patch: number } | undefined {
  const m = /v?1\.(\d+)\.(\d+)/.exec(text)
  return m ? { minor: Number(m[1]), patch: Number(m[2]) } : undefined
}

/** Kernel modules that must be there or loadable. */
export function modulesFor(mode: Wanted['kubeProxyMode']): readonly string[] {
  const ipvs = ['ip_vs', 'ip_vs_rr', 'ip_vs_wrr', 'ip_vs_sh', 'nf_conntrack']
  const more = { iptables: ['nf_conntrack'], ipvs, nftables: ['nf_tables', 'nf_conntrack'], none: [] }
  return ['overlay', 'br_netfilter', ...more[mode]]
}

/** Ports that something of Kubernetes listens on, and what that is called (kubernetes.io, "Ports and Protocols"). */
export function portsFor({ role, bindPort }: Pick<Wanted, 'role' | 'bindPort'>): ReadonlyMap<number, string> {
  const kubelet: [number, string][] = [[10250, 'kubelet']]
  if (role === 'worker') return new Map(kubelet)
  return new Map([
    ...kubelet,
    [bindPort, 'kube-apiserver'],
    [2379, 'etcd'],
    [2380, 'etcd'],
    [10257, 'kube-controller-manager'],
    [10259, 'kube-scheduler'],
  ] as [number, string][])
}

/** Programs that kubeadm's own preflight insists on (cmd/kubeadm/app/preflight/checks_linux.go). */
export const TOOLS = ['conntrack', 'cp', 'ip', 'losetup', 'mount'] as const

/** Options that kubeadm's SystemVerification insists on (system-validators, types_unix.go); one of each row. */
export const KERNEL_OPTIONS: readonly (readonly string[])[] = [
  ['NAMESPACES'],
  ['NET_NS'],
  ['PID_NS'],
  ['IPC_NS'],
  ['UTS_NS'],
  ['CGROUPS'],
  ['CPUSETS'],
  ['MEMCG'],
  ['INET'],
  ['EXT4_FS'],
  ['PROC_FS'],
  ['NETFILTER_XT_TARGET_REDIRECT', 'IP_NF_TARGET_REDIRECT'],
  ['NETFILTER_XT_MATCH_COMMENT'],
  ['FAIR_GROUP_SCHED'],
]
