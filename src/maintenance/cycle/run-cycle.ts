import { userInfo } from 'node:os'
import { runPlaybooks } from '../../engine/run.ts'
import type { Inventory } from '../../inventory/index.ts'
import type { Journal } from '../../journal/journal.ts'
import { loadPlaybooks, playbookHash } from '../../playbook/index.ts'
import type { Connect, Prompt, Target } from '../../session/session.ts'
import { didYouMean, UserError } from '../../shared/errors.ts'
import type { Recap, RunEvent, TaskResultEvent } from '../../shared/events.ts'
import { quoteAll } from '../../shared/quote.ts'
import type { Redactor } from '../../shared/redact.ts'
import { playbookOf, varsOf } from './playbooks.ts'
import type { CycleEvent, CycleOutcome, CycleRequest, GuardPass, Guards, NodeEnd } from './types.ts'

/** The world: all of it can be faked. */
export interface CycleServices {
  readonly inventory: Inventory
  readonly journal: Journal
  readonly connect: Connect
  readonly redactor: Redactor
  readonly decrypt?: Parameters<typeof loadPlaybooks>[1] extends { decrypt?: infer D } | undefined ? D : never
  /** Absent: nobody is asked (a dry run, a host that is only turned on). */
  readonly guards?: Guards | undefined
  readonly prompt?: Prompt | undefined
  readonly becomePassword?: string | undefined
  readonly target?: Partial<Target> | undefined
  /** How long a host is waited for that another run works on. */
  readonly waitLockMs?: number | undefined
  /** Where `.runbook/` stands, and what relative paths are relative to. */
  readonly folder: string
  /** First: the step that runs comes to its end, no more are begun. */
  readonly stop: AbortSignal
  /** Second: it is killed. */
  readonly abort: AbortSignal
}

/**
 * Takes nodes through a cycle, one after another; the first that does not come to its good end is the last. Every phase
 * looks at the world, so the same request goes on where a dead one ended. Throws UserError for wrong input, before
 * anything is touched.
 */
export async function* runCycle(request: CycleRequest, services: CycleServices): AsyncGenerator<CycleEvent> {
  const { inventory, stop } = services
  mustKnow(request.nodes, inventory)
  // Wrong playbooks are told before the first node.
  for (const node of request.nodes) await load(request, services, node)
  yield { type: 'cycle_started', verb: request.verb, nodes: request.nodes, reason: request.reason }
  const ends: NodeEnd[] = []
  for (const node of request.nodes) {
    const broken = ends.find(({ outcome }) => outcome !== 'done')
    if (broken || stop.aborted) {
      const message = broken ? `not begun: ${broken.node} did not come to its end` : 'not begun: stopped'
      ends.push({ node, outcome: 'not_begun', message, next: nextCommand(request, node), elapsedMs: 0 })
      continue
    }
    yield { type: 'node_started', node }
    for await (const event of cycleNode(request, services, node)) {
      yield event
      if (event.type !== 'node_ended') continue
      const { type, ...end } = event
      ends.push(end)
    }
  }
  yield { type: 'cycle_ended', nodes: ends }
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

function load(request: CycleRequest, { decrypt }: CycleServices, node: string) {
  const { path, text } = playbookOf(request)
  const extraVars = varsOf(request, node)
  return loadPlaybooks([path], { extraVars, decrypt, texts: text === undefined ? undefined : new Map([[path, text]]) })
}

/** One node, from its guards to its end; `node_ended` is the last. */
async function* cycleNode(request: CycleRequest, services: CycleServices, node: string): AsyncGenerator<CycleEvent> {
  const started = performance.now()
  const end = (outcome: CycleOutcome, message: string, run?: string): CycleEvent => ({
    type: 'node_ended',
    node,
    outcome,
    message,
    ...(outcome === 'done' ? {} : { next: nextCommand(request, node) }),
    run,
    elapsedMs: Math.round(performance.now() - started),
  })
  const said = new Said(node)
  let pass: GuardPass | undefined
  try {
    if (!request.dryRun && services.guards)
      pass = yield* said.during(
        services.guards.enter(node, { reason: request.reason, signal: services.stop, say: said.say }),
      )
  } catch (error) {
    if (!(error instanceof UserError) && !services.stop.aborted) throw error
    yield end(services.stop.aborted ? 'stopped' : 'refused', (error as Error).message)
    return
  }
  const result = new RunResult()
  let left = false
  try {
    for await (const event of runNode(request, services, node, pass)) {
      result.take(event)
      yield { type: 'run', node, event }
      yield* said.take()
    }
    const { outcome, words } = result.end(node, pass)
    const { state, untouched } = stateOf(services.journal, node)
    const isBack = outcome === 'done' && request.verb !== 'shutdown'
    const message = outcome === 'done' ? words : `${words}\n${state}`
    left = true
    if (pass)
      yield* said.during(pass.leave(isBack ? 'back' : outcome !== 'done' && untouched ? 'untouched' : 'left', state))
    yield end(outcome, message, result.run)
  } finally {
    if (!left) await pass?.leave('left', stateOf(services.journal, node).state)
  }
}

/** What guards say, as events, also while they are waited for. */
class Said {
  readonly #node: string
  #lines: string[] = []
  #news = Promise.withResolvers<void>()

  constructor(node: string) {
    this.#node = node
  }

  readonly say = (message: string): void => {
    this.#lines.push(message)
    this.#news.resolve()
  };

  *take(): Generator<CycleEvent> {
    this.#news = Promise.withResolvers()
    for (const message of this.#lines.splice(0)) yield { type: 'guard', node: this.#node, message }
  }

  async *during<T>(work: Promise<T>): AsyncGenerator<CycleEvent, T> {
    const ended = work.then(
      () => true,
      () => true,
    )
    while (!(await Promise.race([ended, this.#news.promise.then(() => false)]))) yield* this.take()
    yield* this.take()
    return work
  }
}

/** The run of a node's playbook: every phase of it, to events. */
async function* runNode(
  request: CycleRequest,
  services: CycleServices,
  node: string,
  pass: GuardPass | undefined,
): AsyncGenerator<RunEvent> {
  const { folder, inventory, journal, stop } = services
  const playbooks = await load(request, services, node)
  let id: string | undefined
  let code = 1
  try {
    const events = runPlaybooks({
      playbooks,
      inventory,
      limit: node,
      tags: { tags: [], skipTags: [] },
      extraVars: varsOf(request, node),
      check: request.dryRun ?? false,
      diff: false,
      forks: 1,
      journal,
      connect: services.connect,
      redactor: services.redactor,
      prompt: services.prompt,
      becomePassword: services.becomePassword,
      target: services.target,
      waitLockMs: services.waitLockMs,
      baseDir: folder,
      stop: pass ? AbortSignal.any([stop, pass.lost]) : stop,
      abort: services.abort,
    })
    for await (const event of events) {
      if (event.type === 'run_started') {
        id = event.run
        journal.begin({
          id,
          command: ['node', request.verb, node, ...(request.words ?? [])],
          playbookHash: `${playbookHash(playbooks)} ${node}`,
          startedAt: event.at,
          check: request.dryRun ?? false,
          user: userInfo().username,
        })
      }
      if (event.type === 'recap') code = event.interrupted ? 130 : isGood(event, node) ? 0 : 2
      yield event
    }
  } finally {
    if (id !== undefined) journal.end(id, code)
  }
}

function isGood({ hosts }: Recap, node: string): boolean {
  const { failed = 0, unreachable = 0 } = hosts[node] ?? {}
  return failed + unreachable === 0
}

/** What a run came to. */
class RunResult {
  run: string | undefined
  #recap: Recap | undefined
  #trouble: TaskResultEvent | undefined
  #last: TaskResultEvent | undefined
  /** How it is known to be off, or what was checked. */
  #proof = ''

  take(event: RunEvent): void {
    if (event.type === 'run_started') this.run = event.run
    if (event.type === 'recap') this.#recap = event
    if (event.type !== 'task_result') return
    this.#last = event
    if (event.module === 'node_shutdown' || event.module === 'node_return') this.#proof = event.msg
    if (event.status === 'failed' || event.status === 'unreachable') this.#trouble = event
  }

  end(node: string, pass: GuardPass | undefined): { readonly outcome: CycleOutcome; readonly words: string } {
    if (pass?.lost.aborted) {
      const { reason } = pass.lost
      return { outcome: 'failed', words: reason instanceof Error ? reason.message : 'the lock was lost' }
    }
    if (this.#trouble) {
      const { task, msg, hint, status } = this.#trouble
      const outcome = status === 'unreachable' ? 'unreachable' : 'failed'
      return { outcome, words: `${task}: ${msg}${hint ? `\n${hint}` : ''}` }
    }
    if (!this.#recap || this.#recap.interrupted)
      return { outcome: 'stopped', words: `stopped after: ${this.#last?.task ?? 'nothing'}` }
    if (!isGood(this.#recap, node)) return { outcome: 'failed', words: 'failed' }
    return { outcome: 'done', words: this.#proof || 'done' }
  }
}

/** How a node stands, by what is remembered of it. */
const STATES: Readonly<Record<string, string>> = {
  begun: 'it runs; it may be cordoned, and some of its pods gone',
  stopped: 'it runs, its services and containers are stopped',
  sent: 'it was sent down; nobody has seen that it is off',
  off: 'it is off',
  up: 'it is up again; it stays cordoned',
}

function stateOf(journal: Journal, node: string): { readonly state: string; readonly untouched: boolean } {
  const phase = journal.recall(node, 'cycle')?.data.phase
  if (typeof phase !== 'string') return { state: 'nothing of it was touched', untouched: true }
  return { state: STATES[phase] ?? phase, untouched: false }
}

/** The one command that goes on. */
function nextCommand({ verb, words = [] }: CycleRequest, node: string): string {
  return quoteAll(['runbook', 'node', verb, node, ...words])
}
