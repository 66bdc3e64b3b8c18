import { userInfo } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { runPlaybooks } from '../../engine/run.ts'
import type { Journal } from '../../journal/journal.ts'
import { loadPlaybooks, playbookHash } from '../../playbook/index.ts'
import type { Recap, RunEvent, TaskResultEvent } from '../../shared/events.ts'
import { GuardLost } from '../guards/errors.ts'
import { playbookOf, varsOf } from './playbooks.ts'
import type { CycleEvent, CycleOutcome, CycleRequest, CycleServices, GuardPass, NodeEnd } from './types.ts'

/** The playbook of a request, for a node. Throws UserError for a wrong one. */
export function loadFor(request: CycleRequest, { decrypt }: Pick<CycleServices, 'decrypt'>, node: string) {
  const { path, text } = playbookOf(request)
  const extraVars = varsOf(request, node)
  return loadPlaybooks([path], { extraVars, decrypt, texts: text === undefined ? undefined : new Map([[path, text]]) })
}

/** What came of a node. */
export type Ended = Pick<NodeEnd, 'outcome' | 'message' | 'run'>

/** One node that its guards have let in (`pass`), to its end; gives the lock back. */
export async function cycleNode(
  request: CycleRequest,
  services: CycleServices,
  node: string,
  pass: GuardPass | undefined,
  tell: (event: CycleEvent) => void,
): Promise<Ended> {
  using journal = services.openJournal()
  const result = new RunResult()
  let left = false
  try {
    for await (const event of runNode(request, services, node, journal, pass)) {
      result.take(event)
      tell({ type: 'run', node, event })
    }
    const { outcome, words } = result.end(node, pass)
    const { state, untouched } = stateOf(journal, node)
    const isBack = outcome === 'done' && request.verb !== 'shutdown'
    left = true
    await pass?.leave(isBack ? 'back' : outcome !== 'done' && untouched ? 'untouched' : 'left', state)
    return { outcome, message: outcome === 'done' ? words : `${words}\n${state}`, run: result.run }
  } finally {
    if (!left) await pass?.leave('left', stateOf(journal, node).state)
  }
}

/** The run of a node's playbook: every phase of it, to events. */
async function* runNode(
  request: CycleRequest,
  services: CycleServices,
  node: string,
  journal: Journal,
  pass: GuardPass | undefined,
): AsyncGenerator<RunEvent> {
  const { folder, inventory, stop } = services
  const playbooks = await loadFor(request, services, node)
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
      fence: pass && (() => fence(pass, journal, node)),
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

/** How long the API may take to say that a lock is ours when a node's own stop may have taken it away. */
const AWAY_MS = 2000

/**
 * A step begins only while the lock is certainly ours: the API has just said so. From the stop of a node's services on, that
 * of a control plane may be gone with it; then what was said last counts, as long as that is valid (`lost`).
 */
async function fence(pass: GuardPass, journal: Journal, node: string): Promise<void> {
  pass.lost.throwIfAborted()
  const asked = pass.renew()
  const phase = journal.recall(node, 'cycle')?.data.phase
  if (phase === undefined || phase === 'begun') return asked
  try {
    await Promise.race([asked, sleep(AWAY_MS, undefined, { ref: false })])
  } catch (error) {
    if (!(error instanceof GuardLost && error.unreachable)) throw error
  }
  asked.catch(() => {})
  pass.lost.throwIfAborted()
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
    // Ctrl-C ends a step that waits, and the second one any.
    if (this.#recap?.interrupted && this.#trouble?.msg === 'interrupted')
      return { outcome: 'stopped', words: `stopped in the middle of: ${this.#trouble.task}` }
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
