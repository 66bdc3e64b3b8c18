/** What is asked before anything is touched. */
import { podName } from '../../shared/drain.ts'
import { budgetsOf, uncomputed } from './budgets.ts'
import { mustExist } from './cordon.ts'
import { type DrainContext, RETRY_MS, readRefusal } from './evict.ts'
import { type Budget, controllerOf, type Pod } from './objects.ts'
import { type NodePlan, planDrain, refOf, type Snapshot } from './plan.ts'

export interface Preflight {
  readonly plans: readonly NodePlan[]
  readonly budgets: readonly Budget[]
  /** By node: why nothing may go at the moment, which may pass. */
  readonly waits: readonly Wait[]
}

export interface Wait {
  readonly node: string
  readonly message: string
  /** Milliseconds to the next look. */
  readonly ms: number
  /** Milliseconds after which it is an obstacle; absent: as long as the drain has time. */
  readonly limitMs?: number
}

/** A budget that cannot be computed for so long has pods that no controller counts, or a disruption controller that is down. */
const UNCOMPUTED_MS = 120_000

/** Reads the cluster and asks the server, without effect, for every eviction. Throws UserError for an unknown node. */
export async function preflight(context: DrainContext, names: readonly string[]): Promise<Preflight> {
  const snapshot = await readSnapshot(context, names)
  const plans = planDrain(names, snapshot, context.options)
  const { budgets } = snapshot
  if (plans.some(({ blockers }) => blockers.length > 0)) return { plans, budgets, waits: [] }
  const trials = await Promise.all(
    plans.flatMap(({ node, evict }) => evict.map((pod) => trial(context, node, pod, budgets))),
  )
  const asked = plans.map((plan) => {
    const never = trials.flatMap(({ node, pod, answer }) =>
      node === plan.node && answer?.kind === 'never' ? [`${podName(pod.metadata)}: ${answer.message}`] : [],
    )
    return { ...plan, blockers: [...new Set(never)] }
  })
  const uncounted = plans.flatMap(({ node, waits }) =>
    waits.map((message): Wait => ({ node, message, ms: RETRY_MS, limitMs: UNCOMPUTED_MS })),
  )
  return { plans: asked, budgets, waits: [...uncounted, ...waitsOf(trials, budgets)] }
}

export async function readSnapshot(context: DrainContext, names: readonly string[]): Promise<Snapshot> {
  const { api, clock, options, signal } = context
  const [nodes, budgets, lists] = await Promise.all([
    mustExist(api, names, signal),
    options.disableEviction ? [] : api.budgets(signal),
    Promise.all(names.map((name) => api.podsOn(name, options.podSelector, signal))),
  ])
  const pods = new Map(names.map((name, i) => [name, lists[i]!]))
  return { nodes, budgets, pods, daemonSets: await daemonSetsOf(context, lists.flat()), now: clock.now() }
}

/** Which of the DaemonSets that pods name exist. */
async function daemonSetsOf({ api, request, signal }: DrainContext, pods: readonly Pod[]): Promise<Set<string>> {
  const named = new Map<string, { namespace: string; name: string }>()
  for (const pod of pods) {
    const owner = controllerOf(pod)
    const { namespace } = pod.metadata
    if (owner?.kind === 'DaemonSet')
      named.set(podName({ namespace, name: owner.name }), { namespace, name: owner.name })
  }
  const found = await Promise.all(
    [...named].map(async ([key, { namespace, name }]) =>
      (await request(() => api.hasDaemonSet(namespace, name, signal))) ? [key] : [],
    ),
  )
  return new Set(found.flat())
}

interface Trial {
  readonly node: string
  readonly pod: Pod
  /** Undefined: it would be evicted. */
  readonly answer: ReturnType<typeof readRefusal> | undefined
}

async function trial(context: DrainContext, node: string, pod: Pod, budgets: readonly Budget[]): Promise<Trial> {
  const { api, options, signal, request } = context
  // It is going anyway.
  if (pod.metadata.deletionTimestamp !== undefined) return { node, pod, answer: undefined }
  const removal = { dryRun: true, gracePeriodSeconds: options.gracePeriodSeconds, signal }
  try {
    await request(() => (options.disableEviction ? api.remove(refOf(pod), removal) : api.evict(refOf(pod), removal)))
    return { node, pod, answer: undefined }
  } catch (error) {
    signal.throwIfAborted()
    return { node, pod, answer: readRefusal(error, pod, budgets) }
  }
}

/**
 * A budget that lets some of its pods go is worked off in turns. One that lets none go at the moment is waited for before
 * anything is cordoned.
 */
function waitsOf(trials: readonly Trial[], budgets: readonly Budget[]): Preflight['waits'] {
  const groupOf = (pod: Pod): string => budgetsOf(pod, budgets)[0]?.metadata.uid ?? podName(pod.metadata)
  const moving = new Set(trials.flatMap(({ pod, answer }) => (answer === undefined ? [groupOf(pod)] : [])))
  return trials.flatMap(({ node, pod, answer }) => {
    if (answer?.kind !== 'later' || moving.has(groupOf(pod))) return []
    // That is said of the budget already.
    if (budgetsOf(pod, budgets).some((budget) => uncomputed(budget) !== undefined)) return []
    return [{ node, message: `${podName(pod.metadata)}: ${answer.message}`, ms: answer.ms }]
  })
}
