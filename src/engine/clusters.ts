import type { Cluster, LoadedKubeconfig } from '../kubernetes/index.ts'
import { kubeadm } from '../module/index.ts'
import { SessionError, type Shell } from '../session/session.ts'
import type { KubeconfigSource, KubernetesApi } from '../shared/kubernetes.ts'
import { quote } from '../shared/quote.ts'
import type { Redactor } from '../shared/redact.ts'

/** cat's status for a file that is not there is 1, as for any other trouble. */
const NO_FILE = 66

/** Most runs talk to none. */
const kubernetes = () => import('../kubernetes/index.ts')

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
    if ('file' in source) {
      const path = ways.path(source.file)
      return this.#once(`file ${path}`, fresh, () =>
        this.#opened(kubernetes().then(({ loadKubeconfigFile }) => loadKubeconfigFile(path))),
      )
    }
    const { path } = source
    const hosts = source.hosts ?? [ways.self]
    // Who asks for the first of several shares it with who asks for that one.
    const one = (host: string) =>
      this.#once(hostsKey([host], path), fresh, () => this.#opened(fromHost(host, path, ways)))
    if (hosts.length === 1) return one(hosts[0]!)
    return this.#once(hostsKey(hosts, path), fresh, () => firstOf(hosts, one))
  }

  /** What failed is tried again by the next who asks. */
  #once(key: string, fresh: boolean, open: () => Promise<Cluster>): Promise<Cluster> {
    const known = fresh ? undefined : this.#open.get(key)
    if (known) return known
    const cluster = open()
    this.#open.set(key, cluster)
    cluster.catch(() => {
      if (this.#open.get(key) === cluster) this.#open.delete(key)
    })
    return cluster
  }

  async #opened(loading: Promise<LoadedKubeconfig>): Promise<Cluster> {
    const kubeconfig = await loading
    for (const secret of kubeconfig.secrets) this.#redactor.add(secret)
    const { openCluster } = await kubernetes()
    return openCluster(kubeconfig)
  }

  [Symbol.dispose](): void {
    // One may stand under several keys; closing it twice does nothing.
    for (const cluster of this.#open.values())
      cluster.then(
        (open) => open[Symbol.dispose](),
        () => {},
      )
    this.#open.clear()
  }
}

const hostsKey = (hosts: readonly string[], path: string): string => `hosts ${hosts.join(',')} ${path}`

/** Any control plane has an administrator's kubeconfig: one that is off, or not joined yet, is passed over. */
async function firstOf(hosts: readonly string[], open: (host: string) => Promise<Cluster>): Promise<Cluster> {
  const reasons: string[] = []
  for (const host of hosts) {
    try {
      return await open(host)
    } catch (error) {
      if (!(error instanceof SessionError || error instanceof NoKubeconfig)) throw error
      reasons.push(error instanceof NoKubeconfig ? error.reason : `${host}: ${error.message}`)
    }
  }
  throw new kubeadm.NoCluster(`${NOT_TO_BE_HAD}: ${reasons.join('; ')}`)
}

async function fromHost(host: string, path: string, ways: Ways): Promise<LoadedKubeconfig> {
  const shell = await ways.shell(host)
  const { rc, stdout, stderr } = await shell.run(`[ -e ${quote(path)} ] || exit ${NO_FILE}; cat -- ${quote(path)}`)
  const { loadKubeconfig } = await kubernetes()
  if (rc === 0) return await loadKubeconfig(stdout.toString('utf8'), `${path} of ${host}`)
  throw new NoKubeconfig(`${host}: ${rc === NO_FILE ? `has no ${path}` : stderr.toString('utf8').trim()}`)
}

const NOT_TO_BE_HAD = 'no kubeconfig of an administrator to be had'

/** A host that was asked has none. */
class NoKubeconfig extends kubeadm.NoCluster {
  readonly reason: string

  constructor(reason: string) {
    super(`${NOT_TO_BE_HAD}: ${reason}`)
    this.reason = reason
  }
}
