/** What is asked of a node cycle, and what it tells meanwhile. Requests are plain data: they can be kept and sent. */
import type { Inventory } from '../../inventory/index.ts'
import type { Journal } from '../../journal/journal.ts'
import type { loadPlaybooks } from '../../playbook/index.ts'
import type { Connect, Prompt, Target } from '../../session/session.ts'
import type { RunEvent } from '../../shared/events.ts'
import type { Redactor } from '../../shared/redact.ts'

/** `maintain` runs a playbook (the shipped one: down, up, checks); the others are parts of it. */
export type CycleVerb = 'maintain' | 'shutdown' | 'reboot' | 'poweron'

export interface CycleRequest {
  readonly verb: CycleVerb
  /** Names of hosts of the inventory, begun in this order. */
  readonly nodes: readonly string[]
  /** Kept with the cordon, in the lock, and told to users who are logged in. */
  readonly reason?: string | undefined
  /** `maintain`: a playbook of the site's instead of the shipped one. */
  readonly playbook?: string | undefined
  /** Variables of the command line, above all others: those of the role node_cycle. */
  readonly vars?: Readonly<Record<string, unknown>> | undefined
  readonly dryRun?: boolean | undefined
  /** Options to repeat in the command that goes on. */
  readonly words?: readonly string[] | undefined
}

/**
 * - `done`: all of it
 * - `failed`: `message` says how the node stands, `next` is the one command that goes on
 * - `stopped`: somebody wanted it to end; as `failed`
 * - `refused`: nothing was touched: a guard said no
 * - `not_begun`: one before it failed
 */
export type CycleOutcome = 'done' | 'failed' | 'unreachable' | 'stopped' | 'refused' | 'not_begun'

export interface NodeEnd {
  readonly node: string
  readonly outcome: CycleOutcome
  /** How the node stands. */
  readonly message: string
  /** The command that goes on; absent when there is nothing left to do. */
  readonly next?: string | undefined
  /** The run in the journal; absent when it did not come so far. */
  readonly run?: string | undefined
  readonly elapsedMs: number
}

/** In the order of their happening; those of nodes that are worked on side by side are mixed. `cycle_ended` is the last, always. */
export type CycleEvent =
  | {
      readonly type: 'cycle_started'
      readonly verb: CycleVerb
      readonly nodes: readonly string[]
      readonly reason?: string | undefined
    }
  | { readonly type: 'node_started'; readonly node: string }
  /** Guards: waited for, taken, given back. */
  | { readonly type: 'guard'; readonly node: string; readonly message: string }
  /** What the node's run says; its tasks are the phases. */
  | { readonly type: 'run'; readonly node: string; readonly event: RunEvent }
  | ({ readonly type: 'node_ended' } & NodeEnd)
  | { readonly type: 'cycle_ended'; readonly nodes: readonly NodeEnd[] }

/**
 * Keeps others away while a node is in work: lock, budgets, etcd's quorum, blockers. `enter` is called before anything of
 * a node is touched, also when a cycle is gone on with.
 */
export interface Guards {
  /** Waits for its turn. Throws UserError when the node must not be touched; then nothing is held. */
  enter(node: string, options: GuardOptions): Promise<GuardPass>
}

export interface GuardOptions {
  readonly reason?: string | undefined
  readonly signal: AbortSignal
  readonly say: (message: string) => void
  /** While it says so, the waiting has no end: what is in the way is our own work. */
  readonly patient?: (() => boolean) | undefined
}

export interface GuardPass {
  /** Aborts when the right to work on the node is lost. */
  readonly lost: AbortSignal
  /** Asks whether it is still there. Throws GuardLost; `unreachable` when nobody can tell. */
  renew(): Promise<void>
  /**
   * Gives the place back. `back`: the node is at work again, and its soak time is waited for; `untouched`: nothing was done;
   * `left`: it is not back in service, and counts as down until a run goes on with it.
   */
  leave(how: 'back' | 'untouched' | 'left', words?: string): Promise<void>
}

/** The world: all of it can be faked. */
export interface CycleServices {
  readonly inventory: Inventory
  /** Each node's run has one of its own: they may be at work side by side. */
  readonly openJournal: () => Journal
  readonly connect: Connect
  readonly redactor: Redactor
  readonly decrypt?: Parameters<typeof loadPlaybooks>[1] extends { decrypt?: infer D } | undefined ? D : never
  /** Absent: nobody is asked (a dry run, a host that is only turned on). */
  readonly guards?: Guards | undefined
  readonly prompt?: Prompt | undefined
  readonly becomePassword?: string | undefined
  readonly target?: Partial<Target> | undefined
  /** Nodes that are worked on at the same time at most, as far as the guards let them in. Default 1. */
  readonly atOnce?: number | undefined
  /** How long a host is waited for that another run works on. */
  readonly waitLockMs?: number | undefined
  /** Where `.runbook/` stands, and what relative paths are relative to. */
  readonly folder: string
  /** First: the step that runs comes to its end, no more are begun. */
  readonly stop: AbortSignal
  /** Second: it is killed. */
  readonly abort: AbortSignal
}
