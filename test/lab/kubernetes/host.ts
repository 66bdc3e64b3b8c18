import { readFileSync } from 'node:fs'
import { cp, mkdir, readdir, rm, symlink } from 'node:fs/promises'
import path from 'node:path'
import type { Lab, LabHost } from '../index.ts'
import type { Kubernetes } from './build.ts'
import type { Minor } from './versions.ts'

const ROOTFS = path.join(import.meta.dirname, 'rootfs')

/** What Kubernetes' own packages install as programs. */
const PROGRAMS = ['kubeadm', 'kubelet', 'kubectl'] as const

/**
 * Makes a running host what the packages of a release make of it: programs, kubelet's unit (enabled, as the package has
 * it), crictl, CNI plugins; and with `images` the images in containerd's store, as on a host without a registry. containerd is
 * as it was afterwards: not configured, and not running if it was not.
 */
export async function prepareHost(
  lab: Lab,
  host: LabHost,
  kubernetes: Kubernetes,
  minor: Minor,
  { images = true }: { readonly images?: boolean } = {},
): Promise<void> {
  await cp(ROOTFS, host.rootfs, { recursive: true })
  if (!mayLowerOomScore()) {
    await force('/usr/local/lib/runbook-lab/runc', path.join(host.rootfs, 'usr/local/sbin/runc'))
  }
  await installCniPlugins(host, kubernetes)
  await force(path.join(kubernetes.shared.bin, 'crictl'), path.join(host.rootfs, 'usr/bin/crictl'))
  await installRelease(host, kubernetes, minor)
  await sh(
    lab,
    host,
    'systemctl daemon-reload && systemctl enable --quiet --now lab-kernel && systemctl enable --quiet kubelet',
  )
  if (images) await loadImages(lab, host, kubernetes, [minor])
}

/** Puts programs of a release in the place of those of another, as an upgrade of the packages does. */
export async function installRelease(
  host: LabHost,
  kubernetes: Kubernetes,
  minor: Minor,
  programs: readonly (typeof PROGRAMS)[number][] = PROGRAMS,
): Promise<void> {
  const { bin } = releaseOf(kubernetes, minor)
  for (const program of programs) await force(path.join(bin, program), path.join(host.rootfs, 'usr/bin', program))
}

/** Brings the images of releases, and those that all share, into the host's containerd. */
export async function loadImages(
  lab: Lab,
  host: LabHost,
  kubernetes: Kubernetes,
  minors: readonly Minor[],
): Promise<void> {
  const archives = [...minors.flatMap((minor) => releaseOf(kubernetes, minor).images), ...kubernetes.shared.images]
  const lines = archives.map((archive) => `ctr --namespace k8s.io images import ${archive} >/dev/null`)
  // What the playbooks under test do to containerd must not depend on what was done to it here.
  const restore = 'systemctl is-active --quiet containerd || trap "systemctl stop containerd" EXIT'
  await sh(lab, host, ['set -e', restore, 'systemctl start containerd', ...lines].join('\n'))
}

async function installCniPlugins(host: LabHost, { shared }: Kubernetes): Promise<void> {
  const folder = path.join(host.rootfs, 'opt/cni/bin')
  await mkdir(folder, { recursive: true })
  // flannel's own is brought by flannel.
  const plugins = (await readdir(shared.cni)).filter((plugin) => plugin !== 'flannel')
  for (const plugin of plugins) await force(path.join(shared.cni, plugin), path.join(folder, plugin))
}

function releaseOf({ releases }: Kubernetes, minor: Minor) {
  const built = releases[minor]
  if (!built) throw new Error(`Kubernetes ${minor} was not built; name it when booting the lab`)
  return built
}

/** CAP_SYS_RESOURCE, which a machine may have been started without. */
function mayLowerOomScore(): boolean {
  const bounding = /^CapBnd:\t([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  const CAP_SYS_RESOURCE = 24n // linux/capability.h
  return bounding !== null && ((BigInt(`0x${bounding[1]}`) >> CAP_SYS_RESOURCE) & 1n) === 1n
}

async function force(target: string, link: string): Promise<void> {
  await mkdir(path.dirname(link), { recursive: true })
  await rm(link, { force: true })
  await symlink(target, link)
}

async function sh(lab: Lab, host: LabHost, script: string): Promise<void> {
  const { rc, stderr } = await lab.exec(host.name, ['sh', '-c', script])
  if (rc !== 0) throw new Error(`${host.name}: exit status ${rc}\n${script}\n${stderr.trim()}`)
}
