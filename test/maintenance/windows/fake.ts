/** A clock that a test turns, and nodes that take as long as a test says. */
import { basename } from 'node:path'
import type { Clock } from '../../../src/maintenance/windows/clock.ts'
import type { NodeEnd } from '../../../src/maintenance/windows/node-end.ts'
import type { NodeRun } from '../../../src/maintenance/windows/node-run.ts'
import type { NodeStarter } from '../../../src/maintenance/windows/window-run.ts'

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** Time passes only when everybody sleeps. */
export class FakeClock implements Clock {
  /** Milliseconds since the epoch; what the wall clock shows. */
  wall: number
  /** How long it has run: sleeps are counted by this, as real timers are, however the wall clock is set. */
  #ran = 0
  #sleepers: Sleeper[] = []

  constructor(start: string) {
    this.wall = Date.parse(start)
  }

  now(): number {
    return this.wall
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const sleeper: Sleeper = {
        at: this.#ran + Math.max(0, ms),
        wake: () => {
          this.#sleepers = this.#sleepers.filter((one) => one !== sleeper)
          signal?.removeEventListener('abort', sleeper.wake)
          resolve()
        },
      }
      signal?.addEventListener('abort', sleeper.wake)
      this.#sleepers.push(sleeper)
    })
  }

  /** Lets time pass until the wall clock shows this, or `stop` says so. */
  async runUntil(text: string, stop: () => boolean = () => false): Promise<void> {
    const end = Date.parse(text)
    for (;;) {
      // Whatever is ready runs first, to its next sleep.
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
      if (stop()) return
      const next = this.#sleepers.reduce<Sleeper | undefined>(
        (a, b) => (a === undefined || b.at < a.at ? b : a),
        undefined,
      )
      const step = Math.min(next === undefined ? Infinity : next.at - this.#ran, end - this.wall)
      if (step > 0) {
        this.wall += step
        this.#ran += step
      }
      if (this.wall >= end) return
      next?.wake()
    }
  }
}

export interface FakeNode {
  /** Milliseconds until it is through. */
  readonly takes: number
  /** Milliseconds after which something is changed; default: at its end. */
  readonly touchesAfter?: number
  /** Milliseconds after which a command is under way, and after which it has ended without a change. */
  readonly unsureAfter?: number
  readonly sureAfter?: number
  readonly ends?: NodeEnd
  /** Milliseconds that the step takes to end at which it is when it is stopped. */
  readonly stopsIn?: number
}

export interface Started {
  readonly host: string
  readonly playbook: string
  readonly at: number
  endedAt?: number
}

/** Starts nodes that do nothing but take time; `plan` says how each behaves. */
export class FakeNodes implements NodeStarter {
  readonly started: Started[] = []
  readonly #clock: Clock
  readonly #plan: (host: string, playbook: string, attempt: number) => FakeNode

  constructor(clock: Clock, plan: (host: string, playbook: string, attempt: number) => FakeNode) {
    this.#clock = clock
    this.#plan = plan
  }

  /** What is said of nodes whose runs are gone. */
  leftTouched = true

  /** How many are under way. */
  get active(): number {
    return this.started.filter(({ endedAt }) => endedAt === undefined).length
  }

  start(host: string, playbook: string, attempt: number): NodeRun {
    const clock = this.#clock
    const begun = clock.now()
    const entry: Started = { host, playbook, at: begun }
    this.started.push(entry)
    const {
      takes,
      touchesAfter = takes,
      unsureAfter = Infinity,
      sureAfter = Infinity,
      ends,
      stopsIn = 0,
    } = this.#plan(host, playbook, attempt)
    const stopped = new AbortController()
    let wasStopped = false
    const done = (async (): Promise<NodeEnd> => {
      await clock.sleep(takes, stopped.signal)
      if (wasStopped) await clock.sleep(stopsIn)
      entry.endedAt = clock.now()
      if (wasStopped) return { status: 'interrupted', detail: 'it was stopped' }
      return ends ?? { status: 'done', detail: '1 changed' }
    })()
    return {
      process: `["fake",${this.started.length},null]`,
      done,
      command: `runbook apply ${basename(playbook)} --limit ${host}`,
      touch() {
        const after = clock.now() - begun
        if (after >= touchesAfter) return 'touched'
        return after >= unsureAfter && after < sureAfter ? 'unsure' : 'untouched'
      },
      stop() {
        wasStopped = true
        stopped.abort()
      },
    }
  }

  adopt(): undefined {
    return undefined
  }

  touched(): boolean {
    return this.leftTouched
  }
}
