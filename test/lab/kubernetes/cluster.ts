import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { LabHost } from '../index.ts'
import type { CommandOptions } from '../run.ts'
import type { KubernetesLab } from './index.ts'
import { RELEASES } from './versions.ts'

/** Networks of a lab cluster; flannel's manifest has the first. */
export const POD_SUBNET = '10.244.0.0/16'
export const SERVICE_SUBNET = '10.96.0.0/16'

/**
 * kube-proxy documents for kubeadm's configuration. A host's network namespace may not set nf_conntrack_max (the kernel
 * gives it to the first one only) and kube-proxy ends when it cannot; 0 leaves it alone.
 */
export const KUBE_PROXY_CONFIG = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
conntrack:
  maxPerCore: 0
  min: 0
`

/** A step and how many milliseconds it took. */
export type Timings = Record<string, number>

/**
 * Makes a cluster of the lab's first control plane and all workers by the bare commands, without runbook: the floor that
 * runbook's own time is compared with, and what tests start from that only need a cluster. Ends when all nodes are Ready.
 */
export async function bareCluster(lab: KubernetesLab): Promise<Timings> {
  const timings: Timings = {}
  const timed = async (step: string, work: () => Promise<unknown>) => {
    const started = performance.now()
    await work()
    timings[step] = Math.round(performance.now() - started)
  }
  const [first] = lab.controlPlanes
  if (!first) throw new Error('a cluster needs a control plane')
  const hosts = [first, ...lab.workers]
  await timed('host', () => Promise.all(hosts.map((host) => configureHost(lab, host))))
  await timed('init', () => init(lab, first))
  await timed('cni', () => kubectl(lab, ['apply', '-f', lab.kubernetes.shared.flannelManifest]))
  await timed('join', async () => {
    const command = (await on(lab, first, ['kubeadm', 'token', 'create', '--print-join-command'])).trim().split(/\s+/)
    await Promise.all(lab.workers.map((worker) => on(lab, worker, command)))
  })
  await timed('ready', () => kubectl(lab, ['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=120s']))
  return timings
}

/** Runs kubectl on the first control plane, as its administrator; returns standard output. */
export function kubectl(lab: KubernetesLab, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const env = { KUBECONFIG: '/etc/kubernetes/admin.conf' }
  return on(lab, lab.controlPlanes[0]!, ['kubectl', ...args], { ...options, env })
}

async function configureHost(lab: KubernetesLab, host: LabHost): Promise<void> {
  const pause = `registry.k8s.io/pause:${RELEASES[lab.minor].pauseTag}`
  const script = `set -e
mkdir -p /etc/containerd
containerd config default |
  sed -e 's/SystemdCgroup = false/SystemdCgroup = true/' -e 's#sandbox_image = .*#sandbox_image = "${pause}"#' \\
    >/etc/containerd/config.toml
echo net.ipv4.ip_forward=1 >/etc/sysctl.d/90-kubernetes.conf
sysctl -q -p /etc/sysctl.d/90-kubernetes.conf
systemctl enable --quiet containerd
systemctl restart containerd`
  await on(lab, host, ['sh', '-c', script])
}

async function init(lab: KubernetesLab, host: LabHost): Promise<void> {
  const config = `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: ${host.address}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: ${RELEASES[lab.minor].kubernetes}
networking:
  podSubnet: ${POD_SUBNET}
  serviceSubnet: ${SERVICE_SUBNET}
---
${KUBE_PROXY_CONFIG}`
  await writeFile(path.join(host.rootfs, 'root/kubeadm.yaml'), config)
  await on(lab, host, ['kubeadm', 'init', '--config', '/root/kubeadm.yaml'], { timeoutMs: 300_000 })
}

async function on(
  lab: KubernetesLab,
  host: LabHost,
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { rc, stdout, stderr } = await lab.lab.exec(host.name, argv, options)
  if (rc !== 0)
    throw new Error(`${host.name}: ${argv.join(' ')}: exit status ${rc}\n${stdout.slice(-2000)}${stderr.trim()}`)
  return stdout
}
