/** Two real processes that race for the locks of nodes. */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { Order, Said } from './runner.ts'

/** A process of its own that takes and gives back locks. */
export class Runner {
  readonly child: ChildProcess
  readonly said: Said[] = []
  #wake: () => void = () => {}

  /** `place`: a kubeconfig or a folder. */
  constructor(place: string) {
    this.child = fork(join(import.meta.dirname, 'runner.ts'), [place])
    this.child.on('message', (said: Said) => {
      this.said.push(said)
      this.#wake()
    })
    this.child.on('exit', () => this.#wake())
  }

  /** One that is ready for orders. */
  static async start(place: string): Promise<Runner> {
    const runner = new Runner(place)
    await runner.hears(({ type }) => type === 'ready')
    return runner
  }

  order(order: Order): void {
    this.child.send(order)
  }

  /** Waits for a message; undefined when the process has ended. */
  async hears(test: (said: Said) => boolean, from = 0): Promise<Said | undefined> {
    for (;;) {
      const found = this.said.slice(from).find(test)
      if (found || this.child.exitCode !== null || this.child.signalCode !== null) return found
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

/** How long a lock was held, in nanoseconds of CLOCK_MONOTONIC. */
export interface Span {
  readonly node: string
  readonly token: number
  readonly from: bigint
  readonly to: bigint
}

/** Of a killed or failed one only the moment in which it came in is certain. */
export function spansOf(said: readonly Said[]): Span[] {
  return said.flatMap((one) => {
    if (one.type !== 'in') return []
    const out = said.find((other) => other.type === 'out' && other.token === one.token)
    const from = BigInt(one.at)
    return [{ node: one.node, token: one.token, from, to: out?.type === 'out' ? BigInt(out.at) : from }]
  })
}

/** Locks at the same time, at most. */
export function mostTogether(spans: readonly Span[]): number {
  return Math.max(0, ...spans.map(({ from }) => spans.filter((one) => one.from <= from && from <= one.to).length))
}
