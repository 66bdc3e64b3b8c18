/** The facts that preflight judges by; see the module `facts`. All may be missing. */
export interface Facts {
  readonly os?: { readonly id?: string; readonly version?: string; readonly name?: string }
  readonly kernel?: { readonly release?: string }
  readonly architecture?: string
  readonly cgroup?: string
  readonly cpu?: { readonly count?: number }
  readonly memory?: { readonly total_mb?: number }
  readonly swap?: readonly { readonly device: string }[]
  readonly default_route?: { readonly interface: string; readonly address: string }
  readonly interfaces?: Readonly<
    Record<string, { readonly mac: string; readonly ipv4: readonly string[]; readonly ipv6: readonly string[] }>
  >
  readonly addresses?: readonly string[]
  readonly selinux?: string
  readonly apparmor?: boolean
  readonly container?: string
  readonly machine_id?: string
  readonly hostname?: string
  readonly product?: { readonly uuid?: string }
  readonly init?: string
  readonly package_manager?: string
  readonly user?: { readonly uid?: number }
}

/** Something that stands in the way, or that is worth knowing. */
export interface Finding {
  /** Its name, for `ignore`. */
  readonly check: Check
  /** The value and what to do about it. */
  readonly message: string
  readonly level: 'problem' | 'note'
}

export type Check = (typeof CHECKS)[number]

/** The names of all checks. */
export const CHECKS = [
  'os',
  'architecture',
  'kernel',
  'modules',
  'cgroup',
  'cpu',
  'memory',
  'disk',
  'swap',
  'tools',
  'port',
  'hostname',
  'identity',
  'clock',
  'route',
  'dns',
  'virtual_ip',
  'cluster',
  'version',
  'containerd',
  'mirror',
  'security',
] as const
