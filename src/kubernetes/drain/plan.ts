/** What a drain would do with a node, and what stands in its way. Pure. */
import { type DrainOptions, type PodRef, podName } from '../../shared/drain.ts'
import { budgetsOf, claimsOf, inTurns, isFree, neverMet, uncomputed } from './budgets.ts'
import { judgePod } from './filters.ts'
import { type Budget, controllerOf, isReady, type Node, type Pod } from './objects.ts'

/** What was read of the cluster. */
export interface Snapshot {
  readonly nodes: readonly Node[]
  /** By node, those that are to be drained. */
  readonly pods: ReadonlyMap<string, readonly Pod[]>
  readonly budgets: readonly Budget[]
  readonly daemonSets: ReadonlySet<string>
  readonly now: number
}

export interface NodePlan {
  readonly node: string
  readonly evict: readonly Pod[]
  readonly keep: readonly { readonly pod: Pod; readonly why: string }[]
  /** Each ends the drain before anything is touched. */
  readonly blockers: readonly string[]
  /** Each is waited for before anything is touched, for some time. */
  readonly waits: readonly string[]
  readonly warnings: readonly string[]
}

/** The plans of nodes that are drained in one go; budgets are summed over all of them. */
export function planDrain(names: readonly string[], snapshot: Snapshot, options: DrainOptions): NodePlan[] {
  const sorted = names.map((node) => planPods(node, snapshot, options))
  const claims = options.disableEviction
    ? []
    : claimsOf(
        sorted.flatMap(({ evict }) => evict),
        snapshot.budgets,
      )
  const lonely = options.force ? undefined : lastSchedulable(names, snapshot.nodes)
  return sorted.map(({ node, evict, keep, blockers, warnings }) => {
    const mine = claims.filter(({ pods }) => pods.some((pod) => evict.includes(pod)))
    const those = (say: (budget: Budget) => string | undefined): string[] =>
      mine.flatMap(({ budget, pods }) => {
        const why = say(budget)
        return why === undefined ? [] : [`${namesOf(pods.filter((pod) => evict.includes(pod)))}: ${why}`]
      })
    const twice = options.disableEviction ? [] : evict.flatMap((pod) => twoBudgets(pod, snapshot.budgets))
    // Pods that nobody makes anew need no other node.
    const homeless = lonely !== undefined && evict.some((pod) => controllerOf(pod) !== undefined && !isFree(pod))
    const working = mine.filter(({ budget }) => (neverMet(budget) ?? uncomputed(budget)) === undefined)
    const turns = working.flatMap((claim) => inTurns(claim) ?? [])
    return {
      node,
      evict,
      keep,
      blockers: [...blockers, ...(homeless ? [lonely] : []), ...twice, ...those(neverMet)],
      waits: those(uncomputed),
      warnings: [...warnings, ...unready(node, snapshot.nodes), ...turns],
    }
  })
}

function unready(name: string, nodes: readonly Node[]): string[] {
  const node = nodes.find(({ metadata }) => metadata.name === name)
  return node === undefined || isReady(node) ? [] : ['it is not Ready: its pods end only when its kubelet is back']
}

export function refOf({ metadata: { namespace, name, uid } }: Pod): PodRef {
  return { namespace, name, uid }
}

/** The plan of a node as far as its pods say it: no budgets, no other nodes. */
export function planPods(node: string, snapshot: Snapshot, options: DrainOptions): NodePlan {
  const evict: Pod[] = []
  const keep: { pod: Pod; why: string }[] = []
  const blockers: string[] = []
  const warned = new Map<string, Pod[]>()
  for (const pod of snapshot.pods.get(node) ?? []) {
    // The field selector has done so already, unless the server ignored it.
    if (pod.spec.nodeName !== node) continue
    const verdict = judgePod(pod, options, snapshot)
    if (verdict.do === 'refuse') blockers.push(`${namesOf([pod])}: ${verdict.why}`)
    else if (verdict.do === 'keep') keep.push({ pod, why: verdict.why })
    else evict.push(pod)
    if (verdict.do !== 'refuse' && verdict.warning !== undefined)
      warned.set(verdict.warning, [...(warned.get(verdict.warning) ?? []), pod])
  }
  return {
    node,
    evict,
    keep,
    blockers,
    waits: [],
    warnings: [...warned].map(([words, pods]) => `${words}: ${namesOf(pods)}`),
  }
}

/** The server answers 500 to the eviction of a pod that two budgets select, and always will (k/k#75957). */
export function twoBudgets(pod: Pod, budgets: readonly Budget[]): string[] {
  if (isFree(pod)) return []
  const selecting = budgetsOf(pod, budgets)
  if (selecting.length < 2) return []
  const names = selecting.map(({ metadata }) => podName(metadata)).join(' and ')
  return [
    `${namesOf([pod])}: ${selecting.length} PodDisruptionBudgets select it, ${names}; the API evicts no such pod. ` +
      'Change the selectors so that one of them does',
  ]
}

/** Whether no node is left where pods of these could go. */
function lastSchedulable(names: readonly string[], nodes: readonly Node[]): string | undefined {
  const drained = nodes.filter(({ metadata }) => names.includes(metadata.name))
  // Workers are drained onto workers: a control plane that is tainted takes no pods of theirs.
  const onlyTainted = drained.every(isTainted)
  const others = nodes.filter(
    (node) =>
      !names.includes(node.metadata.name) &&
      node.spec.unschedulable !== true &&
      isReady(node) &&
      (onlyTainted || !isTainted(node)),
  )
  if (others.length > 0) return undefined
  const who = names.length === 1 ? 'it is the last node' : 'these are the last nodes'
  return `${who} that can take pods: no other one is Ready, schedulable and without taints (use --force to drain all the same)`
}

const LASTING = ['NoSchedule', 'NoExecute']

function isTainted({ spec }: Node): boolean {
  return (
    spec.taints?.some(({ key, effect }) => LASTING.includes(effect) && !key.startsWith('node.kubernetes.io/')) ?? false
  )
}

function namesOf(pods: readonly Pod[]): string {
  return pods.map((pod) => podName(pod.metadata)).join(', ')
}
