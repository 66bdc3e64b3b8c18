/** Which containerd is on a host, and what its configuration is made of. */
export interface Version {
  readonly major: number
  readonly minor: number
  readonly patch: number
  /** `1.6.20` */
  readonly text: string
}

/**
 * The version out of what `containerd --version` prints: `containerd github.com/containerd/containerd 1.6.20~ds1 …`,
 * `containerd containerd.io 1.7.27 05044ec…`, `containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7…`.
 */
export function parseVersion(line: string): Version | undefined {
  const m = /^(?:containerd \S+ )?v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(line.trim())
  if (!m) return undefined
  const [major, minor, patch] = [Number(m[1]), Number(m[2]), Number(m[3] ?? 0)]
  return { major, minor, patch, text: `${major}.${minor}.${patch}` }
}

/** True from `major.minor.patch` on. */
export function atLeast(version: Version, major: number, minor: number, patch = 0): boolean {
  const difference = version.major - major || version.minor - minor || version.patch - patch
  return difference >= 0
}

/**
 * The oldest containerd that a minor version of Kubernetes is meant to run on, as containerd's RELEASES.md ("Kubernetes
 * Support") has it; undefined when the version is new enough.
 */
export function tooOldFor(version: Version, kubernetesMinor: number): string | undefined {
  if (kubernetesMinor >= 36) return atLeast(version, 2, 2) ? undefined : '2.2.0'
  if (kubernetesMinor >= 35) {
    if (version.major === 1) return atLeast(version, 1, 7, 28) ? undefined : '1.7.28'
    return atLeast(version, 2, 1, 5) ? undefined : '2.1.5'
  }
  return atLeast(version, 1, 6) ? undefined : '1.6.0'
}
