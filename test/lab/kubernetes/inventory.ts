import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parse, stringify } from 'yaml'
import { apiAddress, POD_SUBNET, SERVICE_SUBNET } from './cluster.ts'
import type { KubernetesLab } from './index.ts'
import { RELEASES } from './versions.ts'

/**
 * Writes an inventory for the shipped playbooks, with all hosts of the lab in their groups; returns its path. It stands
 * beside the lab's own and goes with the lab. `more` are further variables of all hosts.
 */
export async function writeInventory(
  site: KubernetesLab,
  more: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const names = (hosts: readonly { name: string }[]) => ({
    hosts: Object.fromEntries(hosts.map(({ name }) => [name, {}])),
  })
  const own = parse(await readFile(site.lab.inventoryFile, 'utf8'))
  const vars = { ...siteVariables(site), ...more }
  const whole = { all: { vars }, ...own, control_plane: names(site.controlPlanes), workers: names(site.workers) }
  const file = path.join(path.dirname(site.lab.inventoryFile), 'cluster.yml')
  await writeFile(file, stringify(whole, { lineWidth: 0 }))
  return file
}

/** What the lab's hosts need said: they have no way out, and share a kernel. */
function siteVariables(site: KubernetesLab): Record<string, unknown> {
  const several = site.controlPlanes.length > 1
  return {
    kubernetes_version: RELEASES[site.minor].kubernetes,
    kubernetes_pod_subnet: POD_SUBNET,
    kubernetes_service_subnet: SERVICE_SUBNET,
    ...(several && {
      kubernetes_virtual_ip: apiAddress(site),
      kube_vip_interface: 'host0',
    }),
    cni_manifest: site.kubernetes.shared.flannelManifest,
    // The programs are on the hosts as packages would bring them; there is no repository, and no time server.
    kubernetes_packages_source: 'none',
    kubernetes_upgrade_packages: false,
    kubernetes_host_time_sync: 'none',
    containerd_source: 'none',
    preflight_ignore: ['cpu', 'memory', 'disk'],
    // A network namespace may not set what is the machine's; 0 leaves it alone.
    kubernetes_documents: [
      {
        apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
        kind: 'KubeProxyConfiguration',
        conntrack: { maxPerCore: 0, min: 0 },
      },
    ],
  }
}
