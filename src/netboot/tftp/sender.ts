/**
 * Sends files over sockets that are connected to one client each, and reads and writes these by their descriptors: no
 * route to look up, no object for each packet. Under load it does not wait to be told of acknowledgements: those of
 * the blocks it sent first are there when it has sent the last, so it looks (as network drivers do under load).
 */
import { writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Content } from './content.ts'
import { OpenFiles } from './open-files.ts'
import type { Terms } from './options.ts'
import { ERROR, encodeError, OPCODE, readError } from './packet.ts'
import { type Connected, openConnected, readNow } from './socket.ts'
import { Transfer } from './transfer.ts'

/** A transfer that goes on here. Plain data: it crosses threads. */
export interface Handover {
  /** Names the transfer; never used again. */
  readonly id: number
  readonly local: { readonly address: string; readonly port: number }
  readonly client: { readonly address: string; readonly port: number }
  /** Open in this process until the sender has said something of this transfer. */
  readonly file: { readonly fd: number; readonly id: string; readonly size: number }
  readonly terms: Terms
  /** The next block, counted from 1 without rollover; nothing is in flight. */
  readonly block: number
}

export type Said =
  /** It cannot be sent here; nothing was sent. */
  | { readonly what: 'declined'; readonly id: number }
  | { readonly what: 'progress'; readonly acknowledged: readonly (readonly [id: number, bytes: number])[] }
  | {
      readonly what: 'ended'
      readonly id: number
      readonly outcome: 'done' | 'stopped' | 'failed'
      /** Acknowledged. */
      readonly bytes: number
      readonly reason?: string
    }

interface Lane extends Connected {
  readonly id: number
  readonly transfer: Transfer
}

type Block = readonly [lane: Lane, bytes: Buffer, offset: number, length: number]

/** Milliseconds between looks at the clock, and how many of them are between two words on progress. */
const TICK = 100
const TICKS_PER_PROGRESS = 5
/** Clients written to in one go from which on it looks for the answers of the first of them. */
const MANY = 8
/** Looks that find nothing (each throws, which costs as much as a packet) before it waits to be told again. */
const MOST_MISSES = 4
/** Rounds of sending and looking before everything else has its turn: some milliseconds. */
const MOST_ROUNDS = 16
/** Acknowledgements are 4 bytes; an error's text may be longer and is cut. */
const message = Buffer.alloc(512)

export class Sender {
  readonly #files: OpenFiles
  readonly #say: (said: Said) => void
  readonly #lanes = new Map<number, Lane>()
  /** Those that were stopped while their socket was being opened. */
  readonly #opening = new Map<number, { stopped: boolean }>()
  #due: Block[] = []
  #armed = false
  #ticking: NodeJS.Timeout | undefined
  #ticks = 0
  /** Acknowledgements that were looked for and found, and those that Node told of. */
  readonly counters = { found: 0, told: 0 }

  /** `cache`: bytes of file chunks kept in memory. */
  constructor({ cache, say }: { cache: number; say: (said: Said) => void }) {
    this.#files = new OpenFiles(cache)
    this.#say = say
  }

  /** Goes on with a transfer, and says when it has ended or that it was declined. */
  async take(handover: Handover): Promise<void> {
    const { id, local, client, terms, block } = handover
    const opening = { stopped: false }
    this.#opening.set(id, opening)
    let content: Content | undefined
    let connected: Connected
    try {
      content = await this.#open(handover.file)
      connected = await openConnected(local, client)
    } catch {
      content?.release()
      this.#say({ what: 'declined', id })
      return
    } finally {
      this.#opening.delete(id)
    }
    const transfer = new Transfer(
      content,
      terms,
      (bytes, offset, length) => this.#queue([lane, bytes, offset, length]),
      (error) => {
        const told = encodeError(ERROR.other, 'cannot read the file')
        this.#write(lane, told, 0, told.length)
        this.#end(lane, 'failed', error.message)
      },
      block,
    )
    const lane: Lane = { id, ...connected, transfer }
    lane.socket.on('error', (error) => this.#broken(lane, error))
    lane.socket.on('message', (bytes, { address, port }) => {
      if (address !== client.address || port !== client.port) return
      this.counters.told++
      this.#received(lane, bytes, bytes.length, performance.now())
    })
    this.#lanes.set(id, lane)
    this.#ticking ??= setInterval(() => this.#tick(), TICK)
    if (opening.stopped) this.#end(lane, 'stopped')
    else transfer.start(performance.now())
  }

  /** The same file opened once more: it is ours to close, whatever becomes of the other's. */
  async #open({ fd, id, size }: Handover['file']): Promise<Content> {
    return this.#files.use({ handle: await open(`/proc/self/fd/${fd}`), id, size })
  }

  /** Ends a transfer where it is, and says so. */
  stop(id: number): void {
    const opening = this.#opening.get(id)
    if (opening) opening.stopped = true
    const lane = this.#lanes.get(id)
    if (lane) this.#end(lane, 'stopped')
  }

  #received(lane: Lane, bytes: Buffer, length: number, now: number): void {
    const { transfer } = lane
    if (transfer.done || length < 4) return
    if (bytes[1] === OPCODE.ack) {
      transfer.acknowledge((bytes[2]! << 8) | bytes[3]!, now)
      if (transfer.done) this.#end(lane, 'done')
    } else if (bytes[1] === OPCODE.error) this.#end(lane, 'stopped', readError(bytes.subarray(0, length)))
  }

  #queue(block: Block): void {
    this.#due.push(block)
    if (this.#armed) return
    this.#armed = true
    setImmediate(() => this.#flush())
  }

  /** Sends what is due, all at once: a client, woken by the first packet, then finds its others there. */
  #flush(): void {
    let awaited: Lane[] = []
    for (let round = 0; round < MOST_ROUNDS && this.#due.length > 0; round++) {
      const blocks = this.#due
      this.#due = []
      for (const [lane, bytes, offset, length] of blocks) {
        this.#write(lane, bytes, offset, length)
        if (awaited.at(-1) !== lane) awaited.push(lane)
      }
      if (awaited.length < MANY) break
      awaited = this.#look(awaited)
    }
    this.#armed = this.#due.length > 0
    if (this.#armed) setImmediate(() => this.#flush())
  }

  /** Hears those whose answer is there, those that were written to first before the others; returns the rest. */
  #look(lanes: readonly Lane[]): Lane[] {
    const { stackTraceLimit } = Error
    // Nobody reads where "nothing is there yet" came from.
    Error.stackTraceLimit = 0
    const now = performance.now()
    const missed: Lane[] = []
    let i = 0
    for (; i < lanes.length && missed.length < MOST_MISSES; i++) {
      const lane = lanes[i]!
      if (lane.transfer.done) continue
      try {
        const length = readNow(lane.fd, message)
        if (length < 0) missed.push(lane)
        else {
          this.counters.found++
          this.#received(lane, message, length, now)
        }
      } catch (error) {
        this.#broken(lane, error as NodeJS.ErrnoException)
      }
    }
    Error.stackTraceLimit = stackTraceLimit
    return [...lanes.slice(i), ...missed]
  }

  #write(lane: Lane, bytes: Buffer, offset: number, length: number): void {
    // Its descriptor may be another file's by now.
    if (lane.transfer.done) return
    try {
      writeSync(lane.fd, bytes, offset, length)
    } catch (error) {
      this.#broken(lane, error as NodeJS.ErrnoException)
    }
  }

  /** A full buffer, an interface that went away: what was lost is sent again. */
  #broken(lane: Lane, { code }: NodeJS.ErrnoException): void {
    if (code === 'ECONNREFUSED') this.#end(lane, 'failed', 'the client does not listen any more')
  }

  #tick(): void {
    const now = performance.now()
    for (const lane of this.#lanes.values()) {
      if (!lane.transfer.tick(now)) this.#end(lane, 'failed', 'the client does not answer')
    }
    if (++this.#ticks % TICKS_PER_PROGRESS === 0) {
      const acknowledged = [...this.#lanes.values()].map(({ id, transfer }) => [id, transfer.acknowledged] as const)
      this.#say({ what: 'progress', acknowledged })
    }
    if (this.#lanes.size > 0) return
    clearInterval(this.#ticking)
    this.#ticking = undefined
  }

  #end(lane: Lane, outcome: 'done' | 'stopped' | 'failed', reason?: string): void {
    if (!this.#lanes.delete(lane.id)) return
    const { id, socket, transfer } = lane
    transfer.done = true
    // From here on the descriptor may be another file's: nothing is read or written of a transfer that is done.
    socket.close()
    transfer.content.release()
    this.#say({ what: 'ended', id, outcome, bytes: transfer.acknowledged, ...(reason !== undefined && { reason }) })
  }

  /** Ends all. */
  close(): void {
    for (const opening of this.#opening.values()) opening.stopped = true
    for (const lane of [...this.#lanes.values()]) this.#end(lane, 'stopped')
    clearInterval(this.#ticking)
  }
}
