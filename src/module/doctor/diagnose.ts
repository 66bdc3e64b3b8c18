import type { Service, Signs, Volume } from './look.ts'

/** The chain, in the order in which each needs the one before it. */
export const LINKS = ['kernel', 'disk', 'containerd', 'socket', 'kubelet', 'cni', 'api'] as const
export type Link = (typeof LINKS)[number]

export interface LinkState {
  readonly link: Link
  readonly state: 'ok' | 'broken'
  /** What was found. */
  readonly message: string
  /** What to do, one step each; for a link that is broken. */
  readonly mend: readonly string[]
}

export interface Diagnosis {
  readonly host: string
  readonly chain: readonly LinkState[]
  /** The first link that is broken: it explains those behind it. */
  readonly broken: LinkState | undefined
  /** How one thing led to the next, where that can be told: `power loss → … → NodeStatusUnknown`. */
  readonly cascade: string | undefined
}

type Judge = (signs: Signs) => Omit<LinkState, 'link'>

const ok = (message: string): Omit<LinkState, 'link'> => ({ state: 'ok', message, mend: [] })
const broken = (message: string, ...mend: string[]): Omit<LinkState, 'link'> => ({ state: 'broken', message, mend })

const JUDGES: Readonly<Record<Link, Judge>> = { kernel, disk, containerd, socket, kubelet, cni, api }

/** Names the first broken link of a node's chain. */
export function diagnose(signs: Signs): Diagnosis {
  const chain = LINKS.map((link) => ({ link, ...JUDGES[link](signs) }))
  const first = chain.find((l) => l.state === 'broken')
  return { host: signs.host, chain, broken: first, cascade: cascade(signs, chain) }
}

const lastOf = (log: readonly string[], pattern: RegExp): string | undefined =>
  log.findLast((line) => pattern.test(line))

function kernel({ kernelLog, missingModules, ipForward, uptimeSeconds, uncleanShutdown }: Signs) {
  const stuck = lastOf(kernelLog, /soft lockup|hardware error|machine check/i)
  if (stuck)
    return broken(
      `the kernel reports: ${stuck}`,
      'drain the node and look at its hardware: memory, processor, power supply (the BMC’s event log)',
    )
  const killed = lastOf(kernelLog, /out of memory: killed process \d+ \((containerd|kubelet|etcd|kube-apiserver)/i)
  if (killed)
    return broken(
      `memory ran out: ${killed}`,
      'give pods memory limits and the node reservations (systemReserved, kubeReserved), or more memory',
      'systemctl restart containerd kubelet',
    )
  if (missingModules.length > 0)
    return broken(
      `the module ${missingModules.join(', ')} is not loaded`,
      'run the role kubernetes_host again; after an upgrade of the kernel, reboot',
    )
  if (!ipForward)
    return broken(
      'net.ipv4.ip_forward is 0: pods reach nobody',
      'run the role kubernetes_host again, and see which file of /etc/sysctl.d sets it back',
    )
  const since =
    uptimeSeconds < 7200 ? `${Math.round(uptimeSeconds / 60)} minutes` : `${Math.round(uptimeSeconds / 3600)} hours`
  return ok(
    `up for ${since}${uncleanShutdown ? '; the boot before ended without a shutdown (power loss or crash)' : ''}`,
  )
}

const FS_ERROR =
  /EXT4-fs error|JBD2.*(abort|error)|XFS .*(corrupt|shut|error)|BTRFS.*(error|corrupt|forced)|remounting filesystem read-only/i
const IO_ERROR = /I\/O error/i
/** Of a file system below this share kubelet evicts pods; at none, nothing works (kubelet's hard eviction is 10 %). */
const FULL = 0.01

/** Messages about the device of a file system: the log of a container is that of its machine, with other disks in it. */
function about({ source }: Volume, log: readonly string[], pattern: RegExp): string | undefined {
  const device = source.replace(/^.*\//, '')
  return source.startsWith('/dev/')
    ? lastOf(
        log.filter((line) => line.includes(device)),
        pattern,
      )
    : undefined
}

function disk({ volumes, kernelLog }: Signs) {
  const readOnly = volumes.find((v) => v.readOnly && !v.meantReadOnly)
  const bad = volumes.find((v) => v.errors > 0 || about(v, kernelLog, FS_ERROR))
  const sick = volumes.find((v) => about(v, kernelLog, IO_ERROR))
  const full = volumes.find((v) => (v.freeShare ?? 1) < FULL || (v.freeInodesShare ?? 1) < FULL)
  if (readOnly) {
    const { path, source, type } = readOnly
    const said = about(readOnly, kernelLog, FS_ERROR) ?? about(readOnly, kernelLog, IO_ERROR)
    const why = [
      readOnly.errors > 0 ? `${type} counts ${readOnly.errors} errors` : '',
      said ? `the kernel said: ${said}` : '',
    ].filter(Boolean)
    return broken(
      `${path} is mounted read-only (${type} on ${source})${why.length > 0 ? `; ${why.join('; ')}` : ''}`,
      'do not just remount it: what is on it may be damaged. Cordon the node so that its pods start elsewhere',
      ...repair(path, source, type),
      'if the errors come back, replace the disk',
    )
  }
  if (sick)
    return broken(
      `the disk ${sick.source} of ${sick.path} fails: ${about(sick, kernelLog, IO_ERROR)}`,
      'drain the node, look at smartctl -a and the cable, replace the disk',
    )
  if (bad) {
    const said = about(bad, kernelLog, FS_ERROR)
    return broken(
      `${bad.path} (${bad.type} on ${bad.source}) has errors${bad.errors > 0 ? `: ${bad.errors} since the last fsck` : ''}${said ? `: ${said}` : ''}; it will turn read-only at a worse one`,
      'drain the node',
      ...repair(bad.path, bad.source, bad.type),
    )
  }
  if (full) {
    const what =
      (full.freeInodesShare ?? 1) < FULL
        ? 'has no inodes left'
        : `is full: ${((full.free ?? 0) / 1e6).toFixed(0)} MB are free`
    return broken(
      `${full.path} (${full.source}) ${what}`,
      `see what fills it: du -xh -d 2 ${full.path} | sort -h | tail`,
      'crictl rmi --prune, journalctl --vacuum-size=500M, apt-get clean',
    )
  }
  const recovered = volumes.map((v) => about(v, kernelLog, /recovery complete|orphan cleanup/i)).find(Boolean)
  return ok(
    `${volumes.map((v) => v.path).join(', ')} writable${recovered ? '; a journal was dirty at boot and was replayed' : ''}`,
  )
}

function repair(path: string, source: string, type: string): string[] {
  if (!type.startsWith('ext'))
    return [
      type === 'xfs' ? `boot a rescue system and run xfs_repair ${source}` : `boot a rescue system and check ${source}`,
    ]
  return path === '/'
    ? [
        `reboot with fsck.mode=force fsck.repair=yes on the kernel command line (or run e2fsck -f ${source} from a rescue system)`,
      ]
    : [`stop kubelet and containerd, umount ${path}, e2fsck -f ${source}, mount it and start them`]
}

const runs = ({ active }: Service): boolean => active === 'active' || active === 'reloading'

/** What systemd adds to a service's own words. */
const SYSTEMD =
  /^(\S+: (Main process exited|Failed with result|Scheduled restart|Consumed|Deactivated|Start request|Unit process|Service .* skipped)|(Started|Starting|Stopped|Stopping|Failed to start) )/

/** The line of a log that says why, or its last one. */
function lastWords({ log: all }: Service): string {
  const log = all.filter((line) => !SYSTEMD.test(line))
  const why = lastOf(log, /fatal|panic|failed|error|refus|invalid|cannot|unable|read-only|no space/i) ?? log.at(-1)
  return why === undefined ? '' : `; it said: ${why.trim()}`
}

function down(name: string, { active, sub, result, restarts }: Service): string {
  const why = result === '' || result === 'success' ? '' : `, ${result}`
  return `${name} is ${active === 'activating' && sub === 'auto-restart' ? 'crashing again and again' : active}${why}${restarts > 0 ? ` (${restarts} restarts)` : ''}`
}

function containerd({ containerd: service }: Signs) {
  if (service.load === 'not-found') return broken('containerd is not installed', 'run the role containerd')
  if (service.load === 'masked') return broken('containerd is masked', 'systemctl unmask --now containerd')
  if (runs(service)) return ok('containerd runs')
  const log = service.log.join('\n')
  const mend = /read-only file system/i.test(log)
    ? 'its file system is or was read-only: see the disk'
    : /no space left/i.test(log)
      ? 'its file system is or was full: see the disk'
      : /toml|config|unmarshal/i.test(log)
        ? 'its configuration is wrong: run the role containerd again, which checks it'
        : /bolt|meta\.db|invalid database|checksum/i.test(log)
          ? 'its database is damaged: drain the node, move /var/lib/containerd aside, start it; images are pulled again'
          : 'journalctl -u containerd -n 100'
  return broken(`${down('containerd', service)}${lastWords(service)}`, mend, 'systemctl restart containerd')
}

function socket({ socket: is, criTrouble }: Signs) {
  if (!is.exists)
    return broken(
      '/run/containerd/containerd.sock is not there',
      'see `address` in containerd config dump, and kubelet’s --container-runtime-endpoint',
      'systemctl restart containerd',
    )
  if (is.complaint)
    return broken(
      `containerd does not answer at its socket: ${is.complaint}`,
      'systemctl restart containerd: containers go on running',
      'if it hangs again: iostat -x 1, journalctl -u containerd -n 100',
    )
  if (criTrouble.length > 0)
    return broken(
      `containerd answers, but its CRI plugin is not up: ${criTrouble[0]!.replace(/\s+/g, ' ')}`,
      'run the role containerd again: a vendor’s package may have disabled CRI, or the configuration is wrong',
    )
  return ok('containerd answers')
}

/** What kubelet says when it ends, and what to do. */
const KUBELET_ENDS: readonly (readonly [RegExp, string])[] = [
  [
    /running with swap on is not supported|swap.*(not supported|fail)/i,
    'swap is on: run the role kubernetes_host (swapoff -a)',
  ],
  [
    /cgroup v1.*(unsupported|not supported|fail)|failCgroupV1/i,
    'the host has cgroup version 1: boot with systemd.unified_cgroup_hierarchy=1, or set failCgroupV1: false',
  ],
  [/cgroup driver.*(different|mismatch)/i, 'cgroup drivers differ: run the role containerd (SystemdCgroup)'],
  [/read-only file system/i, 'its file system is or was read-only: see the disk'],
  [/no space left/i, 'its file system is full: see the disk'],
  [
    /certificate has expired|x509/i,
    'its certificate is not good: kubeadm certs renew on the control plane, or join the node again',
  ],
  [
    /unknown flag|failed to parse kubelet flag/i,
    'a flag is not known to this version: see /var/lib/kubelet/kubeadm-flags.env and /etc/default/kubelet',
  ],
  [
    /validate.*(cri|runtime).*(connect|unimplemented|unavailable)|container runtime is not running/i,
    'it does not reach containerd: see containerd',
  ],
]

function kubelet({ kubelet: service, joined, certificateEnds, now, swap }: Signs) {
  if (service.load === 'not-found') return broken('kubelet is not installed', 'run the role kubernetes_packages')
  if (!joined)
    return broken(
      'the host is in no cluster (no /etc/kubernetes/kubelet.conf or /var/lib/kubelet/config.yaml)',
      'join it: runbook apply site.yml',
    )
  if (certificateEnds !== undefined && certificateEnds < now) {
    const day = new Date(certificateEnds * 1000).toISOString().slice(0, 10)
    return broken(
      `kubelet’s client certificate ended on ${day}: it was off for too long to renew it`,
      'drain what is left of it, then reset and join the node again (playbooks/reset.yml)',
    )
  }
  if (runs(service)) return ok('kubelet runs')
  const known = KUBELET_ENDS.find(([pattern]) => lastOf(service.log, pattern))
  const said = known ? `; it said: ${lastOf(service.log, known[0])!.trim()}` : lastWords(service)
  const advice = known?.[1] ?? (swap.length > 0 ? KUBELET_ENDS[0]![1] : 'journalctl -u kubelet -n 100')
  return broken(`${down('kubelet', service)}${said}`, advice, 'systemctl restart kubelet')
}

function cni({ cniConfigs, missingPlugins, cniBinDirs, filledBinDirs, kubelet: service }: Signs) {
  const uninitialized = lastOf(service.log, /cni plugin not initialized|cni config uninitialized/i)
  if (cniConfigs.length === 0)
    return broken(
      `there is no CNI configuration in /etc/cni/net.d${uninitialized ? ' (“cni plugin not initialized”)' : ''}`,
      'install a CNI plugin (playbook’s `cni`); if it is installed, see why its pod on this node does not run: crictl ps -a, crictl logs',
    )
  if (missingPlugins.length > 0) {
    const elsewhere = filledBinDirs.filter((dir) => !cniBinDirs.includes(dir))
    return broken(
      `${cniConfigs[0]} names ${missingPlugins.join(', ')}, and containerd finds no such plugin in ${cniBinDirs.join(', ')}`,
      elsewhere.length > 0
        ? `plugins are in ${elsewhere.join(', ')}, where containerd does not look: run the role containerd, which makes both folders work`
        : 'install them: kubernetes_packages_cni_archive of the role kubernetes_packages, or the CNI’s own pod, which copies its plugin',
    )
  }
  return ok(`${cniConfigs[0]}, its plugins are in ${cniBinDirs.join(', ')}`)
}

function api({ server, serverAnswer, ready, host }: Signs) {
  if (server === '') return broken('no API server is known', 'join the node')
  const [status, ...said] = serverAnswer.split(' ')
  if (!/^(200|401|403)$/.test(status ?? '')) {
    const why = status === '' || status === '000' ? said.join(' ') || 'no answer within 5 s' : `HTTP status ${status}`
    return broken(
      `the API server ${server} does not answer: ${why}`,
      'from another node: is it that all cannot, or only this one? All: look at the control plane (kube-vip, kube-apiserver, etcd). Only this: route, firewall, cable',
    )
  }
  if (ready && ready.status !== 'True')
    return broken(
      `the API has the node ${host} as Ready=${ready.status} (${ready.reason}): ${ready.message}`,
      ready.status === 'Unknown'
        ? 'kubelet’s reports do not arrive: systemctl restart kubelet, see its log for the API’s answer, and the clock'
        : 'see the message; kubectl describe node',
    )
  return ok(`${server} answers${ready ? ', the node is Ready' : ''}`)
}

/** The steps that were found, in their order; fewer than three are no cascade, the links say as much. */
function cascade(signs: Signs, chain: readonly LinkState[]): string | undefined {
  const { kernelLog, volumes, uncleanShutdown, ready, containerd: runtime, kubelet: agent } = signs
  const is = (link: Link): boolean => chain.some((l) => l.link === link && l.state === 'broken')
  const silent = is('kubelet') && signs.joined && !runs(agent)
  const dirty = volumes.some((v) => v.errors > 0 || about(v, kernelLog, /recovery|orphan|JBD2|EXT4-fs error/i))
  const readOnly = volumes.some((v) => v.readOnly && !v.meantReadOnly)
  const steps = [
    uncleanShutdown ? 'power loss' : '',
    dirty ? 'dirty journal' : '',
    readOnly ? 'read-only file system' : is('disk') && !dirty ? 'disk trouble' : '',
    is('containerd') ? (runtime.active === 'inactive' ? 'containerd off' : 'containerd crash') : '',
    silent ? (agent.active === 'inactive' ? 'kubelet off' : 'kubelet crash') : '',
    // Nobody reports to the API any more, whether or not it could be asked.
    ready?.status === 'Unknown' || silent ? 'NodeStatusUnknown' : '',
  ].filter(Boolean)
  return steps.length < 3 ? undefined : steps.join(' → ')
}

/** A diagnosis for people. */
export function describe({ host, chain, broken: first, cascade: how }: Diagnosis): string {
  const head = first ? `${host}: the first broken link is ${first.link}: ${first.message}` : `${host}: the chain holds`
  const width = Math.max(...chain.map((l) => l.link.length))
  return [
    head,
    ...chain.map((l) => `  ${l.link.padEnd(width)}  ${l.state === 'ok' ? 'ok    ' : 'broken'}  ${l.message}`),
    ...(how ? [`  what happened: ${how}`] : []),
    ...(first ? ['  what to do:', ...first.mend.map((step, i) => `    ${i + 1}. ${step}`)] : []),
  ].join('\n')
}
