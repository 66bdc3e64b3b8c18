/**
 * A read-only TFTP server. Transfers share a few sockets: the pair of the client's port and ours names a transfer
 * (RFC 1350 section 4), so a socket can serve many clients, and ten thousand half-open transfers cost no descriptors.
 */
import type { RemoteInfo } from 'node:dgram'
import { availableParallelism } from 'node:os'
import type { Content } from './content.ts'
import { shown, type TftpEvent } from './event.ts'
import { DEFAULT_CACHE, Files, type FilesOptions, TftpError } from './files.ts'
import { DEFAULT_LIMITS, type Limits, negotiate } from './options.ts'
import { ERROR, encodeError, OPCODE, parseRequest, readError } from './packet.ts'
import { Senders } from './senders.ts'
import { keyOf, type Session, Sessions } from './sessions.ts'
import { openShared, openSocket, type Socket } from './socket.ts'
import { Transfer } from './transfer.ts'

export type { TftpEvent }

export interface TftpServerOptions extends FilesOptions {
  /**
   * Our addresses to listen on. A machine with several needs each named: answers must come from the address that was
   * asked, and a socket on 0.0.0.0 leaves that to the routing table.
   */
  readonly addresses?: readonly string[]
  readonly port?: number
  /** Where transfers are sent from: any ports, the server's own port (`single`, for firewalls and NAT), or a range. */
  readonly transferPorts?: 'any' | 'single' | { readonly from: number; readonly to: number }
  readonly limits?: Limits
  /** Transfers at once, of all clients and of one address. When there are as many, one that was never answered gives way. */
  readonly mostTransfers?: number
  readonly mostPerClient?: number
  /**
   * Threads that long transfers go on in; 0: all stay in this one, as with the port `single`. Without it, as many as
   * there are processors, up to four, and none where there is but one.
   */
  readonly threads?: number
  readonly onEvent?: (event: TftpEvent) => void
}

/** How many sockets transfers share, where nothing else is said. */
const SHARED_PORTS = 8
/** Milliseconds between looks at the clock: the coarseness of retransmission. */
const TICK = 100
const MOST_THREADS = 4
/**
 * Bytes acknowledged and bytes left from which on a thread goes on with a transfer: a stranger who invents his address
 * never gets so far, and a loader or a script is not worth a socket of its own.
 */
const UNDER_WAY = 64 << 10
const LONG = 256 << 10

export class TftpServer {
  readonly #options: TftpServerOptions
  readonly #files: Files
  readonly #sessions: Sessions
  readonly #sockets: Socket[] = []
  readonly #senders: Senders | undefined
  #ticking: NodeJS.Timeout | undefined
  #turn = 0
  /** By what happened: `started`, `done`, `refused`, `stopped`, `failed`, `malformed`, `busy`, `handed`, `bytes`. */
  readonly counters: Record<string, number> = {}

  constructor(options: TftpServerOptions) {
    this.#options = options
    const { mostTransfers = 10_000, mostPerClient = 64 } = options
    this.#sessions = new Sessions(mostTransfers, mostPerClient)
    const processors = availableParallelism()
    const { threads = processors > 1 ? Math.min(processors, MOST_THREADS) : 0, cache = DEFAULT_CACHE } = options
    const wanted = options.transferPorts === 'single' ? 0 : threads
    const share = cache / (wanted + 1)
    this.#files = new Files({ ...options, cache: share })
    if (wanted > 0) this.#senders = new Senders({ threads: wanted, cache: share })
  }

  async start(): Promise<void> {
    const { addresses = ['0.0.0.0'], port } = this.#options
    try {
      for (const address of addresses) await this.listen(address, port)
    } catch (error) {
      await this.close()
      throw error
    }
  }

  /** Serves on one more address of ours. Rejects with a UserError when it cannot be had; the others go on. */
  async listen(address: string, port = this.#options.port ?? 69): Promise<void> {
    const transferSockets: Socket[] = []
    const opened = this.#sockets.length
    try {
      const main = await this.#open(address, port, (socket, bytes, client) => {
        if (!this.#reply(socket, bytes, client)) this.#ask(bytes, client, transferSockets)
      })
      for (const transferPort of this.#transferPorts()) {
        transferSockets.push(
          await this.#open(
            address,
            transferPort,
            (socket, bytes, client) => {
              if (!this.#reply(socket, bytes, client)) this.#unknown(socket, bytes, client)
            },
            this.#senders ? openShared : openSocket,
          ),
        )
      }
      if (transferSockets.length === 0) transferSockets.push(main)
    } catch (error) {
      for (const socket of this.#sockets.splice(opened)) socket.close()
      throw error
    }
  }

  #transferPorts(): number[] {
    const { transferPorts = 'any' } = this.#options
    if (transferPorts === 'single') return []
    if (transferPorts === 'any') return Array.from({ length: SHARED_PORTS }, () => 0)
    const { from, to } = transferPorts
    return Array.from({ length: Math.min(SHARED_PORTS, to - from + 1) }, (_, i) => from + i)
  }

  async #open(
    address: string,
    port: number,
    receive: (socket: Socket, bytes: Buffer, client: RemoteInfo) => void,
    bound: typeof openShared = openSocket,
  ): Promise<Socket> {
    const socket = await bound(address, port)
    socket.on('message', (bytes, client) => {
      // Nothing can be sent to port 0, and nobody asks from there by mistake.
      if (client.port === 0) this.#count('malformed')
      else receive(socket, bytes, client)
    })
    this.#sockets.push(socket)
    return socket
  }

  /** The port of the first address, for a server that was started on port 0. */
  get port(): number {
    return this.#sockets[0]?.address().port ?? 0
  }

  /** What is being sent now. */
  *transfers(): Iterable<{ client: string; file: string; bytes: number; size: number }> {
    for (const { client, request, transfer, bytes = transfer?.acknowledged } of this.#sessions.values()) {
      if (transfer === undefined) continue
      yield { client: client.address, file: request.file, bytes: bytes!, size: transfer.content.size }
    }
  }

  /** Transfers at once, half-open ones among them. */
  get size(): number {
    return this.#sessions.size
  }

  /** Handles what belongs to a transfer; false when it belongs to none. */
  #reply(socket: Socket, bytes: Buffer, client: RemoteInfo): boolean {
    const session = this.#sessions.get(client)
    const { transfer } = session ?? {}
    if (session === undefined || transfer === undefined || session.socket !== socket || bytes.length < 4) return false
    if (bytes[1] === OPCODE.ack) {
      const block = bytes.readUInt16BE(2)
      if (session.handed !== undefined || this.#handOver(session, transfer, block)) return true
      transfer.acknowledge(block, performance.now())
      if (transfer.begun) this.#sessions.answered(session)
      if (transfer.done) this.#end(session, 'done')
      return true
    }
    if (bytes[1] !== OPCODE.error) return false
    this.#end(session, 'stopped', readError(bytes))
    return true
  }

  /** Has a thread go on with a transfer that is long and under way, instead of sending what follows `block`. */
  #handOver(session: Session, transfer: Transfer, block: number): boolean {
    const { content, terms, acknowledged } = transfer
    if (acknowledged < UNDER_WAY || content.size - acknowledged < LONG || session.stays) return false
    const next = content.file && transfer.settledBy(block)
    if (next === undefined) return false
    const { client, socket } = session
    const id = this.#senders?.take(
      {
        local: { address: socket.address().address, port: socket.address().port },
        client: { address: client.address, port: client.port },
        file: { ...content.file!, size: content.size },
        terms,
        block: next,
      },
      {
        declined: () => {
          session.handed = undefined
          session.stays = true
          if (transfer.done) content.release()
          else transfer.acknowledge(block, performance.now())
        },
        progress: (bytes) => {
          session.bytes = bytes
        },
        ended: (outcome, bytes, reason) => {
          session.handed = undefined
          session.bytes = Math.max(bytes, session.bytes ?? 0)
          this.#end(session, outcome, reason)
          content.release()
        },
      },
    )
    if (id === undefined) return false
    session.handed = id
    session.bytes = acknowledged
    this.#count('handed')
    return true
  }

  /** RFC 1350 section 4: a message from a stranger to a transfer port gets error 5; an error gets nothing. */
  #unknown(socket: Socket, bytes: Buffer, client: RemoteInfo): void {
    if (bytes[1] === OPCODE.error) return
    this.#count('stray')
    this.#sendError(socket, client, ERROR.unknownTransfer, 'unknown transfer')
  }

  #ask(bytes: Buffer, client: RemoteInfo, sockets: readonly Socket[]): void {
    const request = parseRequest(bytes)
    if (request === undefined) {
      this.#count('malformed')
      return
    }
    const before = this.#sessions.get(client)
    if (before !== undefined) {
      // A request that was sent again because our answer was slow or lost; the timer sends that again.
      if (before.request.file === request.file && !before.transfer?.begun) return
      this.#end(before, 'stopped', 'the client asked anew')
    }
    const room = this.#sessions.room(client)
    if (room === false) {
      // No answer: the client asks again in a while, where an error would end its boot.
      this.#count('busy')
      return
    }
    if (room !== true) this.#end(room, 'failed', 'the client does not answer, and others ask')
    const socket = sockets[this.#turn++ % sockets.length]!
    const session: Session = { key: keyOf(client), client, request, socket, begun: performance.now() }
    if (request.write) this.#refuse(session, new TftpError(ERROR.access, 'this server is read-only'))
    else if (request.mode !== 'octet' && request.mode !== 'netascii') {
      this.#refuse(session, new TftpError(ERROR.illegal, 'mode must be octet or netascii'))
    } else {
      this.#sessions.add(session)
      this.#ticking ??= setInterval(() => this.#tick(), TICK)
      void this.#begin(session, request.mode)
    }
  }

  async #begin(session: Session, mode: 'octet' | 'netascii'): Promise<void> {
    const { client, request, socket } = session
    let content: Content
    try {
      content = await this.#files.open(request.file, mode, client.address)
    } catch (error) {
      if (this.#sessions.remove(session)) this.#refuse(session, error as Error)
      return
    }
    if (!this.#sessions.has(session)) {
      content.release()
      return
    }
    const { address, port } = client
    const terms = negotiate(request.options, content.size, this.#options.limits ?? DEFAULT_LIMITS)
    session.transfer = new Transfer(
      content,
      terms,
      (bytes, offset, length) => socket.send(bytes, offset, length, port, address),
      (error) => {
        this.#sendError(socket, client, ERROR.other, 'cannot read the file')
        this.#end(session, 'failed', error.message)
      },
    )
    this.#event(session, 'started')
    session.transfer.start(performance.now())
  }

  #refuse(session: Session, error: Error): void {
    const known = error instanceof TftpError
    this.#sendError(session.socket, session.client, known ? error.code : ERROR.other, known ? error.message : 'failed')
    this.#event(session, 'refused', error.message)
  }

  #sendError(socket: Socket, { address, port }: RemoteInfo, code: number, message: string): void {
    socket.send(encodeError(code, message), port, address)
  }

  #tick(): void {
    const now = performance.now()
    for (const session of this.#sessions.values()) {
      if (session.handed === undefined && session.transfer?.tick(now) === false)
        this.#end(session, 'failed', 'the client does not answer')
    }
    if (this.#sessions.size === 0) {
      clearInterval(this.#ticking)
      this.#ticking = undefined
    }
  }

  #end(session: Session, outcome: TftpEvent['outcome'], reason?: string): void {
    if (!this.#sessions.remove(session)) return
    if (session.transfer) session.transfer.done = true
    // What a thread reads stays open here until it says that it has ended: it opens the file by our descriptor.
    if (session.handed === undefined) session.transfer?.content.release()
    else this.#senders?.stop(session.handed)
    this.#event(session, outcome, reason)
  }

  #count(what: string, by = 1): void {
    this.counters[what] = (this.counters[what] ?? 0) + by
  }

  #event(session: Session, outcome: TftpEvent['outcome'], reason?: string): void {
    const { client, request, transfer, begun, bytes = transfer?.acknowledged ?? 0 } = session
    this.#count(outcome)
    this.#count('bytes', bytes)
    this.#options.onEvent?.({
      time: Date.now(),
      client: client.address,
      file: shown(request.file),
      outcome,
      bytes,
      ...(transfer && { size: transfer.content.size }),
      took: performance.now() - begun,
      ...(reason !== undefined && { reason }),
    })
  }

  /** Ends all transfers where they are and closes the sockets. */
  async close(): Promise<void> {
    clearInterval(this.#ticking)
    for (const session of [...this.#sessions.values()]) this.#end(session, 'failed', 'the server stops')
    const sockets = this.#sockets.splice(0)
    await this.#senders?.close()
    await Promise.all(sockets.map((socket) => new Promise<void>((done) => socket.close(() => done()))))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
