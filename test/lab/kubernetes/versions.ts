/** The Kubernetes releases of the lab, and what belongs to each. */

export type Minor = '1.33' | '1.34'

export interface Release {
  /** Version of k8s.io/kubernetes; the staging modules have the same with `v0.` in place of `v1.`. */
  readonly kubernetes: string
  /** Version of etcd's modules, and the tag that kubeadm gives the image. */
  readonly etcd: string
  readonly etcdTag: string
  readonly coredns: string
  readonly pauseTag: string
}

/**
 * Two adjacent minors, for upgrades. Tags are those of kubeadm's constants (cmd/kubeadm/app/constants/constants.go):
 * DefaultEtcdVersion, CoreDNSVersion, PauseVersion. The newest pair that runs everywhere the lab does: from 1.35 on, kubelet
 * refuses cgroup v1, and containerd 1.6 (Debian 12's) is not supported.
 * 1.34.4 is the last patch of 1.34 of which every staging module is on the module proxy.
 */
export const RELEASES: Readonly<Record<Minor, Release>> = {
  '1.33': {
    kubernetes: 'v1.33.13',
    etcd: 'v3.5.24',
    etcdTag: '3.5.24-0',
    coredns: 'v1.12.0',
    pauseTag: '3.10',
  },
  '1.34': {
    kubernetes: 'v1.34.4',
    etcd: 'v3.6.5',
    etcdTag: '3.6.5-0',
    coredns: 'v1.12.1',
    pauseTag: '3.10.1',
  },
}

/** Built with the newest release, used with all. */
export const NEWEST: Minor = '1.34'

export const FLANNEL = 'v0.28.4'
export const CNI_PLUGINS = 'v1.9.1'
/** The last line of containernetworking/plugins with the flannel plugin; its own module is not on the proxy. */
export const FLANNEL_CNI = 'v0.9.1'

/** That of the role kube_vip, and the newest on the module proxy. */
export const KUBE_VIP = 'v0.9.2'
/** crictl. */
export const CRI_TOOLS = 'v1.34.0'

/** Names of images beside those that kubeadm asks for. */
export const LAB_IMAGES = {
  kubeVip: `ghcr.io/kube-vip/kube-vip:${KUBE_VIP}`,
  /** Workload of the tests; see go/cmd/test-server. */
  testServer: 'runbook.test/test-server:1',
  /** busybox, iptables, nft and conntrack of Debian. */
  tools: 'runbook.test/tools:1',
  flannelCni: `runbook.test/flannel-cni:${FLANNEL_CNI}`,
} as const

/** Commands in the one Kubernetes binary; it does what the name says that it is called by. */
export const KUBE_COMMANDS = [
  ...['kubeadm', 'kubelet', 'kubectl', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy'],
]
