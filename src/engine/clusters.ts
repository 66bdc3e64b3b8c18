import {
  type Cluster,
  type LoadedKubeconfig,
  loadKubeconfig,
  loadKubeconfigFile,
  openCluster,
} from '../kubernetes/index.ts'
import { kubeadm } from '../module/index.ts'
import { SessionError, type Shell } from '../session/session.ts'
import type { KubeconfigSource, KubernetesApi } from '../shared/kubernetes.ts'
import { quote } from '../shared/quote.ts'
import type { Redactor } from '../shared/redact.ts'

/** cat's status for a file that is not there is 1, as for any other trouble. */
const NO_FILE = 66

/** How an action reaches hosts and files. */
export interface Ways {
  /** The action's own host. */
  readonly self: string
  shell(host: string): Promise<Shell>
  path(path: string): string
}

/** The clusters that the actions of a run talk to: each kubeconfig is read once, and connections are shared. */
export class Clusters implements Disposable {
  readonly #redactor: Redactor
  readonly #open = new Map<string, Promise<Cluster>>()

  constructor(redactor: Redactor) {
    this.#redactor = redactor
  }

  /** `fresh`: read the kubeconfig again, for the cluster may be another one since. */
  get(source: KubeconfigSource, ways: Ways, fresh = false): Promise<KubernetesApi> {
    const key = 'file' in source ? `file ${ways.path(source.file)}` : hostsKey(source, ways)
    let cluster = fresh ? undefined : this.#open.get(key)
    if (!cluster) {
      cluster = this.#load(source, ways).then((kubeconfig) => {
        for (const secret of kubeconfig.secrets) this.#redactor.add(secret)
        return openCluster(kubeconfig)
      })
      this.#open.set(key, cluster)
      cluster.catch(() => {
        if (this.#open.get(key) === cluster) this.#open.delete(key)
      })
    }
    return cluster
  }

  #load(source: KubeconfigSource, ways: Ways): Promise<LoadedKubeconfig> {
    if ('file' in source) return loadKubeconfigFile(ways.path(source.file))
    return fromHosts(source.hosts ?? [ways.self], source.path, ways)
  }

  [Symbol.dispose](): void {
    for (const cluster of this.#open.values())
      cluster.then(
        (open) => open[Symbol.dispose](),
        () => {},
      )
    this.#open.clear()
  }
}

function hostsKey({ hosts, path }: { hosts?: readonly string[] | undefined; path: string }, { self }: Ways): string {
  return `hosts ${(hosts ?? [self]).join(',')} ${path}`
}

/** Any control plane has an administrator's kubeconfig: one that is off, or not joined yet, is passed over. */
async function fromHosts(hosts: readonly string[], path: string, ways: Ways): Promise<LoadedKubeconfig> {
  const reasons: string[] = []
  for (const host of hosts) {
    try {
      const shell = await ways.shell(host)
      const { rc, stdout, stderr } = await shell.run(`[ -e ${quote(path)} ] || exit ${NO_FILE}; cat -- ${quote(path)}`)
      if (rc === 0) return await loadKubeconfig(stdout.toString('utf8'), `${path} of ${host}`)
      reasons.push(`${host}: ${rc === NO_FILE ? `has no ${path}` : stderr.toString('utf8').trim()}`)
    } catch (error) {
      if (!(error instanceof SessionError) || hosts.length === 1) throw error
      reasons.push(`${host}: ${error.message}`)
    }
  }
  throw new kubeadm.NoCluster(`no kubeconfig of an administrator to be had: ${reasons.join('; ')}`)
}
