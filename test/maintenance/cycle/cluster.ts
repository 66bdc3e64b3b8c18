/** A cluster of one control plane (n1) and two workers (n2, n3) whose power a program switches, and its inventory. */
import { readFileSync } from 'node:fs'
import { parse, stringify } from 'yaml'
import { bareCluster, kubectl } from '../../lab/kubernetes/cluster.ts'
import { bootKubernetesLab, type KubernetesLab } from '../../lab/kubernetes/index.ts'
import { inside, powerSwitch, type Switch } from './site.ts'

interface Node {
  readonly spec: { readonly unschedulable?: boolean }
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> }
}

export interface PoweredCluster extends AsyncDisposable {
  readonly site: KubernetesLab
  readonly bmc: Switch
  /** YAML: how hosts are reached, the groups control_plane and workers, their power. */
  readonly inventory: string
  node(name: string): Promise<Node>
}

/** `folder` is for the program that switches; `prepare` comes before the cluster is made. */
export async function poweredCluster(
  folder: string,
  prepare: (site: KubernetesLab) => void = () => {},
): Promise<PoweredCluster> {
  await using stack = new AsyncDisposableStack()
  const site = stack.use(await bootKubernetesLab({ controlPlanes: 1, workers: 2 }))
  prepare(site)
  // As kubeadm's documentation has it; they must come back after a boot.
  await Promise.all(site.lab.hosts.map(({ name }) => inside(site.lab, name, 'systemctl enable -q kubelet containerd')))
  await bareCluster(site)
  const bmc = stack.use(await powerSwitch(site.lab, folder))
  const group = (hosts: KubernetesLab['workers']) => ({
    hosts: Object.fromEntries(hosts.map(({ name }) => [name, null])),
    vars: { runbook_power: bmc.power },
  })
  const inventory = stringify({
    ...parse(readFileSync(site.lab.inventoryFile, 'utf8')),
    control_plane: group(site.controlPlanes),
    workers: group(site.workers),
  })
  const all = stack.move()
  return {
    site,
    bmc,
    inventory,
    node: async (name) => JSON.parse(await kubectl(site, ['get', 'node', name, '-o', 'json'])),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}
