/** The DHCP server: packets in, decisions, leases to the disk, replies out, and an event for each. */
import { formatIp4, formatMac } from '../address.ts'
import { BOOT_SERVER_PORT, CLIENT_PORT, SERVER_PORT } from './addressing.ts'
import type { Boot } from './boot.ts'
import { type Client, type ClientKind, identify } from './client.ts'
import { type Context, type Decision, decide, decideBootServer } from './decide.ts'
import type { Leases } from './leases.ts'
import { linksFor } from './link.ts'
import type { DhcpSettings, Link, Machine } from './network.ts'
import { type MessageName, messageName, OPTION, readText } from './options.ts'
import { decode, encode, type Packet, replyLimit } from './packet.ts'
import type { Received, Transport } from './transport.ts'

/** One packet and what became of it: a row of the live view and of the log. */
export interface DhcpEvent {
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly mac: string
  readonly message: MessageName | undefined
  readonly kind: ClientKind
  readonly arch: number | undefined
  readonly machine: string | undefined
  /** Undefined: silence. */
  readonly answer: MessageName | undefined
  readonly address: string | undefined
  readonly file: string | undefined
  readonly relay: string | undefined
  readonly reason: string
  /** What it is counted as, beside its message and its answer. */
  readonly counted: 'stranger' | 'strange_relay' | undefined
}

export interface DhcpServerOptions {
  readonly settings: DhcpSettings
  readonly transport: Transport
  readonly leases: Leases
  /** Finds the machine by MAC, UUID or anything else that the client tells. */
  readonly machine: (client: Client) => Machine | undefined
  readonly boot: Boot
  readonly onEvent?: (event: DhcpEvent) => void
  /** What an operator should look at: an interface that went away, a disk that is full. */
  readonly onTrouble?: (message: string) => void
  readonly now?: () => number
}

/** A request and what is known of its sender. */
interface Exchange {
  readonly message: Received
  readonly packet: Packet
  readonly client: Client
  readonly machine: Machine | undefined
  readonly name: MessageName | undefined
}

/** REQUESTs that wait for the disk at most; those after them are dropped, and their clients ask again. */
const MOST_WAITING = 10_000

export class DhcpServer {
  readonly #options: DhcpServerOptions
  readonly #now: () => number
  /** By what happened, e.g. `DISCOVER`, `OFFER`, `malformed`, `silent`: for metrics. */
  readonly counters: Record<string, number> = {}

  constructor(options: DhcpServerOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
  }

  start(): Promise<void> {
    const { transport } = this.#options
    return transport.start(
      (message) => this.#guarded(message.bytes, () => this.#receive(message)),
      (trouble) => this.#trouble(trouble),
    )
  }

  /** Stops listening. The leases are the caller's to close. */
  close(): Promise<void> {
    return this.#options.transport.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #count(what: string): void {
    this.counters[what] = (this.counters[what] ?? 0) + 1
  }

  #trouble(message: string): void {
    this.#count('trouble')
    this.#options.onTrouble?.(message)
  }

  /** A packet that we have a bug for, or a disk that is full, is no reason to leave the others alone. */
  #guarded(bytes: Buffer, work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#count('failed')
      const mac = formatMac(bytes.subarray(28, 34))
      this.#trouble(`a packet of ${mac} cannot be answered: ${(error as Error).message}`)
    }
  }

  #receive(message: Received): void {
    const packet = decode(message.bytes)
    // Nothing can be sent to port 0, and nobody asks from there by mistake.
    if (packet === undefined || message.from.port === 0) {
      this.#count('malformed')
      return
    }
    const { settings, leases, transport } = this.#options
    const { from } = message
    if (packet.giaddr === 0 && from.port === CLIENT_PORT && transport.locals.includes(from.address)) {
      // Our own search for other servers (probe.ts), or a person's at the same machine: no client that wants to boot.
      this.#count('own')
      return
    }
    const client = identify(packet)
    const name = messageName(packet.options.get(OPTION.messageType)?.[0])
    this.#count(name ?? 'other')
    if (leases.waiting >= MOST_WAITING) {
      this.#count('overload')
      return
    }
    const machine = this.#options.machine(client)
    const arrival = { at: message.at, locals: transport.locals }
    const links = linksFor(packet, machine, leases.of(client.mac), settings, arrival)
    const exchange = { message, packet, client, machine, name }
    if (links.length === 0) {
      const reason = 'cannot tell which interface it came in on: the machine has no address configured'
      this.#event(exchange, { reason })
    }
    for (const link of links) this.#answer(exchange, link)
  }

  #answer(exchange: Exchange, link: Link): void {
    const { message, packet, client, machine } = exchange
    const { settings, leases, boot } = this.#options
    const context: Context = { settings, link, machine, leases, boot, now: this.#now() }
    const decision =
      message.port === BOOT_SERVER_PORT
        ? decideBootServer(packet, client, context, message.from)
        : decide(packet, client, context)
    const durable = decision.lease && leases.set(decision.lease)
    if (durable === undefined) {
      this.#finish(exchange, link, decision)
      return
    }
    durable.then(
      () => this.#guarded(message.bytes, () => this.#finish(exchange, link, decision)),
      (error: Error) => {
        this.#trouble(`lease of ${client.mac} cannot be written: ${error.message}`)
        // That a configured address is this machine's, the inventory remembers: running machines keep theirs.
        if (decision.lease?.address === machine?.address && decision.lease?.state === 'bound')
          this.#guarded(message.bytes, () => this.#finish(exchange, link, decision))
        else this.#event(exchange, { reason: 'the lease could not be written' })
      },
    )
  }

  #finish(exchange: Exchange, link: Link, decision: Decision): void {
    const { message, packet } = exchange
    const { reply, to } = decision
    if (reply !== undefined && to !== undefined) {
      const port = message.port === BOOT_SERVER_PORT ? BOOT_SERVER_PORT : SERVER_PORT
      this.#options.transport.send(encode(reply, replyLimit(packet)), to, link.address, port)
    }
    this.#event(exchange, decision)
  }

  #event({ packet, client, machine, name }: Exchange, { reply, reason, counted }: Decision): void {
    const answer = reply && messageName(reply.options.get(OPTION.messageType)?.[0])
    this.#count(answer ?? 'silent')
    if (counted) this.#count(counted)
    const { onEvent } = this.#options
    if (onEvent === undefined) return
    onEvent({
      time: this.#now(),
      mac: client.mac,
      message: name,
      kind: client.kind,
      arch: client.arch,
      machine: machine?.name,
      answer,
      address: reply?.yiaddr ? formatIp4(reply.yiaddr) : undefined,
      file: reply && (readText(reply.options, OPTION.bootfileName) ?? (reply.file || undefined)),
      relay: packet.giaddr === 0 ? undefined : formatIp4(packet.giaddr),
      reason,
      counted,
    })
  }
}
