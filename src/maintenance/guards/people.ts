/**
 * Guards of cordons and drains that a person does, without a cycle around them. The node goes on running, and so do its
 * static pods: neither this machine nor etcd is asked. It stays out of service when the command has ended: its lock is
 * `left`, and goes when the node is uncordoned.
 */
import type { Inventory } from '../../inventory/index.ts'
import { UserError } from '../../shared/errors.ts'
import { inventoryNames } from './budgets.ts'
import { enterGuard } from './enter.ts'
import { GuardRefused } from './errors.ts'
import { changeLedger } from './hold.ts'
import { openLeaseStore } from './lease-store.ts'
import { lockViews } from './locks.ts'
import type { GuardDependencies, GuardEvent, GuardRequest, Hold } from './types.ts'

export interface PeopleOptions
  extends Pick<GuardRequest, 'run' | 'actor' | 'reason' | 'settings'>,
    Pick<GuardDependencies, 'folder' | 'signal'>,
    Required<Pick<GuardDependencies, 'transport'>> {
  /** For budgets of its groups; absent when there are none. */
  readonly inventory: Inventory | undefined
  readonly onEvent: (event: GuardEvent) => void
}

/**
 * The locks of all nodes, or of none: throws GuardRefused, UserError, KubernetesError. It does not wait: what is in the way
 * is mostly a node that stays out of service until somebody uncordons it.
 */
export async function holdNodes(nodes: readonly string[], options: PeopleOptions): Promise<Hold[]> {
  const { inventory, onEvent, transport, folder, signal, ...request } = options
  const names = inventory ? inventoryNames(request.settings, inventory) : { hosts: [], groups: {} }
  const connect = async (): Promise<undefined> => undefined
  const holds: Hold[] = []
  try {
    for (const node of new Set(nodes)) {
      const asked = { ...request, node, inventory: names, waitMs: 0, staysUp: true }
      holds.push(await enterGuard(asked, { transport, folder, connect, signal }, onEvent))
    }
    return holds
  } catch (error) {
    for (const hold of holds) await hold.release('untouched')
    if (!(error instanceof GuardRefused)) throw error
    const hint =
      'nothing was touched. Who holds what: runbook node locks. More at a time: max_unavailable in maintenance.yml; --no-guards asks nobody'
    throw new GuardRefused(error.node, error.reasons, hint)
  }
}

type Store = Pick<PeopleOptions, 'transport' | 'settings' | 'signal'>

/** Throws UserError when somebody works on one of the nodes: taking pods again would be behind their back. */
export async function mustBeFree(nodes: readonly string[], { transport, settings, signal }: Store): Promise<void> {
  using store = openLeaseStore(transport!, settings.lease.namespace)
  const held = lockViews(await store.read(signal), [], Date.now()).filter(
    ({ node, state }) => state === 'held' && nodes.includes(node),
  )
  if (held.length === 0) return
  throw new UserError(
    held.map(({ node, words }) => ({
      message: `somebody works on node ${node}: ${words}`,
      hint: 'that run uncordons it in the end; if it has died: runbook node break',
    })),
  )
}

/** Takes what earlier runs left out of the ledger: the nodes are in service again. */
export async function giveBackNodes(nodes: readonly string[], { transport, settings, signal }: Store): Promise<void> {
  using store = openLeaseStore(transport!, settings.lease.namespace)
  const snapshot = await store.read(signal)
  const over = lockViews(snapshot, [], Date.now()).filter(
    ({ node, state }) => nodes.includes(node) && (state === 'left' || state === 'silent'),
  )
  const ids = new Set<string>()
  for (const { node } of over) {
    const pulse = snapshot.pulses.get(node)
    // A holder that lives after all must meet it at its next renewal; one that has just given a sign of life stays.
    if (pulse && !(await store.drop(pulse))) continue
    for (const entry of snapshot.ledger.entries) if (entry.node === node) ids.add(entry.id)
  }
  await changeLedger(
    store,
    (ledger) => {
      const entries = ledger.entries.filter(({ id }) => !ids.has(id))
      return entries.length === ledger.entries.length ? undefined : { ...ledger, entries }
    },
    signal,
  )
}
