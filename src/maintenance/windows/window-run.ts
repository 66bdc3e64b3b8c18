/** One opening of a window: its nodes, so many at a time, until all are through, one failed, or the time is over. */
import { type Clock, sleepUntil } from './clock.ts'
import type { EventKind } from './events.ts'
import type { NodeEnd } from './node-end.ts'
import type { NodeRun } from './node-run.ts'
import {
  ENDED,
  type NodeRecord,
  type NodeStatus,
  type OccurrenceRecord,
  type OccurrenceStatus,
  type State,
} from './state.ts'
import { span } from './time.ts'
import type { Window } from './window.ts'

/** How a node's turn is begun, and how one is taken up that a daemon before this one began. */
export interface NodeStarter {
  start(host: string, playbook: string, attempt: number, onStep: (step: string) => void): NodeRun
  adopt(record: NodeRecord, onStep: (step: string) => void): NodeRun | undefined
  /** Whether what was begun on it so far may have changed more than `uncordon` brings back. */
  touched(record: NodeRecord): boolean
}

export interface WindowRunOptions {
  readonly window: Window
  readonly occurrence: OccurrenceRecord
  readonly state: State
  readonly clock: Clock
  readonly nodes: NodeStarter
  readonly say: (kind: EventKind, text: string, host?: string) => void
  /** Aborted: no node is started any more; those under way come to their end. The opening stays open. */
  readonly leave: AbortSignal
  /** Aborted: nodes under way are stopped too. */
  readonly hurry: AbortSignal
  /** Nothing more is started for this reason, e.g. the plan has changed. */
  readonly noMore?: string | undefined
}

/** Between looks at pauses and at the time; milliseconds. */
const LOOK = 1000
/**
 * How long a run may take to end by itself when its node is given up and nothing was changed on it: then the drain, or the
 * wait, that it is at is cut off. Milliseconds.
 */
const LEAVE_GRACE = 2000
/** How long a step may take to end when even the time for being late is over, before it is cut off. Milliseconds. */
const STOP_GRACE = 60_000
/** Added to the longest cycle so far: the next one may be a little longer. */
const SPARE = 1.25
const LEAST_MARGIN = 60_000
/** Where nothing was measured yet. Milliseconds. */
const UNMEASURED = 30 * 60_000

/** How long before the end the last node may start. */
export function lastStartMargin(window: Window, state: State): number {
  if (window.margin !== undefined) return window.margin
  const lengths = state.lengths(window.playbook)
  if (lengths.length === 0) return Math.min(UNMEASURED, window.duration / 2)
  return Math.max(LEAST_MARGIN, Math.ceil(Math.max(...lengths) * SPARE))
}

/** Runs it to its end, closes it in the state, and says how it ended; undefined when it was left open. */
export async function runWindow(options: WindowRunOptions): Promise<OccurrenceStatus | undefined> {
  return new WindowRun(options).run()
}

class WindowRun {
  readonly #o: WindowRunOptions
  readonly #active = new Map<string, Promise<void>>()
  readonly #watching = new Map<NodeRun, Promise<NodeEnd>>()

  constructor(options: WindowRunOptions) {
    this.#o = options
  }

  async run(): Promise<OccurrenceStatus | undefined> {
    const { clock, state, occurrence, leave } = this.#o
    for (const node of this.#nodes()) if (node.status !== 'waiting' && !ENDED.includes(node.status)) this.#begin(node)
    for (;;) {
      const waiting = this.#nodes().filter(({ status }) => status === 'waiting')
      const next = waiting[0]
      const over = next && this.#over()
      if (leave.aborted || next === undefined || over !== undefined) {
        if (this.#active.size === 0) {
          if (leave.aborted && next !== undefined) return undefined
          for (const { host } of waiting) this.#set(host, 'left_out', { detail: over ?? '' })
          return this.#close()
        }
        await Promise.race(this.#active.values())
        continue
      }
      const isFull = this.#active.size >= this.#o.window.concurrency
      const paused = !isFull && state.pausedBy(occurrence.window, clock.now())
      if (!isFull && !paused && clock.now() >= occurrence.starts) {
        this.#begin(next)
        continue
      }
      const soon = new AbortController()
      const wait = isFull ? Infinity : LOOK
      await Promise.race([clock.sleep(wait, AbortSignal.any([soon.signal, leave])), ...this.#active.values()])
      soon.abort()
    }
  }

  /** Why no node is started any more. */
  #over(): string | undefined {
    const { clock, occurrence, window, state, noMore } = this.#o
    if (noMore !== undefined) return noMore
    const failed = this.#nodes().filter(({ status }) => status === 'failed').length
    if (failed >= window.maxFailures) return `${failed} failed`
    const margin = lastStartMargin(window, state)
    const left = occurrence.ends - clock.now()
    if (left >= margin) return undefined
    return left <= 0 ? 'the window was over' : `a node takes up to ${span(margin)}, and ${span(left)} were left`
  }

  #begin(node: NodeRecord): void {
    const turn = this.#turn(node)
      .catch((error: unknown) => {
        this.#fail(node.host, error instanceof Error ? error.message : String(error))
      })
      .finally(() => this.#active.delete(node.host))
    this.#active.set(node.host, turn)
  }

  /** A node from its beginning, or from where the daemon before this one was with it. */
  async #turn(node: NodeRecord): Promise<void> {
    const { host } = node
    switch (node.status) {
      case 'rolling_back':
        return this.#rollBack(node)
      case 'finishing':
        return this.#finish(node, this.#again(node))
      case 'waiting':
        return this.#forward(node, this.#start(host, this.#o.window.playbook))
      default: {
        const { clock, occurrence, window, nodes } = this.#o
        const taken = this.#adopt(node)
        const isOver = node.status === 'stopping' || clock.now() >= occurrence.ends
        // What died with the daemon is not begun again only to be given up.
        if (!taken && isOver && window.rollback !== undefined && !nodes.touched(node)) return this.#rollBack(node)
        return this.#forward(node, taken ?? this.#start(host, window.playbook))
      }
    }
  }

  async #forward(node: NodeRecord, run: NodeRun): Promise<void> {
    const { clock, occurrence } = this.#o
    const end = new AbortController()
    const giveUp = node.status === 'stopping' ? Promise.resolve() : sleepUntil(clock, occurrence.ends, end.signal)
    const ended = await Promise.race([this.#watched(run), giveUp.then(() => undefined)])
    end.abort()
    if (ended) return this.#conclude(node.host, ended)
    // The wall clock may have been set back meanwhile.
    if (clock.now() < occurrence.ends && node.status !== 'stopping') return this.#forward(node, run)
    return this.#giveUp(node, run)
  }

  /** The hard end: back if nothing but cordon and drain has happened, else forward. */
  async #giveUp(node: NodeRecord, run: NodeRun): Promise<void> {
    const { window, clock, say, occurrence } = this.#o
    const { host } = node
    // A command ends first: cut off, nobody would know what it did; begun again, it would be done twice.
    const limit = occurrence.ends + window.overrun
    let over = false
    const ends = this.#watched(run).then(() => {
      over = true
    })
    const waits = (): boolean => !over && window.rollback !== undefined && run.touch() === 'unsure'
    const waited = waits()
    if (waited) say('overrun', `${host}: the window is over; the command that it is at comes to its end first`, host)
    while (waits() && clock.now() < limit) await Promise.race([clock.sleep(LOOK), ends])
    if (over) return this.#conclude(host, await run.done)
    if (window.rollback === undefined || run.touch() !== 'untouched') return this.#finish(node, run, !waited)
    this.#set(host, 'stopping')
    run.stop()
    const ended = await this.#within(LEAVE_GRACE, run, () => run.touch() === 'untouched')
    if (ended.status === 'done') return this.#conclude(host, ended)
    // It may have begun a change just when it was stopped, which then came to its end.
    if (run.touch() !== 'untouched') {
      say('overrun', `${host}: the window is over, and it is too far to go back: it is being finished`, host)
      return this.#finish(node, this.#start(host, window.playbook), false)
    }
    return this.#rollBack(node)
  }

  /** Its end; where it takes longer, it is stopped once more, and that cuts off its step, while that is `allowed`. */
  async #within(ms: number, run: NodeRun, allowed: () => boolean = () => true): Promise<NodeEnd> {
    const { clock } = this.#o
    const ended = new AbortController()
    const cutOff = async (): Promise<void> => {
      await clock.sleep(ms, ended.signal)
      while (!ended.signal.aborted && !allowed()) await clock.sleep(LOOK, ended.signal)
      if (!ended.signal.aborted) run.stop()
    }
    const [end] = await Promise.all([run.done.finally(() => ended.abort()), cutOff()])
    return end
  }

  async #rollBack(node: NodeRecord): Promise<void> {
    const { host } = node
    const before = this.#record(host)
    this.#set(host, 'rolling_back')
    const taken = before.status === 'rolling_back' ? this.#adopt(before) : undefined
    const ended = await this.#watched(taken ?? this.#start(host, this.#o.window.rollback!))
    if (ended.status !== 'done') return this.#fail(host, `it could not be rolled back: ${ended.detail}`)
    this.#set(host, 'rolled_back', {
      ended_at: this.#o.clock.now(),
      detail: 'the window was over before anything was changed',
    })
    this.#o.say(
      'rolled_back',
      `${host}: the window is over; nothing was changed on it yet, and it takes work again`,
      host,
    )
  }

  async #finish(node: NodeRecord, run: NodeRun, tell = node.status !== 'finishing'): Promise<void> {
    const { clock, occurrence, window, say } = this.#o
    const { host } = node
    this.#set(host, 'finishing')
    if (tell) say('overrun', `${host}: the window is over; it is being finished`, host)
    const end = new AbortController()
    const limit = sleepUntil(clock, occurrence.ends + window.overrun, end.signal).then(() => undefined)
    const ended = await Promise.race([this.#watched(run), limit])
    end.abort()
    if (ended) return this.#conclude(host, ended)
    run.stop()
    const last = await this.#within(STOP_GRACE, run)
    if (last.status === 'done') return this.#conclude(host, last)
    this.#fail(
      host,
      `not finished ${span(window.overrun)} after the end of the window: it needs a person (${last.detail})`,
    )
  }

  /** Its end; when the daemon is told to hurry, it is stopped, once. */
  #watched(run: NodeRun): Promise<NodeEnd> {
    const { hurry } = this.#o
    const stop = (): void => run.stop()
    const watched = this.#watching.get(run) ?? run.done.finally(() => hurry.removeEventListener('abort', stop))
    if (this.#watching.has(run)) return watched
    this.#watching.set(run, watched)
    if (hurry.aborted) stop()
    hurry.addEventListener('abort', stop)
    return watched
  }

  #conclude(host: string, { status, detail }: NodeEnd): void {
    const { clock, say } = this.#o
    if (status !== 'done') {
      this.#fail(host, detail)
      return
    }
    const { started_at } = this.#record(host)
    const now = clock.now()
    this.#set(host, 'done', { ended_at: now, detail })
    say('node_done', `${host}: done in ${span(now - (started_at ?? now))}`, host)
  }

  #fail(host: string, detail: string): void {
    this.#set(host, 'failed', { ended_at: this.#o.clock.now(), detail })
    const { next } = this.#record(host)
    this.#o.say('node_failed', `${host}: ${detail}${next && `; go on: ${next}`}`, host)
  }

  /** What is under way on it, or the same once more: nobody knows how far it came, and the playbook finds out. */
  #again(node: NodeRecord): NodeRun {
    return this.#adopt(node) ?? this.#start(node.host, this.#o.window.playbook)
  }

  #adopt(node: NodeRecord): NodeRun | undefined {
    return this.#o.nodes.adopt(node, (phase) => this.#o.state.node(node.occurrence, node.host, { phase }))
  }

  #start(host: string, playbook: string): NodeRun {
    const { clock, occurrence, nodes, state, window, say } = this.#o
    const before = this.#record(host)
    const attempt = before.attempt + 1
    const status: NodeStatus = before.status === 'waiting' ? 'running' : before.status
    // Written down before it begins: a daemon that dies in between looks at the node, and does not take it for untouched.
    this.#set(host, status, { attempt, started_at: before.started_at ?? clock.now(), process: null })
    const run = nodes.start(host, playbook, attempt, (phase) => state.node(occurrence.id, host, { phase }))
    this.#set(host, status, { process: run.process, next: run.command })
    if (playbook === window.playbook && attempt === 1) say('node_started', `${host}: started`, host)
    return run
  }

  #close(): OccurrenceStatus {
    const { state, occurrence, clock, say, window } = this.#o
    const nodes = this.#nodes()
    const count = (status: NodeStatus): number => nodes.filter((node) => node.status === status).length
    const [done, failed, back, out] = [count('done'), count('failed'), count('rolled_back'), count('left_out')]
    const status: OccurrenceStatus = failed > 0 ? 'failed' : back + out > 0 ? 'cut' : 'done'
    const parts = [
      `${done} of ${nodes.length} nodes done`,
      failed > 0 && `${failed} failed`,
      back > 0 && `${back} rolled back`,
      out > 0 && `${out} left for the next time (${nodes.find((node) => node.status === 'left_out')!.detail})`,
    ]
    const text = parts.filter(Boolean).join(', ')
    state.close(occurrence.id, status, text, clock.now())
    say('closed', `${window.name}: ${text}`)
    return status
  }

  #nodes(): readonly NodeRecord[] {
    return this.#o.state.nodes(this.#o.occurrence.id)
  }

  #record(host: string): NodeRecord {
    return this.#nodes().find((node) => node.host === host)!
  }

  #set(host: string, status: NodeStatus, more: Partial<NodeRecord> = {}): void {
    this.#o.state.node(this.#o.occurrence.id, host, { ...more, status })
  }
}
