/** What guards ask of the world besides locks: nodes, etcd, this machine. */
import { setTimeout as sleep } from 'node:timers/promises'
import { openNodesApi } from '../../kubernetes/drain/nodes-api.ts'
import { didYouMean, UserError } from '../../shared/errors.ts'
import { askEtcd, etcdRefusal } from './etcd.ts'
import { type NodeView, readNodes, viewOf } from './nodes.ts'
import { whyOwnMachine } from './own-machine.ts'
import type { GuardDependencies, GuardRequest } from './types.ts'

export interface World {
  /** Throws UserError when the node of the request is not among them. */
  nodes(signal: AbortSignal): Promise<readonly NodeView[]>
  whyOwnMachine(nodes: readonly NodeView[], signal: AbortSignal): Promise<string | undefined>
  /** Why etcd cannot do without the node; `down` are those that are out of service or worked on. */
  etcdRefusal(
    nodes: readonly NodeView[],
    down: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<{ readonly message: string; readonly passes: boolean } | undefined>
  /** Waits until the node has been Ready for so long; why it gave up, when it did. */
  soak(ms: number, signal: AbortSignal): Promise<string | undefined>
}

/** How long a node that came back may be not Ready again before its lock is given back as unfinished. */
const UNREADY_MS = 15 * 60_000
const SOAK_LOOK_MS = 2000

export function openWorld(request: GuardRequest, { transport, connect }: GuardDependencies): World {
  const { node, settings, inventory } = request
  let isOther = false

  const nodes: World['nodes'] = async (signal) => {
    const all = transport ? await readNodes(transport, signal) : inventory.hosts.map(plainHost)
    if (all.some(({ name }) => name === node)) return all
    const names = all.map(({ name }) => name)
    const where = transport ? 'node in the cluster' : 'host in the inventory'
    throw new UserError({ message: `there is no ${where} called ${node}`, hint: didYouMean(node, names) })
  }

  return {
    nodes,

    async whyOwnMachine(all, signal) {
      if (isOther) return undefined
      const view = transport
        ? all.find(({ name }) => name === node)!
        : { addresses: [], machineId: await machineIdOf(node, connect, signal) }
      const why = whyOwnMachine(view)
      isOther = why === undefined
      return why
    },

    async etcdRefusal(all, down, signal) {
      const target = all.find(({ name }) => name === node)
      if (!target?.controlPlane) return undefined
      const others = all.filter(({ name, controlPlane }) => controlPlane && name !== node)
      // Those that are well first; the node itself only when it is the only one.
      const askable = others.length > 0 ? others.toSorted((a, b) => Number(b.ready) - Number(a.ready)) : [target]
      const silent: string[] = []
      for (const { name } of askable) {
        try {
          const connection = await connect(name, signal)
          if (!connection) {
            silent.push(`${name} is not in the inventory`)
            continue
          }
          const state = await askEtcd(await connection.shell(), settings.etcd, signal)
          return etcdRefusal(state, target, down, all)
        } catch (error) {
          signal.throwIfAborted()
          silent.push(`${name}: ${(error as Error).message.split('\n')[0]}`)
        }
      }
      return { passes: true, message: `etcd cannot be asked whether it can do without the node: ${silent.join('; ')}` }
    },

    async soak(ms, signal) {
      if (!transport || ms === 0) {
        await sleep(ms, undefined, { signal })
        return undefined
      }
      let readySince: number | undefined
      let seenReady = performance.now()
      for (;;) {
        const now = performance.now()
        // An API that is away for a moment says nothing about the node: the time does not count.
        const found = await openNodesApi(transport)
          .node(node, signal)
          .catch(() => undefined)
        signal.throwIfAborted()
        if (found && viewOf(found).ready) {
          seenReady = now
          readySince ??= now
          if (now - readySince >= ms) return undefined
        } else readySince = undefined
        if (now - seenReady > UNREADY_MS) return 'it came back and then was not Ready for 15 min'
        await sleep(Math.min(SOAK_LOOK_MS, ms / 4), undefined, { signal })
      }
    },
  }
}

function plainHost(name: string): NodeView {
  return { name, labels: {}, controlPlane: false, down: undefined, ready: true, addresses: [], machineId: undefined }
}

/** Undefined when the host cannot be reached: then it is not this machine. */
async function machineIdOf(
  node: string,
  connect: GuardDependencies['connect'],
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const connection = await connect(node, signal)
    const answer = await (await connection?.shell())?.run('cat /etc/machine-id', { signal, timeoutMs: 30_000 })
    return answer?.stdout.toString().trim() || undefined
  } catch {
    signal.throwIfAborted()
    return undefined
  }
}
