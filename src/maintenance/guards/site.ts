/** Guards for the hosts of an inventory: finds their cluster, reaches them as root, and names them as the cluster does. */
import type { Inventory } from '../../inventory/index.ts'
import { targetOf } from '../../inventory/index.ts'
import {
  type Cluster,
  type LoadedKubeconfig,
  loadKubeconfig,
  loadKubeconfigFile,
  openCluster,
} from '../../kubernetes/index.ts'
import type { Become, Connect, Connection, Prompt, Shell, Target } from '../../session/session.ts'
import { UserError } from '../../shared/errors.ts'
import type { Redactor } from '../../shared/redact.ts'
import { makeScope, type Scope } from '../../values/index.ts'
import { inventoryNames } from './budgets.ts'
import { openFileStore } from './file-store.ts'
import { changeLedger } from './hold.ts'
import { readNodes } from './nodes.ts'
import { type EnterOptions, openGuards, type Pass } from './open.ts'
import type { GuardSettings } from './settings.ts'

export interface SiteOptions {
  readonly inventory: Inventory
  /** Of the command line. */
  readonly extraVars: ReadonlyMap<string, unknown>
  readonly settings: GuardSettings
  /** Where maintenance.yml and `.runbook/` stand. */
  readonly folder: string
  readonly run: string
  readonly actor: string
  readonly connect: Connect
  readonly target?: Partial<Target> | undefined
  readonly prompt?: Prompt | undefined
  readonly becomePassword?: string | undefined
  readonly redactor: Redactor
  readonly waitMs?: number | undefined
}

export interface SiteGuards extends AsyncDisposable {
  /** See openGuards; `host` is a name of the inventory. A host that is no node of the cluster is guarded as a plain one. */
  enter(host: string, options: EnterOptions): Promise<Pass>
  /** A host that a run left out of service is back: a plain one counts as down until somebody says so. */
  back(host: string): Promise<void>
}

/** An administrator's kubeconfig, as kubeadm leaves it on control planes. */
const ADMIN = '/etc/kubernetes/admin.conf'
/** Variables of playbooks/roles/node_cycle, and the group that its default names. */
const [KUBECONFIG, NAME, GROUP] = ['node_kubeconfig', 'node_name', 'control_plane']

export function openSiteGuards(options: SiteOptions): SiteGuards {
  const { inventory, extraVars, settings, folder, run, actor, redactor, waitMs } = options
  // A group that is not there is told before anything else.
  inventoryNames(settings, inventory)
  const groups = Object.fromEntries([...inventory.groups].map(([name, group]) => [name, group.hosts]))
  const reach = new Reach(options, (name) => scopeOf(name))
  let cluster: Promise<Cluster | undefined> | undefined

  function scopeOf(name: string): Scope {
    const host = inventory.hosts.get(name)!
    const magic = { inventory_hostname: name, group_names: host.groups, groups }
    const layers = [...host.layers, { name: 'command line', vars: extraVars }, { name: 'runbook', vars: magic }]
    return makeScope(layers, { redactor })
  }
  const variable = (host: string, name: string): string => {
    const scope = scopeOf(host)
    return scope.has(name) ? String(scope.get(name) ?? '') : ''
  }
  const nameOf = (host: string): string => variable(host, NAME) || host
  const hostOf = (node: string): string | undefined =>
    inventory.hosts.has(node) ? node : [...inventory.hosts.keys()].find((host) => nameOf(host) === node)

  /** The cluster that the hosts belong to; undefined when there is none. */
  const openOnce = (host: string, signal: AbortSignal): Promise<Cluster | undefined> => {
    cluster ??= find(host, signal).then((found) => {
      for (const secret of found?.secrets ?? []) redactor.add(secret)
      return found && openCluster(found)
    })
    cluster.catch(() => {
      cluster = undefined
    })
    return cluster
  }
  const find = async (host: string, signal: AbortSignal): Promise<LoadedKubeconfig | undefined> => {
    const file = variable(host, KUBECONFIG)
    if (file) return loadKubeconfigFile(file)
    const silent: string[] = []
    for (const name of inventory.groups.get(GROUP)?.hosts ?? []) {
      try {
        const { rc, stdout } = await (await reach.root(name, signal)).run(`cat ${ADMIN}`, { signal, timeoutMs: 30_000 })
        if (rc === 0) return await loadKubeconfig(stdout.toString('utf8'), `${ADMIN} of ${name}`)
      } catch (error) {
        signal.throwIfAborted()
        silent.push(`${name}: ${(error as Error).message.split('\n')[0]}`)
      }
    }
    if (silent.length === 0) return undefined
    throw new UserError({
      message: `the cluster's administrator cannot be found, so nobody knows what else is out of service: ${silent.join('; ')}`,
      hint: 'name a kubeconfig with --kubeconfig',
    })
  }

  return {
    async enter(host, { reason, signal, say, patient }) {
      const found = await openOnce(host, signal)
      const node = nameOf(host)
      const isNode = found !== undefined && (await readNodes(found.transport, signal)).some(({ name }) => name === node)
      if (found && !isNode) say(`${node} is no node of the cluster at ${found.server}: guarded as a plain host`)
      const connect = async (name: string, asked: AbortSignal): Promise<Connection | undefined> => {
        const known = hostOf(name)
        return known === undefined ? undefined : reach.connection(known, asked)
      }
      const guards = openGuards({
        ...{ run, actor, settings, inventory, waitMs, folder, connect },
        transport: isNode ? found.transport : undefined,
      })
      return guards.enter(isNode ? node : host, { reason, signal, say, patient })
    },

    async back(host) {
      using store = openFileStore(folder)
      await changeLedger(store, (ledger) => {
        const entries = ledger.entries.filter(({ node, left }) => node !== host || left === undefined)
        return entries.length === ledger.entries.length ? undefined : { ...ledger, entries }
      })
    },

    async [Symbol.asyncDispose]() {
      await reach[Symbol.asyncDispose]()
      const open = await cluster?.catch(() => undefined)
      open?.[Symbol.dispose]()
    },
  }
}

/** Connections to hosts, whose shells are root's. */
class Reach implements AsyncDisposable {
  readonly #options: SiteOptions
  readonly #scopeOf: (host: string) => Scope
  readonly #open = new Map<string, Promise<Connection>>()

  constructor(options: SiteOptions, scopeOf: (host: string) => Scope) {
    this.#options = options
    this.#scopeOf = scopeOf
  }

  async root(host: string, signal: AbortSignal): Promise<Shell> {
    return (await this.connection(host, signal)).shell()
  }

  async connection(host: string, signal: AbortSignal): Promise<Connection> {
    let open = this.#open.get(host)
    if (!open) {
      open = this.#connect(host, signal)
      this.#open.set(host, open)
      const forget = (): void => {
        if (this.#open.get(host) === open) this.#open.delete(host)
      }
      open.then(({ closed }) => closed.then(forget), forget)
    }
    return open
  }

  async #connect(host: string, signal: AbortSignal): Promise<Connection> {
    const { inventory, connect, target, prompt, redactor } = this.#options
    const scope = this.#scopeOf(host)
    const known = targetOf(inventory.hosts.get(host)!, scope)
    const given = Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined))
    const wanted = { ...known, ...target, ...given } as Target
    const connection = await connect(wanted, { prompt, signal, addSecret: (secret) => redactor.add(secret) })
    const plain = await connection.shell()
    const isRoot = (await plain.run('id -u', { signal, timeoutMs: 30_000 })).stdout.toString().trim() === '0'
    return isRoot ? connection : { ...bound(connection), shell: () => connection.shell(this.#become(scope)) }
  }

  #become(scope: Scope): Become {
    const variable = (name: string): string | undefined => (scope.has(name) ? String(scope.get(name)) : undefined)
    const method = (variable('ansible_become_method') ?? 'sudo') as Become['method']
    const password =
      variable('ansible_become_password') ?? variable('ansible_become_pass') ?? this.#options.becomePassword
    if (password !== undefined) this.#options.redactor.add(password)
    return { method, user: 'root', password }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#open.values()].map((open) => open.then((one) => one.close()).catch(() => {})))
  }
}

function bound(connection: Connection): Connection {
  return {
    host: connection.host,
    closed: connection.closed,
    shell: (become) => connection.shell(become),
    lock: (holder) => connection.lock(holder),
    close: () => connection.close(),
    [Symbol.asyncDispose]: () => connection.close(),
  }
}
