/** Which locks there are, and breaking those that nobody gives back. */
import { setTimeout as sleep } from 'node:timers/promises'
import { changeLedger } from './hold.ts'
import type { NodeView } from './nodes.ts'
import { isKnownDead } from './process.ts'
import { type Entry, type GuardStore, KEPT_BROKEN, type Snapshot } from './store.ts'
import type { Holder } from './types.ts'
import { Watch } from './watch.ts'
import { ago, holderWords, pulseWords } from './words.ts'

export type LockState =
  /** Its holder gave a sign of life within the lease, by this machine's clock. */
  | 'held'
  /** It did not, or its process is known to have ended: the next run takes it over. */
  | 'silent'
  /** Its run ended on purpose, and the node is not back in service. */
  | 'left'
  /** Being taken, or its run died at that moment. */
  | 'taking'
  /** No lock: a node that an earlier run, or a person, left cordoned. */
  | 'cordoned'

export interface LockView {
  readonly node: string
  readonly state: LockState
  readonly holder: Holder | undefined
  /** Milliseconds since it was locked, and since the last sign of life, by this machine's clock. */
  readonly heldMs: number | undefined
  readonly silentMs: number | undefined
  readonly words: string
}

/** All locks, by node; nodes that are cordoned without one too. Pure. */
export function lockViews(
  { ledger, pulses }: Snapshot,
  nodes: readonly NodeView[],
  now: number,
  isDead: (process: string) => boolean = isKnownDead,
): LockView[] {
  const down = new Map(nodes.map((node) => [node.name, node.down]))
  const views = ledger.entries.map((entry): LockView => {
    const { id, process, ...holder } = entry
    const pulse = pulses.get(entry.node)
    const mine = pulse?.id === id ? pulse : undefined
    const silent = isDead(process) || !mine || now - mine.at > mine.validMs
    const state = entry.left !== undefined ? 'left' : silent ? 'silent' : 'held'
    const end = isDead(process) ? 'its process has ended' : pulseWords(mine, now)
    const told = entry.left ?? `${end}${state === 'silent' ? '; the next run takes it over' : ''}`
    return {
      node: entry.node,
      state,
      holder: { ...holder, process },
      heldMs: Math.max(0, now - entry.since),
      silentMs: mine && Math.max(0, now - mine.at),
      words: [holderWords(entry), told, down.get(entry.node)].filter(Boolean).join('; '),
    }
  })
  const locked = new Set(ledger.entries.map(({ node }) => node))
  const none = { holder: undefined, heldMs: undefined }
  for (const pulse of pulses.values()) {
    if (locked.has(pulse.node)) continue
    locked.add(pulse.node)
    const silentMs = Math.max(0, now - pulse.at)
    views.push({
      ...none,
      node: pulse.node,
      state: 'taking',
      silentMs,
      words: `${pulse.id}, ${pulseWords(pulse, now)}`,
    })
  }
  for (const [node, words] of down) {
    if (locked.has(node) || !words?.startsWith('cordoned')) continue
    views.push({ ...none, node, state: 'cordoned', silentMs: undefined, words: `${words}; nobody has its lock` })
  }
  return views.toSorted((a, b) => a.node.localeCompare(b.node, 'en', { numeric: true }))
}

export interface BreakOptions {
  /** Who does it, and why: told to the holder, if it lives. */
  readonly by: string
  readonly reason: string
  /** Holders that live too. */
  readonly force: boolean
  /** Milliseconds to wait for a sign of life of a lock that never had one. */
  readonly leaseMs: number
  /** Said when it has to watch. */
  readonly onWait: (node: string, ms: number) => void
  readonly signal: AbortSignal
}

export interface BreakResult {
  readonly node: string
  readonly broken: boolean
  readonly message: string
}

const LOOK_MS = 500

/**
 * Breaks the locks of nodes. Without `force` only those whose holder is dead: it is watched for as long as its lease is
 * valid. A holder that lives after all loses its lock with its next renewal, before its next protected step.
 */
export async function breakLocks(
  store: GuardStore,
  nodes: readonly string[],
  options: BreakOptions,
): Promise<BreakResult[]> {
  const watch = new Watch(options.leaseMs, isKnownDead)
  const results = new Map<string, BreakResult>()
  const told = new Set<string>()
  for (;;) {
    const snapshot = await store.read(options.signal)
    watch.look(snapshot)
    for (const node of nodes) {
      if (results.has(node)) continue
      const result = await breakLock(store, node, snapshot, watch, options)
      if (result) results.set(node, result)
      else if (!told.has(node)) options.onWait(node, Math.max(0, watch.diesIn(node)))
      told.add(node)
    }
    if (results.size === new Set(nodes).size) return nodes.map((node) => results.get(node)!)
    await sleep(LOOK_MS, undefined, { signal: options.signal })
  }
}

/** Undefined while it cannot be said whether the holder lives. */
async function breakLock(
  store: GuardStore,
  node: string,
  { ledger, pulses }: Snapshot,
  watch: Watch,
  options: BreakOptions,
): Promise<BreakResult | undefined> {
  const entry = ledger.entries.find((one) => one.node === node)
  const pulse = pulses.get(node)
  if (!entry && !pulse) return { node, broken: false, message: 'no lock' }
  const who = entry ? holderWords(entry) : pulse!.id
  const liveness = entry?.left !== undefined ? 'dead' : entry ? watch.of(entry) : watch.ofPulse(node)
  if (!options.force && liveness !== 'dead') {
    if (liveness === 'unknown') return undefined
    return { node, broken: false, message: `its holder lives: ${who}; stop that run, or --force` }
  }
  // The pulse first: from then on the holder cannot renew. It may have done so just now: then look again.
  if (pulse && !(await store.drop(pulse))) return undefined
  if (entry) await record(store, entry, options)
  return { node, broken: true, message: `broke the lock of ${who}` }
}

async function record(store: GuardStore, entry: Entry, { by, reason, signal }: BreakOptions): Promise<void> {
  await changeLedger(
    store,
    (ledger) => {
      if (!ledger.entries.some(({ id }) => id === entry.id)) return undefined
      const broken = { node: entry.node, id: entry.id, by, reason, at: Date.now() }
      return {
        ...ledger,
        entries: ledger.entries.filter(({ id }) => id !== entry.id),
        broken: [...ledger.broken, broken].slice(-KEPT_BROKEN),
      }
    },
    signal,
  )
}

/** One lock as a line. */
export function lockLine({ node, state, heldMs, words }: LockView): string {
  return `${node}  ${state}${heldMs === undefined ? '' : ` for ${ago(heldMs)}`}  ${words}`
}
