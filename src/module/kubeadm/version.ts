import { TaskFailure } from '../define.ts'

/** `v1.34.4`, `1.34.4` or `1.34.0-rc.1` */
export interface Version {
  readonly major: number
  readonly minor: number
  readonly patch: number
  /** With the `v`, as kubeadm writes it. */
  readonly text: string
}

/** Undefined for what is no version with three numbers. */
export function parseVersion(text: string): Version | undefined {
  const m = /^v?(\d+)\.(\d+)\.(\d+)([-+][0-9A-Za-z.+-]+)?$/.exec(text.trim())
  if (!m) return undefined
  const [, major, minor, patch, suffix = ''] = m
  return {
    major: Number(major),
    minor: Number(minor),
    patch: Number(patch),
    text: `v${major}.${minor}.${patch}${suffix}`,
  }
}

/** The version, or a TaskFailure that says whose it was. */
export function mustParse(text: string, whose: string): Version {
  const version = parseVersion(text)
  if (!version) throw new TaskFailure(`${whose} gives no version: "${text.trim()}"`)
  return version
}

/** Negative when a is older. Pre-releases count as their release. */
export function compare(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch
}

/**
 * The configuration API that a kubeadm writes and reads: v1beta4 came with 1.31, v1beta3 (since 1.22) goes away after it
 * (kubernetes/kubernetes cmd/kubeadm/app/apis/kubeadm).
 */
export function configApi(kubeadm: Version): 'kubeadm.k8s.io/v1beta4' | 'kubeadm.k8s.io/v1beta3' {
  return kubeadm.minor >= 31 ? 'kubeadm.k8s.io/v1beta4' : 'kubeadm.k8s.io/v1beta3'
}

/** Why a kubeadm cannot make or join a cluster of a version; undefined when it can (version skew policy, "kubeadm"). */
export function kubeadmSkew(kubeadm: Version, cluster: Version): string | undefined {
  const ahead = kubeadm.minor - cluster.minor
  if (kubeadm.major === cluster.major && (ahead === 0 || ahead === 1)) return undefined
  return `kubeadm is ${kubeadm.text}, and Kubernetes ${cluster.text} needs one of 1.${cluster.minor} or 1.${cluster.minor + 1}`
}

/** Why a kubelet cannot serve a cluster; undefined when it can. It may be three minors older (two before 1.25), never newer. */
export function kubeletSkew(kubelet: Version, api: Version): string | undefined {
  const behind = api.minor - kubelet.minor
  const allowed = kubelet.minor >= 25 ? 3 : 2
  if (behind < 0) return `kubelet is ${kubelet.text}, newer than the API server (${api.text}); it must never be`
  if (behind > allowed)
    return `kubelet is ${kubelet.text}, more than ${allowed} minors behind the API server (${api.text})`
  return undefined
}

/** Why a cluster cannot go from one version to another; undefined when it can. */
export function upgradeTrouble(from: Version, to: Version): string | undefined {
  if (from.major !== to.major) return `from ${from.text} to ${to.text} is another major version`
  if (compare(to, from) < 0) return `${to.text} is older than ${from.text}: Kubernetes cannot be taken back`
  if (to.minor - from.minor <= 1) return undefined
  return `from ${from.text} to ${to.text} skips a minor version: go to the newest 1.${from.minor + 1} first`
}
