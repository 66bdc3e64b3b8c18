/** What runbook asks of a cluster's nodes, and what it is told meanwhile; `src/kubernetes/drain/` does it. */

/** Which pod; the UID tells it from a later one of the same name. */
export interface PodRef {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export interface CordonOptions {
  /** Who does it: kept in the node's annotation. */
  readonly run: string
  /** Kept there too, for whoever finds the node cordoned. */
  readonly reason?: string | undefined
  /** Asks the server, which changes nothing. */
  readonly dryRun?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** What became of a node's schedulability, in one line. */
export interface CordonResult {
  readonly node: string
  readonly changed: boolean
  /** `cordoned`, `already cordoned`, `uncordoned` …, with why. */
  readonly message: string
}

/** kubectl drain's flags, with its meanings where nothing else is said. */
export interface DrainOptions extends CordonOptions {
  /** Milliseconds after which it ends, whatever is left; see DRAIN_TIMEOUT_MS. */
  readonly timeoutMs?: number | undefined
  /** Seconds for pods to end in; absent: each pod's own. */
  readonly gracePeriodSeconds?: number | undefined
  /** A label selector: other pods stay. */
  readonly podSelector?: string | undefined
  readonly deleteEmptydirData?: boolean | undefined
  readonly ignoreDaemonsets?: boolean | undefined
  /** Pods that nothing makes anew are deleted too; and a node is drained although no other one can take its pods. */
  readonly force?: boolean | undefined
  /** Deletes instead of evicting: no PodDisruptionBudget is asked. */
  readonly disableEviction?: boolean | undefined
  /** Pods that have been terminating for longer are not waited for (a node that is gone never ends them). */
  readonly skipWaitForDeleteSeconds?: number | undefined
}

/** Evictions of the pods of a PodDisruptionBudget come one after another; a node with databases takes minutes. */
export const DRAIN_TIMEOUT_MS = 15 * 60_000

/** How far a node has come. */
export type NodeState =
  /** Not touched: the preflight found what stands in the way. */
  | 'blocked'
  /** Not touched: dry run, or something else ended the drain before. */
  | 'untouched'
  /** Cordoned; pods are left. */
  | 'cordoned'
  | 'drained'

export interface NodeReport {
  readonly node: string
  readonly state: NodeState
  /** Pods that are gone from it. */
  readonly gone: number
  /** Pods that are left although they should have gone, each with why: `shop/db-0: budget shop/db needs 2, has 2`. */
  readonly left: readonly string[]
}

interface OfNode {
  readonly node: string
}

interface OfPod extends OfNode {
  readonly pod: PodRef
}

/** In the order of their happening; `end` is the last, always. */
export type DrainEvent =
  /** What will be done with a node. */
  | (OfNode & { readonly type: 'planned'; readonly evict: readonly PodRef[]; readonly keep: number })
  | (OfPod & { readonly type: 'kept'; readonly message: string })
  /** Worth knowing, no obstacle. */
  | (OfNode & { readonly type: 'warning'; readonly message: string })
  /** An obstacle that was found before anything was touched. */
  | (OfNode & { readonly type: 'blocked'; readonly message: string })
  | (OfNode & { readonly type: 'cordoned'; readonly changed: boolean; readonly message: string })
  | (OfPod & { readonly type: 'evicting' })
  /** Said once for every new reason; `pod` is absent while the preflight waits. */
  | (OfNode & { readonly type: 'waiting'; readonly pod?: PodRef | undefined; readonly message: string })
  | (OfPod & { readonly type: 'gone'; readonly message: string; readonly elapsedMs: number })
  | (OfPod & { readonly type: 'failed'; readonly message: string })
  | { readonly type: 'end'; readonly nodes: readonly NodeReport[]; readonly message: string }

/** `shop/web-7d9f-abcde` */
export function podName({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`
}

/** One event as a plain line; undefined for those that need none. */
export function drainLine(event: DrainEvent): string | undefined {
  switch (event.type) {
    case 'planned':
      return `node/${event.node}: ${event.evict.length} pods to evict, ${event.keep} stay`
    case 'kept':
      return `node/${event.node}: pod ${podName(event.pod)} stays: ${event.message}`
    case 'warning':
      return `node/${event.node}: warning: ${event.message}`
    case 'blocked':
      return `node/${event.node}: blocked: ${event.message}`
    case 'cordoned':
      return `node/${event.node} ${event.message}`
    case 'evicting':
      return `evicting pod ${podName(event.pod)}`
    case 'waiting':
      return event.pod
        ? `pod ${podName(event.pod)} waits: ${event.message}`
        : `node/${event.node} waits: ${event.message}`
    case 'gone':
      return `pod ${podName(event.pod)} ${event.message} (${(event.elapsedMs / 1000).toFixed(1)} s)`
    case 'failed':
      return `pod ${podName(event.pod)} failed: ${event.message}`
    case 'end':
      return undefined
  }
}

/** What a person types when a node is left half way. */
export interface NextCommands {
  readonly drain: string
  readonly uncordon: string
}

/** How a node stands in the end, with the command that goes on where the caller has not one of its own. */
export function reportLine({ node, state, gone, left }: NodeReport, next?: NextCommands): string {
  if (state === 'drained') return `node/${node} drained (${gone} pods)`
  if (state === 'blocked') return `node/${node} blocked; it was not touched`
  if (state === 'untouched') return `node/${node} was not touched`
  const pods = left.length === 0 ? 'what is left on it is not known' : `left: ${left.join('; ')}`
  const then = next === undefined ? '' : `\n  go on: ${next.drain}\n  back:  ${next.uncordon}`
  return `node/${node} is cordoned and not drained; ${pods}${then}`
}
