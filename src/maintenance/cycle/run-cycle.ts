import { EventQueue } from '../../engine/queue.ts'
import type { Inventory } from '../../inventory/index.ts'
import { didYouMean, UserError } from '../../shared/errors.ts'
import { quoteAll } from '../../shared/quote.ts'
import { cycleNode, type Ended, loadFor } from './cycle-node.ts'
import type { CycleEvent, CycleRequest, CycleServices, GuardPass, NodeEnd } from './types.ts'

/**
 * Takes nodes through a cycle, in their order and as many side by side as `atOnce` and the guards allow. After the first
 * that does not come to its good end no other is begun; those under way come to their ends. Every phase looks at the world,
 * so the same request goes on where a dead one ended. Throws UserError for wrong input, before anything is touched.
 */
export async function* runCycle(request: CycleRequest, services: CycleServices): AsyncGenerator<CycleEvent> {
  mustKnow(request.nodes, services.inventory)
  // Wrong playbooks are told before the first node.
  for (const node of request.nodes) await loadFor(request, services, node)
  yield { type: 'cycle_started', verb: request.verb, nodes: request.nodes, reason: request.reason }
  const cycle = new Cycle(request, services)
  const work = cycle.run()
  yield* cycle.events
  yield { type: 'cycle_ended', nodes: await work }
}

function mustKnow(nodes: readonly string[], { hosts }: Inventory): void {
  const unknown = nodes.filter((node) => !hosts.has(node))
  if (unknown.length > 0)
    throw new UserError(
      unknown.map((node) => ({
        message: `there is no host ${node} in the inventory`,
        hint: didYouMean(node, [...hosts.keys()]),
      })),
    )
}

class Cycle {
  readonly events = new EventQueue<CycleEvent>()
  readonly #request: CycleRequest
  readonly #services: CycleServices
  readonly #ends = new Map<string, NodeEnd>()
  /** Nodes that are worked on, each until its lock is given back. */
  readonly #running = new Set<Promise<void>>()
  /** Aborts when one has not come to its good end, with which. */
  readonly #broken = new AbortController()
  readonly #bugs: unknown[] = []

  constructor(request: CycleRequest, services: CycleServices) {
    this.#request = request
    this.#services = services
  }

  /** All ends, in the order of the request. What nobody expected is thrown to the reader of the events, behind them. */
  async run(): Promise<NodeEnd[]> {
    const { nodes } = this.#request
    try {
      for (const node of nodes) await this.#begin(node)
    } catch (error) {
      this.#bugs.push(error)
    }
    await Promise.all(this.#running)
    this.events.end(this.#bugs[0])
    return nodes.map((node) => this.#ends.get(node)!)
  }

  /** Comes back when the next node may be begun. */
  async #begin(node: string): Promise<void> {
    const { atOnce = 1, stop } = this.#services
    while (this.#running.size >= atOnce) await Promise.race(this.#running)
    if (this.#broken.signal.aborted || stop.aborted) return this.#notBegun(node)
    const started = performance.now()
    this.events.push({ type: 'node_started', node })
    let pass: GuardPass | undefined
    try {
      pass = await this.#enter(node)
    } catch (error) {
      if (this.#broken.signal.aborted) return this.#notBegun(node)
      if (!(error instanceof UserError) && !stop.aborted) throw error
      const outcome = stop.aborted ? 'stopped' : 'refused'
      return this.#end(node, started, { outcome, message: (error as Error).message, run: undefined })
    }
    const done = cycleNode(this.#request, this.#services, node, pass, (event) => this.events.push(event))
      .then((ended) => this.#end(node, started, ended))
      .catch((error) => {
        this.#bugs.push(error)
        this.#broken.abort(node)
      })
      .finally(() => this.#running.delete(done))
    this.#running.add(done)
  }

  async #enter(node: string): Promise<GuardPass | undefined> {
    const { guards, stop } = this.#services
    if (this.#request.dryRun || !guards) return undefined
    return guards.enter(node, {
      reason: this.#request.reason,
      signal: AbortSignal.any([stop, this.#broken.signal]),
      say: (message) => this.events.push({ type: 'guard', node, message }),
      patient: () => this.#running.size > 0,
    })
  }

  #notBegun(node: string): void {
    const why = this.#broken.signal.aborted ? `${this.#broken.signal.reason} did not come to its end` : 'stopped'
    const message = `not begun: ${why}`
    this.#ends.set(node, { node, outcome: 'not_begun', message, next: nextCommand(this.#request, node), elapsedMs: 0 })
  }

  #end(node: string, started: number, { outcome, message, run }: Ended): void {
    const end: NodeEnd = {
      node,
      outcome,
      message,
      ...(outcome === 'done' ? {} : { next: nextCommand(this.#request, node) }),
      run,
      elapsedMs: Math.round(performance.now() - started),
    }
    this.#ends.set(node, end)
    if (outcome !== 'done') this.#broken.abort(node)
    this.events.push({ type: 'node_ended', ...end })
  }
}

/** The one command that goes on. */
function nextCommand({ verb, words = [] }: CycleRequest, node: string): string {
  return quoteAll(['runbook', 'node', verb, node, ...words])
}
