/** What is asked of the machine and its system. */
import { parseVersion, tooOldFor } from '../containerd/version.ts'
import type { Facts, Finding } from './facts.ts'
import type { Seen } from './look.ts'
import { KERNEL_OPTIONS, modulesFor, versionOf, type Wanted } from './wanted.ts'

const problem = (check: Finding['check'], message: string): Finding => ({ check, message, level: 'problem' })
const note = (check: Finding['check'], message: string): Finding => ({ check, message, level: 'note' })

/** Processors that Kubernetes is released for. */
const ARCHITECTURES = ['amd64', 'arm64', 'arm', 'ppc64le', 's390x']

/** Findings about operating system, kernel, processor, memory, disks, swap and tools. */
export function judgeMachine(wanted: Wanted, facts: Facts, seen: Seen): Finding[] {
  return [
    ...os(wanted, facts),
    ...kernel(wanted, facts, seen),
    ...cgroup(wanted, facts),
    ...size(wanted, facts, seen),
    ...swap(wanted, facts),
    ...tools(facts, seen),
    ...containerd(wanted, seen),
    ...security(facts),
  ]
}

function os(wanted: Wanted, { os: is, architecture, init, user }: Facts): Finding[] {
  const findings: Finding[] = []
  if (user?.uid !== undefined && user.uid !== 0)
    findings.push(problem('os', 'preflight does not run as root: set `become: true` on the play'))
  const { id = '', version = '', name = id } = is ?? {}
  const oldest = wanted.supportedOs[id]
  const known = Object.keys(wanted.supportedOs).join(', ')
  if (oldest === undefined)
    findings.push(
      problem(
        'os',
        `${name || 'the distribution'} is none of those this was made for (${known}): add it to \`supported_os\` if you know better`,
      ),
    )
  else if (isOlder(version, oldest)) findings.push(problem('os', `${name} is older than ${id} ${oldest}: upgrade it`))
  if (architecture !== undefined && !ARCHITECTURES.includes(architecture))
    findings.push(
      problem('architecture', `Kubernetes is not released for ${architecture}, only for ${ARCHITECTURES.join(', ')}`),
    )
  if (init !== undefined && init !== 'systemd')
    findings.push(problem('os', `process 1 is ${init}: kubeadm and these roles need systemd`))
  return findings
}

/** `22.04` < `24.04`; what is no number (rolling, sid) is never older. */
function isOlder(version: string, oldest: string): boolean {
  const parts = (text: string): number[] => text.split('.').map(Number)
  if (version === '' || oldest === '' || parts(version).some(Number.isNaN)) return false
  const [a, b] = [parts(version), parts(oldest)]
  return ((a[0] ?? 0) - b[0]! || (a[1] ?? 0) - (b[1] ?? 0)) < 0
}

function kernel(wanted: Wanted, { kernel: is }: Facts, seen: Seen): Finding[] {
  const release = is?.release ?? ''
  const [major = 0, minor = 0] = release.split('.').map(Number)
  const before = (a: number, b: number): boolean => release !== '' && (major < a || (major === a && minor < b))
  const findings: Finding[] = []
  // kubeadm's SystemVerification warns of kernels older than the oldest that is still maintained (system-validators 1.10).
  if (before(4, 19))
    findings.push(
      problem(
        'kernel',
        `kernel ${release} is too old: 4.19 is the least, 5.10 and later are recommended. Upgrade the distribution`,
      ),
    )
  else if (before(5, 4))
    findings.push(
      note(
        'kernel',
        `kernel ${release} is not maintained any more and kubeadm warns of it: 5.10 or later is recommended`,
      ),
    )
  if (wanted.kubeProxyMode === 'nftables' && before(5, 13))
    findings.push(
      problem(
        'kernel',
        `kernel ${release} cannot do kube-proxy's nftables mode, which needs 5.13: set kube_proxy_mode iptables or ipvs`,
      ),
    )
  if (seen.kernelOptions.length > 0) {
    const missing = KERNEL_OPTIONS.filter((row) => !row.some((option) => seen.kernelOptions.includes(option)))
    if (missing.length > 0)
      findings.push(
        problem(
          'kernel',
          `kernel ${release} was built without CONFIG_${missing.map((row) => row[0]).join(', CONFIG_')}, which kubeadm insists on: use the distribution's own kernel`,
        ),
      )
  }
  const absent = modulesFor(wanted.kubeProxyMode).filter((name) => {
    const module = seen.modules[name]
    return module !== undefined && !module.present && !module.available
  })
  if (absent.length > 0)
    findings.push(
      problem(
        'modules',
        `kernel ${release} has no module ${absent.join(', ')}: install the kernel's package of more modules ` +
          `(kernel-modules-extra, linux-modules-extra-${release}), reboot if the kernel was upgraded` +
          `${absent.some((name) => name.startsWith('ip_vs')) ? ', or use kube_proxy_mode nftables or iptables' : ''}`,
      ),
    )
  return findings
}

/** kubelet asks for the file system of /sys/fs/cgroup itself: hybrid is version 1 to it. */
function cgroup(wanted: Wanted, { cgroup: is }: Facts): Finding[] {
  const { minor } = versionOf(wanted.kubernetesVersion)!
  if (is === undefined || is === 'v2') return []
  const mend =
    'boot with systemd.unified_cgroup_hierarchy=1 on the kernel command line, or move to a distribution that has version 2'
  if (minor >= 35)
    return [
      problem(
        'cgroup',
        `the host uses cgroup version 1 (${is}): kubelet ${wanted.kubernetesVersion} does not start on it (failCgroupV1 is true since ` +
          `1.35), and kubeadm's SystemVerification fails. ${mend[0]!.toUpperCase()}${mend.slice(1)}`,
      ),
    ]
  return [
    note(
      'cgroup',
      `the host uses cgroup version 1 (${is}), which kubelet refuses from 1.35 on: before that upgrade, ${mend}`,
    ),
  ]
}

function size(wanted: Wanted, { cpu, memory }: Facts, seen: Seen): Finding[] {
  const findings: Finding[] = []
  if (cpu?.count !== undefined && cpu.count < wanted.minCpus)
    findings.push(problem('cpu', `${cpu.count} processors, a ${wanted.role} needs ${wanted.minCpus}`))
  if (memory?.total_mb !== undefined && memory.total_mb < wanted.minMemoryMb)
    findings.push(problem('memory', `${memory.total_mb} MB of memory, a ${wanted.role} needs ${wanted.minMemoryMb}`))
  for (const [path, gb] of Object.entries(wanted.minDiskGb)) {
    const disk = seen.disks[path]
    if (!disk) continue
    if (disk.free === undefined) {
      findings.push(problem('disk', `${path} is on ${disk.type}, a file system of the network: put it on a local disk`))
    } else if (disk.free < gb * 1e9) {
      const free = (disk.free / 1e9).toFixed(1)
      findings.push(
        problem('disk', `${free} GB are free for ${path}, ${gb} are needed: make room or mount a larger disk there`),
      )
    }
  }
  return findings
}

function swap(wanted: Wanted, { swap: devices = [] }: Facts): Finding[] {
  if (devices.length === 0) return []
  const names = devices.map((d) => d.device).join(', ')
  if (wanted.swap === 'keep')
    return [
      note(
        'swap',
        `swap is on (${names}) and stays: kubelet does not start unless its configuration has failSwapOn: false`,
      ),
    ]
  return [note('swap', `swap is on (${names}): the role kubernetes_host turns it off`)]
}

function tools({ package_manager }: Facts, { missingTools }: Seen): Finding[] {
  if (missingTools.length === 0) return []
  const names = missingTools.join(', ')
  if (package_manager === undefined)
    return [problem('tools', `${names} not found, and no package manager to install them: kubeadm needs them`)]
  return [note('tools', `${names} not found: the role kubernetes_host installs them with ${package_manager}`)]
}

function containerd(wanted: Wanted, seen: Seen): Finding[] {
  const version = parseVersion(seen.containerd)
  const least = version && tooOldFor(version, versionOf(wanted.kubernetesVersion)!.minor)
  if (least === undefined) return []
  return [
    note(
      'containerd',
      `containerd ${version!.text} is older than ${least}, the oldest that its makers test with Kubernetes ${wanted.kubernetesVersion}: ` +
        'take a newer one (containerd_source: repository or archive)',
    ),
  ]
}

function security({ selinux, apparmor }: Facts): Finding[] {
  return [
    ...(selinux === 'enforcing'
      ? [
          note(
            'security',
            'SELinux enforces: container-selinux must be installed, and pods that use hostPath need labels that allow it',
          ),
        ]
      : []),
    ...(apparmor === true
      ? [note('security', 'AppArmor enforces: containerd needs apparmor_parser to load its default profile')]
      : []),
  ]
}
