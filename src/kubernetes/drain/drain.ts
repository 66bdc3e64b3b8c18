import pLimit from 'p-limit'
import {
  DRAIN_TIMEOUT_MS,
  type DrainEvent,
  type DrainOptions,
  type NodeReport,
  type NodeState,
  podName,
} from '../../shared/drain.ts'
import { UserError } from '../../shared/errors.ts'
import { KubernetesError } from '../../shared/kubernetes.ts'
import { type Clock, REAL_CLOCK } from './clock.ts'
import { cordonNodes } from './cordon.ts'
import { Events } from './events.ts'
import { type DrainContext, endPod, type PodOutcome, passes, RETRY_MS } from './evict.ts'
import type { NodesApi } from './nodes-api.ts'
import type { Budget, Pod } from './objects.ts'
import { type NodePlan, planPods, refOf } from './plan.ts'
import { preflight, readSnapshot, type Wait } from './preflight.ts'

/** Requests at the same time; kubectl has no bound and floods the API with those of a full node. */
const REQUESTS = 16
/** How often a node is looked at again for pods that came while it was cordoned. */
const ROUNDS = 3

/** Cordons nodes and empties them one by one; see KubernetesApi.drain. */
export async function* drainNodes(
  api: NodesApi,
  names: readonly string[],
  options: DrainOptions,
  clock: Clock = REAL_CLOCK,
): AsyncGenerator<DrainEvent, void> {
  const events = new Events<DrainEvent>()
  const left = new AbortController()
  const drain = new Drain(api, [...new Set(names)], options, clock, events.push, left.signal)
  const work = drain.run().then(
    () => events.end(),
    (error) => events.end(error),
  )
  try {
    yield* events
  } finally {
    left.abort(new UserError('nobody watches the drain any more'))
    await work
  }
}

interface NodeProgress {
  state: NodeState
  gone: number
  /** By `namespace/name`. */
  readonly left: Map<string, string>
}

class Drain {
  readonly #names: readonly string[]
  readonly #options: DrainOptions
  readonly #clock: Clock
  readonly #tell: (event: DrainEvent) => void
  readonly #stop = new AbortController()
  readonly #context: DrainContext
  readonly #nodes: ReadonlyMap<string, NodeProgress>
  #budgets: readonly Budget[] = []

  constructor(
    api: NodesApi,
    names: readonly string[],
    options: DrainOptions,
    clock: Clock,
    tell: (event: DrainEvent) => void,
    left: AbortSignal,
  ) {
    this.#names = names
    this.#options = options
    this.#clock = clock
    this.#tell = tell
    this.#nodes = new Map(names.map((n) => [n, { state: 'untouched', gone: 0, left: new Map() }]))
    const limit = pLimit(REQUESTS)
    this.#context = {
      api,
      clock,
      options,
      tell,
      signal: AbortSignal.any([this.#stop.signal, left, ...(options.signal ? [options.signal] : [])]),
      request: (ask) => limit(ask),
      budgets: () => this.#budgets,
    }
  }

  /** Ends with the event `end`; throws only before anything is touched. */
  async run(): Promise<void> {
    const finished = new AbortController()
    const timeoutMs = this.#options.timeoutMs ?? DRAIN_TIMEOUT_MS
    const overdue = new UserError(`the time limit of ${timeoutMs / 1000} s is over`)
    const timer = this.#clock.sleep(timeoutMs, finished.signal).then(
      () => this.#stop.abort(overdue),
      () => {},
    )
    try {
      this.#end(await this.#work())
    } catch (error) {
      const touched = [...this.#nodes.values()].some(({ state }) => state === 'cordoned' || state === 'drained')
      const { signal } = this.#context
      if (!touched && !signal.aborted) throw error
      if (!(error instanceof UserError) && error !== signal.reason) throw error
      this.#end(words(signal.aborted ? signal.reason : error))
    } finally {
      finished.abort()
      await timer
    }
  }

  /** Gives what is to be said in the end. */
  async #work(): Promise<string> {
    const plans = await this.#waitForPreflight()
    if (plans === undefined) return 'nothing was touched'
    if (this.#options.dryRun) return 'dry run: nothing was touched'
    for (const name of this.#names) await this.#cordon(name)
    for (const name of this.#names) await this.#empty(name)
    const undone = [...this.#nodes.values()].filter(({ state }) => state !== 'drained').length
    return undone === 0 ? 'drained' : `${undone} of ${this.#names.length} nodes are not drained`
  }

  /** Waits while budgets let nothing go at all; undefined when something stands in the way for good. */
  async #waitForPreflight(): Promise<readonly NodePlan[] | undefined> {
    const since = new Map<string, number>()
    for (let told = ''; ; ) {
      const { plans: found, budgets, waits } = await preflight(this.#context, this.#names)
      this.#budgets = budgets
      const plans = found.map((plan) => ({
        ...plan,
        blockers: [...plan.blockers, ...this.#overdue(plan.node, waits, since)],
      }))
      const blocked = plans.some(({ blockers }) => blockers.length > 0)
      const waiting = waits.length > 0
      if (!waiting || blocked || this.#options.dryRun) {
        this.#tellPlans(plans)
        if (this.#options.dryRun) for (const { node, message } of waits) this.#block(node, `at the moment, ${message}`)
        if (blocked) for (const name of this.#names) this.#node(name).state = 'blocked'
        return blocked ? undefined : plans
      }
      const words = waits.map(({ message }) => message).join('\n')
      if (words !== told) for (const { node, message } of waits) this.#tell({ type: 'waiting', node, message })
      told = words
      try {
        await this.#clock.sleep(Math.max(...waits.map(({ ms }) => ms)), this.#context.signal)
      } catch (error) {
        for (const { node, message } of waits) this.#block(node, message)
        throw error
      }
    }
  }

  /** What a node has been waited for for too long; `since` keeps when each was first seen. */
  #overdue(node: string, waits: readonly Wait[], since: Map<string, number>): string[] {
    const now = this.#clock.now()
    const limited = waits.filter((wait) => wait.node === node && wait.limitMs !== undefined)
    return limited.flatMap(({ message, limitMs }) => {
      const key = `${node} ${message}`
      const first = since.get(key) ?? now
      since.set(key, first)
      return now - first < limitMs! ? [] : [`${message} (for ${limitMs! / 1000} s)`]
    })
  }

  #tellPlans(plans: readonly NodePlan[]): void {
    for (const { node, evict, keep, blockers, warnings } of plans) {
      this.#tell({ type: 'planned', node, evict: evict.map(refOf), keep: keep.length })
      for (const { pod, why } of keep) this.#tell({ type: 'kept', node, pod: refOf(pod), message: why })
      for (const message of warnings) this.#tell({ type: 'warning', node, message })
      for (const message of blockers) this.#block(node, message)
    }
  }

  #block(node: string, message: string): void {
    this.#node(node).state = 'blocked'
    this.#tell({ type: 'blocked', node, message })
  }

  async #cordon(name: string): Promise<void> {
    const { api, signal } = this.#context
    signal.throwIfAborted()
    // Before the answer: one that is lost may have been a yes.
    this.#node(name).state = 'cordoned'
    const [result] = await cordonNodes(api, [name], { ...this.#options, signal }, () => new Date(this.#clock.now()))
    this.#tell({ type: 'cordoned', node: name, changed: result!.changed, message: result!.message })
  }

  /** Evicts until nothing is left to evict. */
  async #empty(name: string): Promise<void> {
    const progress = this.#node(name)
    const seen = new Set<string>()
    for (let round = 0; round < ROUNDS; round++) {
      const plan = await this.#planAgain(name)
      // What came since the preflight is judged as strictly; what is there goes on.
      for (const message of plan.blockers) {
        this.#tell({ type: 'warning', node: name, message })
        progress.left.set(message, message)
      }
      if (plan.blockers.length > 0) return
      const pods = plan.evict.filter(({ metadata }) => !seen.has(metadata.uid))
      if (pods.length === 0) break
      for (const { metadata } of pods) seen.add(metadata.uid)
      await this.#endAll(name, pods)
      if (progress.left.size > 0) return
    }
    const [first] = (await this.#planAgain(name)).evict.filter(({ metadata }) => !seen.has(metadata.uid))
    if (first) progress.left.set(podName(first.metadata), `${podName(first.metadata)}: pods keep coming to the node`)
    else progress.state = 'drained'
  }

  async #endAll(name: string, pods: readonly Pod[]): Promise<void> {
    const progress = this.#node(name)
    const results = await Promise.allSettled(
      pods.map(async (pod) => {
        const label = podName(pod.metadata)
        const note = (why: string): void => void progress.left.set(label, `${label}: ${why}`)
        note('it was not evicted yet')
        const { gone, message } = await this.#endOne(name, pod, note)
        if (gone) {
          progress.left.delete(label)
          progress.gone++
        } else note(message)
      }),
    )
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  /** An answer that the API gives to one pod ends the work on this one only. */
  async #endOne(name: string, pod: Pod, note: (why: string) => void): Promise<PodOutcome> {
    try {
      return await endPod(this.#context, name, pod, note)
    } catch (error) {
      if (this.#context.signal.aborted || !(error instanceof KubernetesError)) throw error
      this.#tell({ type: 'failed', node: name, pod: refOf(pod), message: words(error) })
      return { gone: false, message: words(error) }
    }
  }

  async #planAgain(name: string): Promise<NodePlan> {
    for (;;) {
      try {
        const snapshot = await readSnapshot(this.#context, [name])
        this.#budgets = snapshot.budgets
        return planPods(name, snapshot, this.#options)
      } catch (error) {
        this.#context.signal.throwIfAborted()
        if (!passes(error)) throw error
        this.#tell({ type: 'waiting', node: name, message: words(error) })
        await this.#clock.sleep(RETRY_MS, this.#context.signal)
      }
    }
  }

  #end(message: string): void {
    const nodes = [...this.#nodes].map(
      ([node, { state, gone, left }]): NodeReport => ({ node, state, gone, left: [...left.values()] }),
    )
    this.#tell({ type: 'end', nodes, message })
  }

  #node(name: string): NodeProgress {
    return this.#nodes.get(name)!
  }
}

function words(error: unknown): string {
  return error instanceof UserError
    ? error.problems[0]!.message
    : error instanceof Error
      ? error.message
      : String(error)
}
