import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { askBlockers } from './blockers.ts'
import { budgetsOf } from './budgets.ts'
import { GuardRefused } from './errors.ts'
import { openFileStore } from './file-store.ts'
import { holdLock } from './hold.ts'
import { type Judgement, judge } from './judge.ts'
import { openLeaseStore } from './lease-store.ts'
import type { NodeView } from './nodes.ts'
import { isKnownDead, thisProcess } from './process.ts'
import type { Entry, GuardStore, Pulse, Snapshot } from './store.ts'
import type { EnterGuard, GuardDependencies, GuardEvent, GuardRequest, Hold } from './types.ts'
import { WAIT_MS } from './types.ts'
import { Watch } from './watch.ts'
import { holderWords } from './words.ts'
import { openWorld, type World } from './world.ts'

/** Between two looks at what is in the way. */
const LOOK_MS = 5000
/** A look may not take up more than this part of the time. */
const LOOK_SHARE = 1 / 10
/** After somebody else was faster. */
const JITTER_MS = 150

/** Locks of this process that are in use: an entry of ours that is none of these was given up. */
const active = new Set<string>()

/** See EnterGuard. Throws GuardRefused, UserError, KubernetesError; then nothing is held. */
export const enterGuard: EnterGuard = async (request, dependencies, onEvent) => {
  const { transport, folder } = dependencies
  const store = transport ? openLeaseStore(transport, request.settings.lease.namespace) : openFileStore(folder)
  try {
    return await new Entering(request, dependencies, onEvent, store).enter()
  } catch (error) {
    store[Symbol.dispose]()
    throw error
  }
}

interface Obstacle {
  readonly reasons: readonly string[]
  /** It may go away by itself. */
  readonly passes: boolean
}

class Entering {
  readonly #request: GuardRequest
  readonly #dependencies: GuardDependencies
  readonly #onEvent: (event: GuardEvent) => void
  readonly #store: GuardStore
  readonly #world: World
  readonly #watch: Watch
  readonly #id: string
  readonly #process = thisProcess()
  /** Our sign of life, while the ledger does not have us yet. */
  #pulse: Pulse | undefined
  /** The caller has the lock; the store is the lock's. */
  #entered = false
  #down: string | undefined
  #validMs = 0

  constructor(
    request: GuardRequest,
    dependencies: GuardDependencies,
    onEvent: (event: GuardEvent) => void,
    store: GuardStore,
  ) {
    this.#request = request
    this.#dependencies = dependencies
    this.#onEvent = onEvent
    this.#store = store
    this.#world = openWorld(request, dependencies)
    this.#watch = new Watch(request.settings.lease.duration, isKnownDead)
    // What `kubectl get leases` shows as the holder; the end makes it unique.
    this.#id = `${hostname()}/${request.run}/${randomBytes(6).toString('hex')}`
  }

  async enter(): Promise<Hold> {
    const { node, waitMs = WAIT_MS, settings, patient } = this.#request
    const { signal } = this.#dependencies
    let until = performance.now() + waitMs
    let said = ''
    try {
      for (;;) {
        signal.throwIfAborted()
        const started = performance.now()
        const result = await this.#attempt()
        if (result === 'again') {
          await pause(Math.random() * JITTER_MS, signal)
          continue
        }
        if (!('reasons' in result)) return result
        await this.#dropPulse()
        if (patient?.()) until = Math.max(until, performance.now() + Math.max(waitMs, LOOK_MS))
        const left = until - performance.now()
        if (!result.passes || left <= 0) throw new GuardRefused(node, result.reasons, this.#hint(result, waitMs))
        const message = result.reasons.join('; ')
        // Said once: ages in it change all the time.
        const key = message.replaceAll(/\d+ (?:s|min|h|days)\b/g, '')
        if (key !== said) this.#onEvent({ type: 'waiting', node, message })
        said = key
        const look = Math.max(
          Math.min(LOOK_MS, settings.lease.duration / 5),
          (performance.now() - started) / LOOK_SHARE,
        )
        await pause(Math.min(left, look), signal)
      }
    } catch (error) {
      await this.#dropPulse()
      throw error
    }
  }

  #hint({ passes }: Obstacle, waitMs: number): string {
    if (!passes) return 'nothing was touched'
    return `nothing was touched${waitMs > 0 ? `; waited ${Math.round(waitMs / 1000)} s` : ''}. Who holds what: runbook node locks`
  }

  async #attempt(): Promise<Hold | Obstacle | 'again'> {
    const { node } = this.#request
    const { signal } = this.#dependencies
    const before = await this.#ask(undefined)
    if ('reasons' in before) return before

    const { judgement, snapshot } = before
    const there = snapshot.pulses.get(node)
    const free = !there || there.id === this.#id || judgement.takeOver !== undefined
    if (!free && this.#watch.ofPulse(node) !== 'dead')
      return { passes: true, reasons: [`${there.id} is taking its lock`] }
    this.#pulse = await this.#store.beat(there, { node, id: this.#id, validMs: this.#validMs }, signal)
    if (!this.#pulse) return 'again'
    // Their holders, if they live after all, must meet it at their next renewal.
    for (const { node: other } of judgement.obsolete) {
      const pulse = snapshot.pulses.get(other)
      if (pulse && !(await this.#store.drop(pulse))) return 'again'
    }
    const entry = this.#entry(snapshot)
    const ledger = { ...snapshot.ledger, last: entry.token, entries: [...judgement.keep, entry] }
    if (!(await this.#store.swap(snapshot.version, ledger, signal)) && !(await this.#isIn())) return 'again'
    const hold = this.#hold(entry, this.#pulse)
    this.#pulse = undefined
    try {
      this.#tell(judgement, entry)
      // What was true before may not be any more: time has passed, and nobody else can come between now.
      const after = await this.#ask(entry)
      if (!('reasons' in after)) {
        this.#entered = true
        return hold
      }
      await hold.release('untouched')
      return after
    } catch (error) {
      await hold.release('untouched')
      throw error
    }
  }

  /** Everything that can say no. `held`: our lock, when we have it. */
  async #ask(held: Entry | undefined): Promise<Obstacle | { judgement: Judgement; snapshot: Snapshot }> {
    const { node, settings, inventory, run, reason, staysUp } = this.#request
    const { signal, transport, folder } = this.#dependencies
    const nodes = await this.#world.nodes(signal)
    const own = staysUp ? undefined : await this.#world.whyOwnMachine(nodes, signal)
    if (own !== undefined) {
      const reason = `it is the machine that this runbook runs on (${own}): run it from another one`
      return { passes: false, reasons: [reason] }
    }
    this.#down = nodes.find(({ name }) => name === node)?.down
    this.#validMs = Math.max(settings.lease.duration, staysUp ? 0 : apiOutageMs(node, nodes))
    const blocked = await askBlockers(settings.blockers, { node, run, reason, transport, folder, signal })
    if (blocked.length > 0) return { passes: true, reasons: blocked }
    const snapshot = await this.#store.read(signal)
    this.#watch.look(snapshot)
    const judgement = judge({
      node,
      snapshot,
      nodes,
      budgets: budgetsOf(settings, nodes, inventory, { watched: transport !== undefined }),
      watched: transport !== undefined,
      liveness: (entry) => this.#watch.of(entry),
      diesIn: (name) => this.#watch.diesIn(name),
      isOurs: ({ id, process }) => id === held?.id || (process === this.#process && !active.has(id)),
      now: Date.now(),
    })
    if (judgement.reasons.length > 0) return { passes: true, reasons: judgement.reasons }
    const etcd = staysUp ? undefined : await this.#world.etcdRefusal(nodes, judgement.down, signal)
    return etcd ? { passes: etcd.passes, reasons: [etcd.message] } : { judgement, snapshot }
  }

  #entry({ ledger }: Snapshot): Entry {
    const { node, run, actor, reason } = this.#request
    return {
      id: this.#id,
      node,
      token: ledger.last + 1,
      run,
      actor,
      ...(reason === undefined ? {} : { reason }),
      machine: hostname(),
      process: this.#process,
      since: Date.now(),
    }
  }

  /** The answer to a swap may be lost, and its repetition refused. */
  async #isIn(): Promise<boolean> {
    const { ledger } = await this.#store.read(this.#dependencies.signal)
    return ledger.entries.some(({ id }) => id === this.#id)
  }

  #hold(entry: Entry, pulse: Pulse): Hold {
    const { node, settings } = this.#request
    const { signal } = this.#dependencies
    const store = this.#store
    active.add(entry.id)
    return holdLock({
      store,
      entry,
      pulse,
      validMs: this.#validMs,
      onEvent: this.#onEvent,
      signal,
      soak: (until) => {
        if (settings.soak > 0) {
          const message = `the lock is kept until the node has been Ready for ${Math.round(settings.soak / 1000)} s`
          this.#onEvent({ type: 'soaking', node, ms: settings.soak, message })
        }
        return this.#world.soak(settings.soak, until)
      },
      onEnd: () => {
        active.delete(entry.id)
        if (this.#entered) store[Symbol.dispose]()
      },
    })
  }

  #tell({ takeOver, obsolete }: Judgement, { node, token }: Entry): void {
    for (const entry of obsolete) {
      const message = `removed the lock of ${entry.node}, which is in service or gone; it was left by ${holderWords(entry)}`
      this.#onEvent({ type: 'warning', node, message })
    }
    if (takeOver) {
      const what = takeOver.left ?? 'it died while it worked on the node'
      const message = `took over the lock of ${holderWords(takeOver)} (${what})`
      this.#onEvent({ type: 'took-over', node, from: takeOver, message })
    }
    if (this.#down !== undefined)
      this.#onEvent({ type: 'warning', node, message: `the node is out of service already: ${this.#down}` })
    this.#onEvent({ type: 'held', node, token, message: `locked (token ${token})` })
  }

  /** Best effort: what stays expires. */
  async #dropPulse(): Promise<void> {
    const pulse = this.#pulse
    this.#pulse = undefined
    if (pulse) await this.#store.drop(pulse).catch(() => {})
  }
}

/**
 * How long the API may be away because the node is: a control plane takes its API server with it, and the virtual IP needs
 * time to move; the only one takes all of it until it has booted again.
 */
function apiOutageMs(node: string, nodes: readonly NodeView[]): number {
  const controlPlanes = nodes.filter(({ controlPlane }) => controlPlane)
  if (!controlPlanes.some(({ name }) => name === node)) return 0
  return controlPlanes.length > 1 ? 5 * 60_000 : 30 * 60_000
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return sleep(Math.max(0, ms), undefined, { signal }).catch((error) => {
    signal.throwIfAborted()
    throw error
  })
}
