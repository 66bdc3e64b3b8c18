import { Readable, Writable } from 'node:stream'
import type { Channel } from './channel.ts'
import { type PacketReader, string, uint32, WireError } from './wire.ts'

/** Messages of SSH's connection protocol about channels (RFC 4254 section 9). */
export const MESSAGE = {
  open: 90,
  openConfirmation: 91,
  openFailure: 92,
  windowAdjust: 93,
  data: 94,
  extendedData: 95,
  eof: 96,
  close: 97,
  request: 98,
  success: 99,
  failure: 100,
} as const

/** SSH_EXTENDED_DATA_STDERR (RFC 4254 section 5.2). */
const STDERR = 1

/** Bytes that the host may send beyond those that were read, and in one message: as OpenSSH's client (channels.h). */
const WINDOW = 64 * 32 * 1024
const LONGEST_DATA = 32 * 1024

/** A window is never larger (RFC 4254 section 5.2). */
const LARGEST_WINDOW = 2 ** 32 - 1

/** What carries the messages of a channel. */
export interface Carrier {
  /** Sends a message of a type; the first part behind it is the recipient's number. */
  send(type: number, ...parts: readonly Buffer[]): void
  /** Calls back when more may be sent without it piling up here. */
  whenWritable(go: () => void): void
  /** The channel is at its end on both sides. */
  forget(channel: SessionChannel): void
}

/** The host refused to open a channel. */
export class ChannelRefused extends Error {
  override readonly name = 'ChannelRefused'
  /** RFC 4254 section 5.1. */
  readonly reason: number

  constructor(reason: number, description: string) {
    super(description)
    this.reason = reason
  }
}

interface Peer {
  readonly id: number
  /** Bytes that it takes in one message. */
  readonly longest: number
  /** Bytes that it takes now. */
  window: number
}

/** A command on the host, as a channel of SSH's connection protocol (RFC 4254 section 6). */
export class SessionChannel implements Channel {
  readonly id: number
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  readonly exit: Promise<number | null>
  /** Settles when the host has opened the channel and the command is on its way; rejects with ChannelRefused. */
  readonly opened: Promise<void>
  readonly #carrier: Carrier
  readonly #command: string
  readonly #exit = Promise.withResolvers<number | null>()
  readonly #opened = Promise.withResolvers<void>()
  #peer: Peer | undefined
  /** Bytes that the host may still send. */
  #room = WINDOW
  /** What waits for the host to have room. */
  #writing: { rest: Buffer; done: (error?: Error | null) => void } | undefined
  #isEofReceived = false
  #isClosed = false

  constructor(id: number, command: string, carrier: Carrier) {
    this.id = id
    this.#command = command
    this.#carrier = carrier
    this.exit = this.#exit.promise
    this.opened = this.#opened.promise
    this.opened.catch(() => {})
    this.stdout = this.#output()
    this.stderr = this.#output()
    this.stdin = new Writable({
      write: (chunk: Buffer, _, done) => {
        this.#writing = { rest: chunk, done }
        this.#write()
      },
      final: (done) => {
        this.#send(MESSAGE.eof)
        done()
      },
    })
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream.on('error', () => {})
    carrier.send(MESSAGE.open, string('session'), uint32(id), uint32(WINDOW), uint32(LONGEST_DATA))
  }

  /** Whether the host has yet to say if it opens the channel. */
  get isOpening(): boolean {
    return this.#peer === undefined
  }

  /** A message to this channel, behind its number. Throws a WireError when it is not one. */
  receive(type: number, message: PacketReader): void {
    if (this.isOpening !== (type === MESSAGE.openConfirmation || type === MESSAGE.openFailure))
      throw new WireError(`a message of type ${type} at the wrong time`)
    switch (type) {
      case MESSAGE.openConfirmation:
        this.#confirmed({ id: message.uint32(), window: message.uint32(), longest: message.uint32() })
        break
      case MESSAGE.openFailure:
        this.#opened.reject(new ChannelRefused(message.uint32(), message.string().toString()))
        this.end()
        break
      case MESSAGE.windowAdjust:
        this.#peer!.window += message.uint32()
        if (this.#peer!.window > LARGEST_WINDOW) throw new WireError('a window beyond all bounds')
        this.#write()
        break
      case MESSAGE.data:
        this.#data(this.stdout, message.string())
        break
      case MESSAGE.extendedData:
        this.#data(message.uint32() === STDERR ? this.stderr : undefined, message.string())
        break
      case MESSAGE.eof:
        this.#eof()
        break
      case MESSAGE.close:
        this.#send(MESSAGE.close)
        this.end()
        break
      case MESSAGE.request:
        this.#request(message)
        break
      case MESSAGE.success:
        break
      case MESSAGE.failure:
        // It was our only request: the host does not run the command.
        this.close()
        break
      default:
        throw new WireError(`a message of type ${type}`)
    }
  }

  /** Gives the channel up at once. */
  close(): void {
    if (this.#peer) this.#send(MESSAGE.close)
    this.#isClosed = true
    this.#exit.resolve(null)
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream.destroy()
  }

  /** The channel is no more: the host has closed it, or what carried it is gone. What came before may still be read. */
  end(): void {
    this.#isClosed = true
    this.#opened.reject(new Error('the channel has ended'))
    this.#exit.resolve(null)
    this.#eof()
    this.stdin.destroy()
    this.#carrier.forget(this)
  }

  #confirmed(peer: Peer): void {
    if (peer.longest === 0) throw new WireError('a channel that takes no data')
    this.#peer = peer
    if (this.#isClosed) {
      this.#opened.reject(new Error('the channel was given up'))
      this.#carrier.send(MESSAGE.close, uint32(peer.id))
      return
    }
    this.#send(MESSAGE.request, string('exec'), Buffer.from([1]), string(this.#command))
    this.#opened.resolve()
  }

  #send(type: number, ...parts: readonly Buffer[]): void {
    if (!this.#isClosed) this.#carrier.send(type, uint32(this.#peer!.id), ...parts)
  }

  #output(): Readable {
    // Asked for more, a stream still counts what is just being taken from it.
    return new Readable({ read: () => queueMicrotask(() => this.#makeRoom()) })
  }

  #data(stream: Readable | undefined, data: Buffer): void {
    if (data.length > this.#room) throw new WireError('more data than there is room for')
    this.#room -= data.length
    if (!this.#isEofReceived) stream?.push(data)
    this.#makeRoom()
  }

  /** Lets the host send again what was read, as soon as that doubles its room. */
  #makeRoom(): void {
    if (this.#isClosed || this.#isEofReceived) return
    const unread = [this.stdout, this.stderr].reduce((sum, one) => sum + (one.destroyed ? 0 : one.readableLength), 0)
    const free = WINDOW - unread - this.#room
    if (free <= 0 || free < this.#room) return
    this.#room += free
    this.#send(MESSAGE.windowAdjust, uint32(free))
  }

  #eof(): void {
    if (this.#isEofReceived) return
    this.#isEofReceived = true
    this.stdout.push(null)
    this.stderr.push(null)
  }

  #write(): void {
    const peer = this.#peer!
    const writing = this.#writing
    if (!writing || this.#isClosed) return
    while (writing.rest.length > 0 && peer.window > 0) {
      const piece = writing.rest.subarray(0, Math.min(peer.window, peer.longest, LONGEST_DATA))
      writing.rest = writing.rest.subarray(piece.length)
      peer.window -= piece.length
      this.#send(MESSAGE.data, uint32(piece.length), piece)
    }
    if (writing.rest.length > 0) return
    this.#writing = undefined
    this.#carrier.whenWritable(writing.done)
  }

  #request(message: PacketReader): void {
    const kind = message.string().toString()
    const wantsReply = message.boolean()
    if (kind === 'exit-status') this.#exit.resolve(message.uint32())
    else if (kind === 'exit-signal') this.#exit.resolve(null)
    else if (wantsReply) this.#send(MESSAGE.failure)
  }
}
