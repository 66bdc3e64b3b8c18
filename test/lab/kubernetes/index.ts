import { readFile, writeFile } from 'node:fs/promises'
import { bootLab, type Lab, type LabHost, type LabOptions } from '../index.ts'
import { requireLab } from '../skip.ts'
import { ensureKubernetes, type Kubernetes } from './build.ts'
import { prepareHost } from './host.ts'
import { type Minor, NEWEST } from './versions.ts'

export { ensureKubernetes, type Kubernetes } from './build.ts'
export { installRelease, loadImages, prepareHost } from './host.ts'
export { LAB_IMAGES, type Minor, NEWEST, RELEASES } from './versions.ts'

export interface KubernetesLabOptions extends Omit<LabOptions, 'hosts' | 'image'> {
  readonly controlPlanes: number
  readonly workers: number
  /** What is on the hosts at first; default the newest. */
  readonly minor?: Minor | undefined
  /** Other releases that the test goes to. */
  readonly alsoBuild?: readonly Minor[] | undefined
}

export interface KubernetesLab extends AsyncDisposable {
  readonly lab: Lab
  readonly controlPlanes: readonly LabHost[]
  readonly workers: readonly LabHost[]
  readonly kubernetes: Kubernetes
  readonly minor: Minor
}

/**
 * Hosts with the programs and images of a Kubernetes release, and nothing configured: swap, kernel, containerd and
 * kubeadm are left to what is tested. The first hosts are the control planes. Builds the release when it is not there.
 */
export async function bootKubernetesLab(options: KubernetesLabOptions): Promise<KubernetesLab> {
  const { controlPlanes, workers, minor = NEWEST, alsoBuild = [], readOnly = [], ...rest } = options
  requireLab()
  const kubernetes = await ensureKubernetes([minor, ...alsoBuild], options.progress)
  await allowManyWatches()
  const folders = [kubernetes.shared, ...Object.values(kubernetes.releases)].map((built) => built.folder)
  const lab = await bootLab({
    ...rest,
    hosts: controlPlanes + workers,
    readOnly: [...new Set([...readOnly, ...folders])],
  })
  try {
    await Promise.all(lab.hosts.map((host) => prepareHost(lab, host, kubernetes, minor)))
  } catch (error) {
    await lab[Symbol.asyncDispose]()
    throw error
  }
  return {
    lab,
    controlPlanes: lab.hosts.slice(0, controlPlanes),
    workers: lab.hosts.slice(controlPlanes),
    kubernetes,
    minor,
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  }
}

/**
 * A node takes 15 to 30 inotify instances, and all hosts' root is one user to the kernel, whose default is 128: the
 * fifth node's kubelet would end with "too many open files". Only ever raised, and left so.
 */
async function allowManyWatches(): Promise<void> {
  const file = '/proc/sys/fs/inotify/max_user_instances'
  const wanted = 4096
  if (Number(await readFile(file, 'utf8')) < wanted) await writeFile(file, String(wanted))
}
