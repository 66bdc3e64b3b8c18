/**
 * What stands between a runbook and a node: one operation at a time on a node, never more of a group than its budget,
 * etcd's quorum, blockers of the site. The node cycle calls `enterGuard` before it touches a node, `renew` before every
 * step that must not be done without the lock, and `release` in the end.
 *
 * In the order of `enterGuard`: the node is not this machine; blockers; the lock, with the budget and etcd's quorum
 * asked under it; blockers and etcd once more. Whatever refuses after the lock gives it back.
 */
import type { Transport } from '../../kubernetes/index.ts'
import type { Connection } from '../../session/session.ts'
import type { ExitGuard, GuardSettings } from './settings.ts'

/** Plain data but for `patient`: it may come from another process. */
export interface GuardRequest {
  /** The node's name in the cluster; without a cluster the host's name in the inventory. */
  readonly node: string
  /** Id of the run. A later process of the same run takes the lock over from its dead predecessor. */
  readonly run: string
  /** Who answers for it: a person's login, `schedule NAME` … */
  readonly actor: string
  readonly reason?: string | undefined
  readonly settings: GuardSettings
  readonly inventory: InventoryNames
  /**
   * Milliseconds to wait for a slot: a full budget, another holder, a soak, a blocker. 0: refuse at once. Default
   * WAIT_MS. A holder that died is known to be dead only after its lease was watched for as long as it is valid, so with
   * less than that a dead holder refuses.
   */
  readonly waitMs?: number | undefined
  /** The node goes on running, and its static pods with it: neither this machine nor etcd is asked. */
  readonly staysUp?: boolean | undefined
  /** While it says so, `waitMs` does not pass: the caller itself works on other nodes, and knows that these end. */
  readonly patient?: (() => boolean) | undefined
}

/** What the budgets need of the inventory; see `inventoryNames` in budgets.ts. */
export interface InventoryNames {
  readonly hosts: readonly string[]
  /** Hosts of each `group` pattern of the budgets. */
  readonly groups: Readonly<Record<string, readonly string[]>>
}

/** The world: all of it can be faked. */
export interface GuardDependencies {
  /** The cluster's API. Absent: plain hosts, whose locks are in a file below `folder`. */
  readonly transport?: Transport | undefined
  /** Folder of the inventory: `.runbook/guards.db` for plain hosts; what relative names of commands are relative to. */
  readonly folder: string
  /**
   * A connection as root to a host of the inventory by the node's name; used to ask etcd, through a control plane that is
   * not the node itself. Undefined when the inventory has no such host. Connections stay the caller's.
   */
  readonly connect: (node: string, signal: AbortSignal) => Promise<Connection | undefined>
  /** Ends waiting. A lock that is held is given back by `release`, not by this. */
  readonly signal: AbortSignal
}

/** In words; everything is also in its parts for machines. */
export type GuardEvent = { readonly node: string; readonly message: string } & (
  | { readonly type: 'waiting' }
  | { readonly type: 'warning' }
  /** The lock of a holder that died was taken over. */
  | { readonly type: 'took-over'; readonly from: Holder }
  | { readonly type: 'held'; readonly token: number }
  /** Given back later: the node has to stay Ready for so long first. */
  | { readonly type: 'soaking'; readonly ms: number }
  | { readonly type: 'lost' }
  | { readonly type: 'released' }
)

/** Who holds, or held, the lock of a node. */
export interface Holder {
  readonly node: string
  /** Fencing token: grows with every lock that is given out. */
  readonly token: number
  readonly run: string
  readonly actor: string
  readonly reason?: string | undefined
  /** The machine that runs the runbook, and `processName()` there. */
  readonly machine: string
  readonly process: string
  /** Milliseconds since the epoch, by the holder's clock. */
  readonly since: number
  /** Said by `release('left')`: it ended on purpose, and the node is not back in service. */
  readonly left?: string | undefined
}

/**
 * A lock on a node. It is renewed in the background. (That of a control plane, which takes its API server with it, is valid
 * for longer than the settings say.) When the API cannot be reached for two thirds of the lease, or
 * somebody else has the lock, `signal` aborts with GuardLost: nothing that is protected may begin any more.
 */
export interface Hold extends AsyncDisposable {
  readonly node: string
  /** See Holder. */
  readonly token: number
  /** Aborts with a GuardLost. */
  readonly signal: AbortSignal
  /**
   * Makes sure, by asking, that the lock is still ours; call it before every protected step. Throws GuardLost (also when
   * the API cannot be reached: that may be told from a lock that is gone by `unreachable`).
   *
   * `forMs`: ours for so long without another word. For steps that take the API itself away (the only control plane):
   * nobody else takes the lock over before that, and `signal` does not abort.
   */
  renew(options?: { readonly forMs?: number | undefined }): Promise<void>
  /**
   * Gives the lock back; never throws (a lock that cannot be given back expires). Further calls do nothing.
   * - `back`: the node is in service again. The lock is held until the node has been Ready for the soak time; `signal` of the
   *   dependencies ends the wait early (the lock goes then).
   * - `untouched`: nothing was done; it goes at once.
   * - `left`: the node is not back in service, with what state it is in. It counts as down until a run works on it again,
   *   or `runbook node break`.
   * `await using` releases as `untouched` what was not released otherwise and not `renew`ed, else as `left`.
   */
  release(how: ExitGuard, words?: string): Promise<void>
}

export type EnterGuard = (
  request: GuardRequest,
  dependencies: GuardDependencies,
  onEvent: (event: GuardEvent) => void,
) => Promise<Hold>

/** Default of `waitMs`: time for one node of another run. */
export const WAIT_MS = 10 * 60_000
