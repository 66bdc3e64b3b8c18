import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Carrier, MESSAGE, SessionChannel } from './session-channel.ts'
import { PacketCutter, PacketReader, packet, string, uint32, WireError } from './wire.ts'

/** OpenSSH's PROTOCOL.mux, sections 1, 9 and 10. */
const MUX = {
  version: 4,
  hello: 0x00000001,
  enterProxy: 0x1000000f,
  proxy: 0x8000000f,
  permissionDenied: 0x80000002,
  failure: 0x80000003,
} as const

/** SSH_MSG_GLOBAL_REQUEST, SSH_MSG_REQUEST_FAILURE (RFC 4254 section 4). */
const GLOBAL_REQUEST = 80
const REQUEST_FAILURE = 82

/** SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254 section 5.1). */
const PROHIBITED = 1

/** No packet of an ssh connection is longer (PACKET_MAX_SIZE of OpenSSH's packet.h). */
const LONGEST_PACKET = 256 * 1024

/** How long the host may take to answer what was asked of it before we go. */
const GOODBYE_MS = 1000

/**
 * Channels on the connection of an ssh that runs as a control master, over its control socket and without any further ssh
 * process: the master's proxy mode (since OpenSSH 7.4) carries the messages of SSH's connection protocol, and translates
 * the channels' numbers.
 *
 * A master that is left while it waits for the answer to an opening, or after one was refused, ends with all that goes over
 * it (chan_send_close2 in nchan.c, up to OpenSSH 10). One that is left with channels that the host has not closed yet reads
 * freed memory when the host says something of them, and mostly dies of it (channel_free in channels.c lets go of them only
 * where the client's own channel is no zombie by then; seen with 9.2). So `end` waits for the host, and a master that other
 * people use, too, is not for us.
 */
export class MuxProxy implements Carrier {
  readonly #socket: Socket
  readonly #channels = new Map<number, SessionChannel>()
  readonly #entered = Promise.withResolvers<void>()
  /** Settles when the last channel is gone behind `end`. */
  readonly #left = Promise.withResolvers<void>()
  #next = 0
  #isEnding = false
  /** Takes the next packet. */
  #receive: (bytes: Buffer) => void = (bytes) => this.#greeting(bytes)
  /** Settles when the proxy mode is entered; rejects with the master's reason. */
  readonly entered: Promise<void>
  /** Settles when the master or the connection has ended; with an error unless it was us. */
  readonly closed: Promise<Error | undefined>

  /** Asks the master behind a fresh connection to its socket for the proxy mode. */
  constructor(socket: Socket) {
    this.#socket = socket
    this.entered = this.#entered.promise
    this.entered.catch(() => {})
    let failure: Error | undefined
    const cutter = new PacketCutter(LONGEST_PACKET, (bytes) => this.#receive(bytes))
    // One for each channel that waits for it.
    socket.setMaxListeners(0)
    socket.on('data', (chunk: Buffer) => {
      try {
        cutter.push(chunk)
      } catch (error) {
        if (!(error instanceof WireError)) throw error
        failure ??= new Error(`ssh's control socket does not speak its protocol: ${error.message}`)
        socket.destroy()
      }
    })
    socket.on('error', (error) => {
      failure ??= error
    })
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        const why = failure ?? new Error("ssh's connection has ended")
        this.#entered.reject(why)
        for (const channel of [...this.#channels.values()]) channel.end()
        resolve(this.#isEnding ? undefined : why)
      })
    })
    socket.write(packet(uint32(MUX.hello), uint32(MUX.version)))
    socket.write(packet(uint32(MUX.enterProxy), uint32(0)))
  }

  /**
   * Runs a command with the login shell of the user. Resolves when the host has opened the channel; rejects with
   * ChannelRefused, or with another error when the connection ended.
   */
  async open(command: string, signal?: AbortSignal): Promise<SessionChannel> {
    signal?.throwIfAborted()
    if (this.#socket.destroyed || this.#isEnding) throw new Error("ssh's connection has ended")
    while (this.#channels.has(this.#next)) this.#next = (this.#next + 1) >>> 0
    const channel = new SessionChannel(this.#next, command, this)
    this.#channels.set(channel.id, channel)
    this.#next = (this.#next + 1) >>> 0
    const aborted = Promise.withResolvers<never>()
    const abort = () => {
      channel.close()
      aborted.reject(signal!.reason)
    }
    signal?.addEventListener('abort', abort, { once: true })
    try {
      await Promise.race([channel.opened, aborted.promise])
      return channel
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /**
   * Gives up all channels, and the socket; the master's connection stays. Not before the host has closed the channels, too: see
   * above.
   */
  async end(): Promise<void> {
    this.#isEnding = true
    for (const channel of this.#channels.values()) channel.close()
    if (this.#channels.size > 0)
      await Promise.race([this.#left.promise, sleep(GOODBYE_MS, undefined, { ref: false }), this.closed])
    this.#socket.end(() => this.#socket.destroy())
    await this.closed
  }

  send(type: number, ...parts: readonly Buffer[]): void {
    // Behind the length of the packet stands that of its padding, of which there is none.
    if (this.#socket.writable) this.#socket.write(packet(Buffer.from([0, type]), ...parts))
  }

  whenWritable(go: () => void): void {
    if (this.#socket.writableNeedDrain) this.#socket.once('drain', go)
    else go()
  }

  forget(channel: SessionChannel): void {
    this.#channels.delete(channel.id)
    if (this.#channels.size === 0 && this.#isEnding) this.#left.resolve()
  }

  #greeting(bytes: Buffer): void {
    const message = new PacketReader(bytes)
    if (message.uint32() !== MUX.hello) throw new WireError('it does not greet')
    const version = message.uint32()
    if (version !== MUX.version) throw new WireError(`version ${version}`)
    this.#receive = (next) => this.#answer(next)
  }

  #answer(bytes: Buffer): void {
    const message = new PacketReader(bytes)
    const type = message.uint32()
    // Ours was request 0.
    if (message.uint32() !== 0) throw new WireError('an answer to nothing')
    if (type === MUX.permissionDenied || type === MUX.failure) {
      this.#entered.reject(new Error(message.string().toString()))
      this.#socket.destroy()
    } else if (type !== MUX.proxy) throw new WireError(`an answer of type ${type}`)
    this.#receive = (next) => this.#message(next)
    this.#entered.resolve()
  }

  #message(bytes: Buffer): void {
    const message = new PacketReader(bytes)
    if (message.byte() !== 0) throw new WireError('a packet with padding')
    const type = message.byte()
    // Neither is for us, as the master knows; but who asks gets an answer.
    if (type === GLOBAL_REQUEST) {
      message.string()
      if (message.boolean()) this.send(REQUEST_FAILURE)
    } else if (type === MESSAGE.open) {
      message.string()
      this.send(MESSAGE.openFailure, uint32(message.uint32()), uint32(PROHIBITED), string(''), string(''))
    } else {
      const channel = this.#channels.get(message.uint32())
      if (!channel) throw new WireError(`a message of type ${type} for a channel that is not there`)
      channel.receive(type, message)
    }
  }
}

/**
 * Enters the proxy mode of the master that listens at `path`. Undefined when none does; throws when it does not answer in
 * time, ends, or does not want to, in its words.
 */
export async function enterProxy(path: string, timeoutMs: number): Promise<MuxProxy | undefined> {
  const socket = connect(path)
  const connected = new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
  })
  if (!(await connected)) return undefined
  const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs)
  try {
    const proxy = new MuxProxy(socket)
    await proxy.entered
    return proxy
  } finally {
    clearTimeout(timer)
  }
}
