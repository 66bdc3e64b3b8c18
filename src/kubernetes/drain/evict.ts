/** One pod: from the first request to its end. */
import type { DrainEvent, DrainOptions, PodRef } from '../../shared/drain.ts'
import { isUnreachable, KubernetesError } from '../../shared/kubernetes.ts'
import { budgetsOf, describeBudget } from './budgets.ts'
import type { Clock } from './clock.ts'
import type { NodesApi } from './nodes-api.ts'
import type { Budget, Pod } from './objects.ts'
import { refOf, twoBudgets } from './plan.ts'

/** What the work on the pods of a drain has in common. */
export interface DrainContext {
  readonly api: NodesApi
  readonly clock: Clock
  readonly options: DrainOptions
  /** Aborted at the deadline, or by the caller. */
  readonly signal: AbortSignal
  /** Runs a request when there is room for one more. */
  request<T>(ask: () => Promise<T>): Promise<T>
  tell(event: DrainEvent): void
  /** As they were when last read. */
  budgets(): readonly Budget[]
}

/** kubectl's pause before it asks for an eviction again. */
export const RETRY_MS = 5000
/** Between looks at a pod that is ending; kubectl's is 1 s. */
const POLL_MS = 500

/** What an answer to an eviction means. */
export type Answer =
  /** It, or its name, is no longer that pod's. */
  | { readonly kind: 'look' }
  | { readonly kind: 'later'; readonly message: string; readonly ms: number; readonly budget: boolean }
  | { readonly kind: 'never'; readonly message: string }

/** Reads a refusal (pkg/registry/core/pod/storage/eviction.go). Throws what is no answer of the API. */
export function readRefusal(error: unknown, pod: Pod, budgets: readonly Budget[]): Answer {
  if (!(error instanceof KubernetesError)) throw error
  const { status, answer } = error
  if (status === undefined) return later(error.problems[0]!.message)
  if (status === 404 || status === 409) return { kind: 'look' }
  if (status === 429) {
    const causes = answer.causes.filter(({ reason }) => reason === 'DisruptionBudget')
    const said = causes.flatMap(({ message }) => message ?? [])
    const known = budgetsOf(pod, budgets).map(describeBudget)
    const message = [said.join('; ') || answer.message, ...(said.length > 0 ? [] : known)].join('; ')
    return later(message, error.retryAfter, causes.length > 0)
  }
  const ending = answer.causes.some(({ reason }) => reason === 'NamespaceTerminating')
  if (status === 403 && ending) return later('its namespace is being deleted')
  const twice = status === 500 ? twoBudgets(pod, budgets) : []
  if (twice.length > 0 || /more than one PodDisruptionBudget/i.test(answer.message))
    return { kind: 'never', message: twice[0] ?? answer.message }
  if (status >= 500) return later(`the API answers ${status}: ${answer.message}`, error.retryAfter)
  return { kind: 'never', message: `the API answers ${status}: ${answer.message}` }
}

function later(message: string, retryAfterSeconds?: number, budget = false): Answer {
  const ms = retryAfterSeconds === undefined ? RETRY_MS : Math.max(1, retryAfterSeconds) * 1000
  return { kind: 'later', message, ms, budget }
}

export interface PodOutcome {
  readonly gone: boolean
  /** Why it is left. */
  readonly message: string
}

/** Evicts (or deletes) a pod and waits until it has ended. Throws the signal's reason, and bugs. */
export async function endPod(context: DrainContext, node: string, pod: Pod, note: (why: string) => void) {
  const { clock, tell, options, signal } = context
  const ref = refOf(pod)
  const started = clock.now()
  const gone = (message: string): PodOutcome => {
    tell({ type: 'gone', node, pod: ref, message, elapsedMs: clock.now() - started })
    return { gone: true, message }
  }
  const wait = once((message: string) => tell({ type: 'waiting', node, pod: ref, message }))
  const done = options.disableEviction ? 'deleted' : 'evicted'

  tell({ type: 'evicting', node, pod: ref })
  for (;;) {
    signal.throwIfAborted()
    const refusal = await ask(context, pod)
    if (refusal === undefined) {
      note('it was told to end and has not yet')
      return gone((await ended(context, node, ref, wait)) === 'replaced' ? `${done}, and made anew` : done)
    }
    if (refusal.kind === 'never') {
      tell({ type: 'failed', node, pod: ref, message: refusal.message })
      return { gone: false, message: refusal.message }
    }
    if (refusal.kind === 'later') {
      note(refusal.message)
      wait(refusal.message)
      await clock.sleep(refusal.ms, signal)
    }
    const now = await look(context, node, ref)
    if (now === 'gone') return gone('was gone already')
    if (now === 'replaced') return gone('was gone already; a new one has its name')
    if (now === 'ending') {
      note('it is ending and has not yet')
      await ended(context, node, ref, wait)
      return gone('had been told to end by somebody else')
    }
    // 404 or 409 although the pod is there, unchanged: somebody changes it just now.
    if (refusal.kind === 'look') await clock.sleep(POLL_MS, signal)
  }
}

async function ask({ api, options, signal, request, budgets }: DrainContext, pod: Pod): Promise<Answer | undefined> {
  const { gracePeriodSeconds, disableEviction } = options
  const removal = { dryRun: false, gracePeriodSeconds, signal }
  try {
    await request(() => {
      // It may have waited for its turn.
      signal.throwIfAborted()
      return disableEviction ? api.remove(refOf(pod), removal) : api.evict(refOf(pod), removal)
    })
    return undefined
  } catch (error) {
    signal.throwIfAborted()
    return readRefusal(error, pod, budgets())
  }
}

type Sight = 'gone' | 'replaced' | 'ending' | 'there' | 'unknown'

/** Where a pod is now; an API that does not answer says nothing of it. */
async function look({ api, signal, request }: DrainContext, node: string, ref: PodRef): Promise<Sight> {
  let pod: Pod | undefined
  try {
    pod = await request(() => api.pod(ref, signal))
  } catch (error) {
    signal.throwIfAborted()
    if (passes(error)) return 'unknown'
    throw error
  }
  if (!pod) return 'gone'
  if (pod.metadata.uid !== ref.uid || pod.spec.nodeName !== node) return 'replaced'
  return pod.metadata.deletionTimestamp === undefined ? 'there' : 'ending'
}

async function ended(context: DrainContext, node: string, ref: PodRef, wait: (message: string) => void) {
  for (;;) {
    const sight = await look(context, node, ref)
    if (sight === 'gone' || sight === 'replaced') return sight
    if (sight === 'unknown') wait('the API does not answer')
    await context.clock.sleep(POLL_MS, context.signal)
  }
}

/** Whether an error may pass by itself. */
export function passes(error: unknown): boolean {
  return (
    isUnreachable(error) ||
    (error instanceof KubernetesError && (error.status === 429 || (error.status !== undefined && error.status >= 500)))
  )
}

/** Says nothing twice in a row. */
function once(say: (message: string) => void): (message: string) => void {
  let last: string | undefined
  return (message) => {
    if (message !== last) say(message)
    last = message
  }
}
