/** The threads that long transfers go on in, so that a storm of them holds up neither DHCP nor HTTP. */
import { Worker } from 'node:worker_threads'
import { THREAD } from '../tftp-thread.ts'
import type { Handover, Said } from './sender.ts'
import type { Order } from './sender-thread.ts'

/** What becomes of a transfer that was handed over; `declined` and `ended` are the last that is said of it. */
export interface Listener {
  declined(): void
  /** Bytes acknowledged. */
  progress(bytes: number): void
  ended(outcome: 'done' | 'stopped' | 'failed', bytes: number, reason?: string): void
}

interface Thread {
  readonly worker: Worker
  /** By the transfer's id. */
  readonly transfers: Map<number, Listener>
  ready: boolean
}

/** Each transfer in a thread has a socket; those beyond stay where they are, on sockets that are shared. */
const MOST_IN_THREAD = 256
/**
 * Transfers in lock-step fill one thread before the next: each asks for a packet at a time, and a thread gets through
 * more of them the more it finds at once, where two would wake each other's clients one by one. Windows keep any
 * number of threads busy, so they go to the idlest.
 */
const LOCKSTEP_IN_THREAD = 64
/** Milliseconds for a thread to end by itself. */
const GRACE = 2000

export class Senders {
  readonly #most: number
  readonly #cache: number
  readonly #threads: Thread[] = []
  #started = false
  #closed = false
  #id = 0

  /** `threads`: how many; they start when the first is asked for. `cache`: bytes of file chunks that each keeps. */
  constructor({ threads, cache }: { threads: number; cache: number }) {
    this.#most = threads
    this.#cache = cache
  }

  /** Hands a transfer over. What it is called from now on, or undefined when no thread can have it now. */
  take(handover: Omit<Handover, 'id'>, listener: Listener): number | undefined {
    if (!this.#started) this.#start()
    const thread = this.#choose(handover.terms.windowSize)
    if (thread === undefined) return undefined
    const id = ++this.#id
    thread.transfers.set(id, listener)
    order(thread, { what: 'take', handover: { ...handover, id } })
    return id
  }

  /** Ends a transfer; its listener is still told when it has ended. */
  stop(id: number): void {
    const thread = this.#threads.find(({ transfers }) => transfers.has(id))
    if (thread) order(thread, { what: 'stop', id })
  }

  /** Threads that transfers can go to, and how many transfers each has. */
  get loads(): readonly number[] {
    return this.#threads.filter(({ ready }) => ready).map(({ transfers }) => transfers.size)
  }

  #choose(windowSize: number): Thread | undefined {
    const free = this.#threads.filter(({ ready, transfers }) => ready && transfers.size < MOST_IN_THREAD)
    const begun = free.find(({ transfers }) => transfers.size < LOCKSTEP_IN_THREAD)
    if (windowSize === 1 && begun) return begun
    return free.toSorted((a, b) => a.transfers.size - b.transfers.size)[0]
  }

  #start(): void {
    this.#started = true
    for (let i = 0; i < this.#most; i++) {
      const worker = new Worker(THREAD, { workerData: { cache: this.#cache }, name: 'tftp', execArgv: [] })
      const thread: Thread = { worker, transfers: new Map(), ready: false }
      this.#threads.push(thread)
      worker.once('online', () => {
        thread.ready = !this.#closed
      })
      worker.on('message', (said: Said) => hear(thread, said))
      let why = 'it ended'
      worker.once('error', (error) => {
        why = error.message
      })
      worker.once('exit', () => this.#gone(thread, why))
    }
  }

  /** A thread that died is not started again: what killed it may kill the next, and without it all goes on as before. */
  #gone(thread: Thread, why: string): void {
    thread.ready = false
    this.#threads.splice(this.#threads.indexOf(thread), 1)
    for (const listener of thread.transfers.values()) {
      listener.ended('failed', 0, this.#closed ? 'the server stops' : `the thread that sent it is gone: ${why}`)
    }
    thread.transfers.clear()
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(
      [...this.#threads].map(async (thread) => {
        thread.ready = false
        const ended = new Promise((done) => thread.worker.once('exit', done))
        order(thread, { what: 'close' })
        const late = setTimeout(() => void thread.worker.terminate(), GRACE)
        await ended
        clearTimeout(late)
      }),
    )
  }
}

function order(thread: Thread, message: Order): void {
  thread.worker.postMessage(message)
}

function hear({ transfers }: Thread, said: Said): void {
  if (said.what === 'progress') {
    for (const [id, bytes] of said.acknowledged) transfers.get(id)?.progress(bytes)
    return
  }
  const listener = transfers.get(said.id)
  transfers.delete(said.id)
  if (said.what === 'declined') listener?.declined()
  else listener?.ended(said.outcome, said.bytes, said.reason)
}
