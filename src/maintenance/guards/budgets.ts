/** How many nodes of a group may be out of service, and who is in the way of one more. Pure. */
import type { Inventory } from '../../inventory/index.ts'
import type { NodeView } from './nodes.ts'
import { parseSelector } from './selector.ts'
import type { BudgetSettings, GuardSettings } from './settings.ts'
import type { InventoryNames } from './types.ts'

export interface Budget {
  /** In messages: `label pool=db`, `zone a` … */
  readonly name: string
  /** Nodes that may be out of service at the same time. */
  readonly limit: number
  readonly members: readonly string[]
}

/** What the API calls a zone. */
const ZONE = 'topology.kubernetes.io/zone'

/** A number, or a percentage of `size` rounded down; of a percentage above 0 at least one, else nothing could ever be done. */
export function limitOf(maxUnavailable: number | string, size: number): number {
  if (typeof maxUnavailable === 'number') return maxUnavailable
  const percent = Number(maxUnavailable.slice(0, -1))
  return percent === 0 ? 0 : Math.max(1, Math.floor((size * percent) / 100))
}

/** All budgets. `watched`: of the nodes of a cluster, which tells how they are. Control planes are one at a time, whatever the settings say. */
export function budgetsOf(
  settings: Pick<GuardSettings, 'max_unavailable' | 'budgets'>,
  nodes: readonly NodeView[],
  { groups }: InventoryNames,
  { watched }: { readonly watched: boolean },
): Budget[] {
  // Of plain hosts nobody knows what they are to each other.
  const budgets = [make('all nodes', settings.max_unavailable ?? (watched ? 1 : '100%'), nodes)]
  const controlPlanes = nodes.filter(({ controlPlane }) => controlPlane)
  if (controlPlanes.length > 0) budgets.push(make('control planes', 1, controlPlanes))
  for (const one of settings.budgets) budgets.push(...ofGroup(one, nodes, groups))
  return budgets
}

function ofGroup(one: BudgetSettings, nodes: readonly NodeView[], groups: InventoryNames['groups']): Budget[] {
  const selects = one.label === undefined ? () => true : (parseSelector(one.label) ?? (() => false))
  const hosts = one.group === undefined ? undefined : new Set(groups[one.group] ?? [])
  const members = nodes.filter(({ name, labels }) => selects(labels) && (hosts?.has(name) ?? true))
  const name =
    one.name ??
    ([one.label && `label ${one.label}`, one.group && `group ${one.group}`].filter(Boolean).join(', ') || '')
  if (one.per === undefined) return [make(name || 'all nodes', one.max_unavailable, members)]
  const label = one.per === 'zone' ? ZONE : one.per
  // Nodes without the label are no group: nothing says that they belong together.
  const values = Map.groupBy(
    members.filter(({ labels }) => labels[label] !== undefined),
    ({ labels }) => labels[label]!,
  )
  return [...values].map(([value, mine]) =>
    make([name, `${one.per} ${value}`].filter(Boolean).join(', '), one.max_unavailable, mine),
  )
}

function make(name: string, maxUnavailable: number | string, members: readonly NodeView[]): Budget {
  return { name, limit: limitOf(maxUnavailable, members.length), members: members.map((node) => node.name) }
}

export interface Usage {
  /** Nodes that an operation is under way on, each with whose. */
  readonly held: ReadonlyMap<string, string>
  /** Nodes that are out of service, each with why. Held ones may be among them. */
  readonly down: ReadonlyMap<string, string>
  /** The node does not run its pods already: working on it takes nothing away. */
  readonly targetIsDown: boolean
}

/**
 * Why a node cannot be taken; empty when it can. Every budget that it belongs to must have room for it. A node that is down
 * already does not use more of a budget, so that it can be repaired while others are down; but operations alone never
 * exceed one.
 */
export function refusals(budgets: readonly Budget[], node: string, { held, down, targetIsDown }: Usage): string[] {
  const reasons: string[] = []
  for (const { name, limit, members } of budgets) {
    if (!members.includes(node)) continue
    if (limit === 0) {
      reasons.push(`${name}: max_unavailable is 0`)
      continue
    }
    const others = members.filter((member) => member !== node)
    const operating = others.filter((member) => held.has(member))
    const out = others.filter((member) => held.has(member) || down.has(member))
    const counted = targetIsDown ? operating : out
    if (counted.length + 1 <= limit) continue
    const who = counted
      .slice(0, SHOWN)
      .map((member) => `${member} (${held.get(member) ?? down.get(member)})`)
      .join(', ')
    const more = counted.length > SHOWN ? ` and ${counted.length - SHOWN} more` : ''
    reasons.push(
      `${name}: ${limit} of ${members.length} may be out of service, and ${counted.length} are: ${who}${more}`,
    )
  }
  return reasons
}

/** Names in one message. */
const SHOWN = 5

/** What budgets need of an inventory. Throws UserError for a pattern that names nothing. */
export function inventoryNames({ budgets }: Pick<GuardSettings, 'budgets'>, inventory: Inventory): InventoryNames {
  const patterns = budgets.flatMap(({ group }) => (group === undefined ? [] : [group]))
  return {
    hosts: [...inventory.hosts.keys()],
    groups: Object.fromEntries(patterns.map((pattern) => [pattern, inventory.match(pattern).map(({ name }) => name)])),
  }
}
