import { mkdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { LabHost } from '../index.ts'
import type { CommandOptions } from '../run.ts'
import type { KubernetesLab } from './index.ts'
import { LAB_IMAGES, RELEASES } from './versions.ts'

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
 * Makes a cluster of all the lab's hosts by the bare commands, without runbook: the floor that runbook's own time is
 * compared with, and what tests start from that only need a cluster. Three control planes stand behind a virtual IP.
 * Ends when all nodes are Ready.
 */
export async function bareCluster(lab: KubernetesLab): Promise<Timings> {
  const timings: Timings = {}
  const timed = async (step: string, work: () => Promise<unknown>) => {
    const started = performance.now()
    await work()
    timings[step] = Math.round(performance.now() - started)
  }
  const [first, ...others] = lab.controlPlanes
  if (!first) throw new Error('a cluster needs a control plane')
  await timed('host', () => Promise.all(lab.lab.hosts.map((host) => configureHost(lab, host))))
  await timed('init', () => init(lab, first))
  await timed('cni', () => kubectl(lab, ['apply', '-f', lab.kubernetes.shared.flannelManifest]))
  if (others.length > 0) await timed('joinControlPlanes', () => joinControlPlanes(lab, first, others))
  await timed('joinWorkers', async () => {
    const command = await joinCommand(lab, first)
    await Promise.all(lab.workers.map((worker) => on(lab, worker, command)))
  })
  await timed('ready', () => kubectl(lab, ['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=120s']))
  return timings
}

/** Address of the API: the control plane's, or the virtual IP of several. It is the tenth of the lab's subnet, which no host has. */
export function apiAddress({ controlPlanes }: KubernetesLab): string {
  const { address } = controlPlanes[0]!
  return controlPlanes.length > 1 ? address.replace(/\d+$/, '10') : address
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
  const several = lab.controlPlanes.length > 1
  const config = `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: ${host.address}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: ${RELEASES[lab.minor].kubernetes}
controlPlaneEndpoint: ${apiAddress(lab)}:6443
networking:
  podSubnet: ${POD_SUBNET}
  serviceSubnet: ${SERVICE_SUBNET}
---
${KUBE_PROXY_CONFIG}`
  await writeFile(path.join(host.rootfs, 'root/kubeadm.yaml'), config)
  // Until kubeadm has given admin.conf its rights, only super-admin.conf can take the lease (since Kubernetes 1.29).
  if (several) await writeVipPod(lab, host, 'super-admin.conf')
  await on(lab, host, ['kubeadm', 'init', '--config', '/root/kubeadm.yaml'], { timeoutMs: 300_000 })
  if (several) await writeVipPod(lab, host, 'admin.conf')
}

/** One after the other: each adds a member to etcd, which has to be healthy for the next. */
async function joinControlPlanes(lab: KubernetesLab, first: LabHost, others: readonly LabHost[]): Promise<void> {
  const output = await on(lab, first, ['kubeadm', 'init', 'phase', 'upload-certs', '--upload-certs'])
  const key = /^[0-9a-f]{64}$/m.exec(output)![0]
  const command = await joinCommand(lab, first)
  for (const host of others) {
    const own = ['--control-plane', '--certificate-key', key, '--apiserver-advertise-address', host.address]
    await on(lab, host, [...command, ...own], { timeoutMs: 300_000 })
    await writeVipPod(lab, host, 'admin.conf')
  }
}

async function joinCommand(lab: KubernetesLab, first: LabHost): Promise<string[]> {
  return (await on(lab, first, ['kubeadm', 'token', 'create', '--print-join-command'])).trim().split(/\s+/)
}

/** The static pod that `kube-vip manifest pod --controlplane --arp --leaderElection` prints, with the lab's image. */
async function writeVipPod(lab: KubernetesLab, host: LabHost, kubeconfig: string): Promise<void> {
  const env = { vip_arp: 'true', port: '6443', vip_interface: 'host0', vip_subnet: '32', cp_enable: 'true' }
  const election = { cp_namespace: 'kube-system', vip_leaderelection: 'true', vip_leasename: 'plndr-cp-lock' }
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'kube-vip', namespace: 'kube-system' },
    spec: {
      containers: [
        {
          name: 'kube-vip',
          image: LAB_IMAGES.kubeVip,
          imagePullPolicy: 'IfNotPresent',
          args: ['manager'],
          env: Object.entries({ ...env, ...election, address: apiAddress(lab) }).map(([name, value]) => ({
            name,
            value,
          })),
          securityContext: { capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } },
          volumeMounts: [{ name: 'kubeconfig', mountPath: '/etc/kubernetes/admin.conf' }],
        },
      ],
      hostAliases: [{ ip: '127.0.0.1', hostnames: ['kubernetes'] }],
      hostNetwork: true,
      volumes: [{ name: 'kubeconfig', hostPath: { path: `/etc/kubernetes/${kubeconfig}` } }],
    },
  }
  const folder = path.join(host.rootfs, 'etc/kubernetes/manifests')
  await mkdir(folder, { recursive: true })
  // kubelet watches the folder and must not see half a file.
  const whole = path.join(folder, '..', 'kube-vip.yaml')
  await writeFile(whole, JSON.stringify(pod, null, 2))
  await rename(whole, path.join(folder, 'kube-vip.yaml'))
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
