/** Whether a node may be taken now: its own lock, and the budgets. Pure. */
import { type Budget, refusals } from './budgets.ts'
import type { NodeView } from './nodes.ts'
import type { Entry, Snapshot } from './store.ts'
import type { Liveness } from './watch.ts'
import { ago, holderWords, pulseWords } from './words.ts'

export interface Asked {
  readonly node: string
  readonly snapshot: Snapshot
  readonly nodes: readonly NodeView[]
  readonly budgets: readonly Budget[]
  /** The nodes' states are known: there is a cluster that tells them. */
  readonly watched: boolean
  readonly liveness: (entry: Entry) => Liveness
  /** Milliseconds until a silent holder counts as dead. */
  readonly diesIn: (node: string) => number
  /** The lock is an earlier one of this very process. */
  readonly isOurs: (entry: Entry) => boolean
  /** Milliseconds since the epoch; for words. */
  readonly now: number
}

export interface Judgement {
  /** Why not now; empty when it may be taken. */
  readonly reasons: readonly string[]
  /** The lock of the node that would be taken over. */
  readonly takeOver: Entry | undefined
  /** Locks of other nodes that stay in the ledger, and those that nobody needs any more. */
  readonly keep: readonly Entry[]
  readonly obsolete: readonly Entry[]
  /** Nodes that are out of service or worked on, without the node itself, each with why. */
  readonly down: ReadonlyMap<string, string>
}

export function judge({ node, snapshot, nodes, budgets, watched, liveness, diesIn, isOurs, now }: Asked): Judgement {
  const views = new Map(nodes.map((view) => [view.name, view]))
  const held = new Map<string, string>()
  const down = new Map<string, string>()
  for (const view of nodes) if (view.down !== undefined && view.name !== node) down.set(view.name, view.down)

  const reasons: string[] = []
  const keep: Entry[] = []
  const obsolete: Entry[] = []
  let takeOver: Entry | undefined
  const alive = (entry: Entry): string => {
    const pulse = snapshot.pulses.get(entry.node)
    const silent =
      liveness(entry) === 'unknown' && pulse && now - pulse.at > pulse.validMs
        ? `; if that has died, its lock is taken over in ${ago(Math.max(0, diesIn(entry.node)))}`
        : ''
    return `${holderWords(entry)}, ${pulseWords(pulse, now)}${silent}`
  }

  for (const entry of snapshot.ledger.entries) {
    const ended = entry.left !== undefined || liveness(entry) === 'dead'
    if (entry.node === node) {
      if (ended || isOurs(entry)) takeOver = entry
      else reasons.push(`locked by ${alive(entry)}`)
      continue
    }
    if (!ended) {
      held.set(entry.node, alive(entry))
      keep.push(entry)
      continue
    }
    const view = views.get(entry.node)
    if (watched && (!view || view.down === undefined)) {
      obsolete.push(entry)
      continue
    }
    keep.push(entry)
    const what = entry.left ?? 'that run died while it worked on the node'
    down.set(entry.node, `${view?.down ? `${view.down}; ` : ''}${what} (${holderWords(entry)})`)
  }

  const wasLeft = !watched && takeOver !== undefined && !isOurs(takeOver)
  const targetIsDown = wasLeft || views.get(node)?.ready === false
  reasons.push(...refusals(budgets, node, { held, down, targetIsDown }))
  return { reasons, takeOver, keep, obsolete, down: new Map([...down, ...held]) }
}
