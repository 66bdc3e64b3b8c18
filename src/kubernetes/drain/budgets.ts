/**
 * PodDisruptionBudgets: which one counts for a pod, and what it says to all the evictions of a drain together. The server
 * judges pods one by one (pkg/registry/core/pod/storage/eviction.go).
 */
import { podName } from '../../shared/drain.ts'
import { type Budget, isFinished, isReady, type LabelSelector, type Pod } from './objects.ts'

/** meta/v1 LabelSelector. None selects nothing, an empty one everything (policy/v1). */
export function selects(selector: LabelSelector | null | undefined, labels: Readonly<Record<string, string>>): boolean {
  if (selector === null || selector === undefined) return false
  const { matchLabels = {}, matchExpressions = [] } = selector
  const has = (key: string): boolean => Object.hasOwn(labels, key)
  return (
    Object.entries(matchLabels).every(([key, value]) => has(key) && labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      if (operator === 'In') return has(key) && values.includes(labels[key]!)
      if (operator === 'NotIn') return !has(key) || !values.includes(labels[key]!)
      if (operator === 'Exists') return has(key)
      return operator === 'DoesNotExist' && !has(key)
    })
  )
}

/** The budgets that select a pod, whether or not they count for it. */
export function budgetsOf(pod: Pod, budgets: readonly Budget[]): Budget[] {
  return budgets.filter(
    ({ metadata, spec }) =>
      metadata.namespace === pod.metadata.namespace && selects(spec.selector, pod.metadata.labels ?? {}),
  )
}

/** Pods that the server evicts without asking any budget. */
export function isFree(pod: Pod): boolean {
  return isFinished(pod) || pod.status.phase === 'Pending' || pod.metadata.deletionTimestamp !== undefined
}

/** Whether a budget has to give a disruption for a pod: unready ones follow `unhealthyPodEvictionPolicy`. */
export function counts(pod: Pod, { spec, status = {} }: Budget): boolean {
  if (isFree(pod)) return false
  if (isReady(pod)) return true
  if (spec.unhealthyPodEvictionPolicy === 'AlwaysAllow') return false
  const { currentHealthy = 0, desiredHealthy = 0 } = status
  return !(desiredHealthy > 0 && currentHealthy >= desiredHealthy)
}

/** `PodDisruptionBudget shop/web (minAvailable 2) needs 2 healthy pods and has 2` */
export function describeBudget(budget: Budget): string {
  const { desiredHealthy = 0, currentHealthy = 0 } = budget.status ?? {}
  return `${nameBudget(budget)} needs ${desiredHealthy} healthy pods and has ${currentHealthy}`
}

function nameBudget({ metadata, spec }: Budget): string {
  const rule =
    spec.minAvailable !== undefined
      ? `minAvailable ${spec.minAvailable}`
      : `maxUnavailable ${spec.maxUnavailable ?? 'not given'}`
  return `PodDisruptionBudget ${podName(metadata)} (${rule})`
}

/** Why a budget allows no disruption even while all of its pods are healthy; undefined when it may. */
export function neverMet(budget: Budget): string | undefined {
  if (!isCurrent(budget) || uncomputed(budget) !== undefined) return undefined
  const { disruptionsAllowed = 0, desiredHealthy = 0, expectedPods = 0 } = budget.status!
  if (disruptionsAllowed > 0 || expectedPods === 0 || desiredHealthy < expectedPods) return undefined
  return `${describeBudget(budget)}, of ${expectedPods} in all: it never lets one go. Scale up, or change the budget`
}

/**
 * Why a budget says nothing: the cluster cannot count its pods. That passes when their controller was deleted just now and
 * they still end; it stays when they never had one.
 */
export function uncomputed(budget: Budget): string | undefined {
  const { disruptionsAllowed = 0, conditions = [] } = budget.status ?? {}
  if (!isCurrent(budget) || disruptionsAllowed > 0) return undefined
  const failed = conditions.find((c) => c.type === 'DisruptionAllowed' && c.reason === 'SyncFailed')
  if (!failed) return undefined
  return `${nameBudget(budget)} cannot be computed by the cluster, so it allows nothing: ${failed.message ?? 'SyncFailed'}`
}

/** Whether what the status says is of the spec as it is now. */
function isCurrent({ metadata, status }: Budget): boolean {
  return status !== undefined && (status.observedGeneration ?? 0) >= (metadata.generation ?? 0)
}

/** What a drain wants of one budget. */
export interface Claim {
  readonly budget: Budget
  /** Pods for which it has to give a disruption, of all nodes together. */
  readonly pods: readonly Pod[]
}

/** The claims of a drain, one for each budget that counts for one of the pods. */
export function claimsOf(pods: readonly Pod[], budgets: readonly Budget[]): Claim[] {
  const claims = new Map<Budget, Pod[]>()
  for (const pod of pods)
    for (const budget of budgetsOf(pod, budgets))
      if (counts(pod, budget)) claims.set(budget, [...(claims.get(budget) ?? []), pod])
  return [...claims].map(([budget, claimed]) => ({ budget, pods: claimed }))
}

/** Says that not all pods of a claim go at once; undefined when they do. */
export function inTurns({ budget, pods }: Claim): string | undefined {
  const allowed = budget.status?.disruptionsAllowed ?? 0
  if (pods.length <= allowed) return undefined
  const names = pods.map((pod) => pod.metadata.name).join(', ')
  return `${describeBudget(budget)}, so ${allowed} of its pods here may go at once, not ${pods.length} (${names}): they go in turns`
}
