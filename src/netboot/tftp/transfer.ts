/**
 * One file on its way to one client: the sender's side of RFC 1350 with the windows of RFC 7440. It knows no socket
 * and no clock: messages come in as block numbers, go out through `send`, and time is what it is told.
 */
import { blocksPerChunk, type Content, countBlocks, HEADER } from './content.ts'
import type { Terms } from './options.ts'
import { encodeOptions } from './packet.ts'

/** Sends `length` bytes of `bytes` from `offset` on, which must not change afterwards. */
export type Send = (bytes: Buffer, offset: number, length: number) => void

/** Milliseconds until the first retransmission; it doubles each time, up to the most. */
const FIRST_TIMEOUT = 1000
const MOST_TIMEOUT = 8000
/** Retransmissions of one window before the client counts as gone: half a minute with the times above. */
const RETRIES = 6

export class Transfer {
  readonly content: Content
  readonly terms: Terms
  readonly #send: Send
  readonly #failed: (error: Error) => void
  readonly #blockSize: number
  readonly #windowSize: number
  readonly #timeout: number
  readonly #oack: Buffer | undefined
  readonly #blocks: number
  readonly #perChunk: number
  /** The first block that is not acknowledged, counted from 1 without rollover; 0 while the options are not. */
  #base: number
  /** The last block that was sent. */
  #sent = 0
  #chunk: Buffer | undefined
  #chunkIndex = -1
  /** The chunk that is being read; its window goes on when it is there. */
  #awaited = -1
  #retries = 0
  /** Whether this window was sent again because its predecessor's acknowledgement came twice. */
  #repeated = false
  #touched = true
  #deadline = 0
  done = false

  /** `first`: the block to go on with, where another thread began. */
  constructor(content: Content, terms: Terms, send: Send, failed: (error: Error) => void, first?: number) {
    this.content = content
    this.terms = terms
    this.#send = send
    this.#failed = failed
    this.#blockSize = terms.blockSize
    this.#windowSize = terms.windowSize
    this.#timeout = terms.timeout === undefined ? FIRST_TIMEOUT : terms.timeout * 1000
    this.#blocks = countBlocks(content.size, terms.blockSize)
    this.#perChunk = blocksPerChunk(terms.blockSize)
    this.#oack = terms.accepted.length > 0 ? encodeOptions(terms.accepted) : undefined
    this.#base = first ?? (this.#oack ? 0 : 1)
    this.#sent = Math.max(0, this.#base - 1)
  }

  /** Bytes that the client has acknowledged. */
  get acknowledged(): number {
    return Math.min(Math.max(0, this.#base - 1) * this.#blockSize, this.content.size)
  }

  /** Whether the client has acknowledged anything yet. */
  get begun(): boolean {
    return this.#base > (this.#oack ? 0 : 1)
  }

  /**
   * The block that comes next, should the client acknowledge `block` and with it all that was sent: so with nothing in
   * flight and none of the file on its way here, somebody else can go on. Otherwise undefined.
   */
  settledBy(block: number): number | undefined {
    const isLast = this.#base > 0 && this.#sent >= this.#base && block === (this.#sent & 0xffff)
    return isLast && this.#awaited === -1 && this.#sent < this.#blocks ? this.#sent + 1 : undefined
  }

  /** Sends the option acknowledgement or the first window. `now` in milliseconds of any clock that does not jump. */
  start(now: number): void {
    this.#deadline = now + this.#timeout
    this.#sendWindow()
  }

  /** The client acknowledges `block` (16 bits). */
  acknowledge(block: number, now: number): void {
    if (this.#base === 0) {
      if (block !== 0) return
      this.#advance(1, now)
      return
    }
    const ahead = (block - (this.#base - 1)) & 0xffff
    if (ahead === 0) this.#again()
    else if (ahead <= this.#sent - this.#base + 1) this.#advance(this.#base + ahead, now)
  }

  #advance(base: number, now: number): void {
    this.#base = base
    this.#retries = 0
    this.#repeated = false
    this.#touched = true
    this.#deadline = now + this.#timeout
    if (base > this.#blocks) this.done = true
    else this.#sendWindow()
  }

  /**
   * An acknowledgement that came before says, with windows, that the first block of this one was lost: it is sent
   * again, once, as a client may say so for each block that follows. In lock-step it must be ignored, or every block
   * goes out twice from then on (RFC 1123 section 4.2.3.1, the Sorcerer's Apprentice).
   */
  #again(): void {
    if (this.#windowSize === 1 || this.#repeated || this.#sent < this.#base) return
    this.#repeated = true
    this.#sendWindow()
  }

  /** Looks at the clock, a few times a second. False when the client is gone. */
  tick(now: number): boolean {
    // A transfer that waits keeps no chunk of its own alive: ten thousand of them would.
    if (!this.#touched) this.#dropChunk()
    this.#touched = false
    if (now < this.#deadline) return true
    if (this.#awaited !== -1) return true
    if (this.#retries >= RETRIES) return false
    this.#retries++
    this.#repeated = false
    this.#deadline = now + Math.max(this.#timeout, Math.min(this.#timeout * 2 ** this.#retries, MOST_TIMEOUT))
    this.#sendWindow()
    return true
  }

  #dropChunk(): void {
    this.#chunk = undefined
    this.#chunkIndex = -1
  }

  #sendWindow(): void {
    if (this.#base === 0) {
      this.#send(this.#oack!, 0, this.#oack!.length)
      return
    }
    this.#sendFrom(this.#base)
  }

  #sendFrom(first: number): void {
    const last = Math.min(this.#base + this.#windowSize - 1, this.#blocks)
    for (let block = first; block <= last; block++) {
      const index = Math.floor((block - 1) / this.#perChunk)
      const chunk = index === this.#chunkIndex ? this.#chunk : this.#turnTo(index, block)
      if (chunk === undefined) return
      const offset = (block - 1 - index * this.#perChunk) * (this.#blockSize + HEADER)
      this.#send(chunk, offset, Math.min(this.#blockSize + HEADER, chunk.length - offset))
      if (block > this.#sent) this.#sent = block
    }
  }

  /** The chunk `index`, or undefined while it is read; the window then goes on with `block`. */
  #turnTo(index: number, block: number): Buffer | undefined {
    if (this.#awaited === index) return undefined
    const got = this.content.chunk(this.#blockSize, index)
    if (!(got instanceof Promise)) {
      this.#chunk = got
      this.#chunkIndex = index
      this.#readAhead(index + 1)
      return got
    }
    this.#awaited = index
    got.then(
      (chunk) => {
        if (this.#awaited === index) this.#awaited = -1
        if (this.done) return
        this.#chunk = chunk
        this.#chunkIndex = index
        this.#touched = true
        this.#readAhead(index + 1)
        // Acknowledgements that came meanwhile may have moved the window, but not past what was not sent.
        this.#sendFrom(Math.max(block, this.#base))
      },
      (error: Error) => this.#failed(error),
    )
    return undefined
  }

  /** Has the next chunk read while this one is sent, so that no window waits for the disk. */
  #readAhead(index: number): void {
    if (index * this.#perChunk < this.#blocks) this.content.readAhead(this.#blockSize, index)
  }
}
