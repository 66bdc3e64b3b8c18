/**
 * UDP sockets for a DHCP server, without native code. Node has neither SO_BINDTODEVICE nor IP_PKTINFO, so:
 * - one socket on 0.0.0.0:67 hears the broadcasts of all interfaces, and is not told of which;
 * - one socket on each of our addresses takes what is sent to it and sends all replies. Linux routes a broadcast from
 *   a bound address out of the interface that has it; from 0.0.0.0 it would follow the default route, or fail.
 *
 * Where the interfaces must be kept apart, systemd's `BindToDevice=` (or any parent that does the same) passes one
 * socket an interface in `fds`, and the interface of a packet is known.
 */
import { createSocket, type Socket } from 'node:dgram'
import { existsSync, readdirSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { UserError } from '../../shared/errors.ts'
import { formatIp4, type Ip4, parseIp4 } from '../address.ts'
import { BOOT_SERVER_PORT, type Endpoint, SERVER_PORT } from './addressing.ts'
import type { Received, Transport } from './transport.ts'

export interface UdpOptions {
  /** Names, e.g. `eth1`. */
  readonly interfaces: readonly string[]
  /** Bound sockets (0.0.0.0:67 with SO_BINDTODEVICE) by interface name: for all of them, or for none. */
  readonly fds?: Readonly<Record<string, number>> | undefined
}

/** How often interfaces are looked at for addresses that came or went. Milliseconds. */
const WATCH = 2000
/** A storm's packets wait here while the disk syncs; the kernel caps it at net.core.rmem_max. Bytes. */
const RECEIVE_BUFFER = 4 << 20

interface Local {
  readonly interface: string
  readonly sockets: ReadonlyMap<number, Socket>
  /** False when the address came in on a socket of systemd's, which stays. */
  readonly own: boolean
}

export class UdpTransport implements Transport {
  readonly #interfaces: readonly string[]
  readonly #fds: Readonly<Record<string, number>>
  readonly #locals = new Map<Ip4, Local>()
  readonly #bound = new Map<string, Socket>()
  #any: Socket | undefined
  #watch: NodeJS.Timeout | undefined
  #looking = false
  /** Why an address is not served, so that it is said once. */
  readonly #failures = new Map<Ip4, string>()
  #receive: (message: Received) => void = () => {}
  #trouble: (message: string) => void = () => {}
  locals: readonly Ip4[] = []

  constructor({ interfaces, fds = {} }: UdpOptions) {
    this.#interfaces = interfaces
    this.#fds = fds
  }

  async start(receive: (message: Received) => void, trouble: (message: string) => void): Promise<void> {
    this.#receive = receive
    this.#trouble = trouble
    for (const name of this.#interfaces) {
      if (existsSync(`/sys/class/net/${name}`)) continue
      throw new UserError({
        message: `there is no interface ${name}`,
        hint: `there are: ${readdirSync('/sys/class/net').join(', ')}`,
      })
    }
    try {
      for (const [name, fd] of Object.entries(this.#fds)) {
        const socket = this.#open((message) => ({ ...message, at: this.#addressOf(name) ?? message.at }))
        await bind(socket, { fd })
        this.#bound.set(name, socket)
      }
      const without = this.#interfaces.filter((name) => !this.#bound.has(name))
      if (this.#bound.size > 0 && without.length > 0) {
        // The socket for these would hear the broadcasts of the others a second time.
        throw new UserError(
          `no socket was passed for ${without.join(', ')}, but for ${[...this.#bound.keys()].join(', ')}`,
        )
      }
      if (this.#bound.size === 0) {
        await assertFree(SERVER_PORT)
        this.#any = this.#open((message) => message)
        await bind(this.#any, { port: SERVER_PORT, address: '0.0.0.0' })
      }
      await this.#look()
      for (const name of this.#interfaces) {
        if (this.#addressOf(name) === undefined) trouble(`${name} has no address or no carrier: no service there yet`)
      }
    } catch (error) {
      await this.close()
      throw error
    }
    this.#watch = setInterval(() => void this.#look(), WATCH).unref()
  }

  #addressOf(name: string): Ip4 | undefined {
    for (const [address, local] of this.#locals) if (local.interface === name) return address
    return undefined
  }

  #open(place: (message: Received) => Received, port = SERVER_PORT, at?: Ip4): Socket {
    // Addresses are always numeric; Node's default would put each send through dns.lookup.
    const socket = createSocket({
      type: 'udp4',
      reuseAddr: true,
      lookup: (host, _options, callback) => callback(null, host, 4),
    })
    socket.on('message', (bytes, { address, port: fromPort }) => {
      this.#receive(place({ bytes, from: { address: parseIp4(address) ?? 0, port: fromPort }, port, at }))
    })
    socket.on('error', (error) => this.#trouble(error.message))
    return socket
  }

  /** Follows the interfaces: opens sockets on new addresses, closes those on addresses that went. */
  async #look(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    const present = new Map<Ip4, string>()
    const known = networkInterfaces()
    for (const name of this.#interfaces) {
      const addresses = known[name] ?? []
      for (const { family, address } of addresses) if (family === 'IPv4') present.set(parseIp4(address)!, name)
    }
    for (const [address, local] of this.#locals) {
      if (present.get(address) === local.interface) continue
      this.#locals.delete(address)
      for (const [port, socket] of local.sockets) if (local.own || port !== SERVER_PORT) socket.close()
      this.#trouble(`${formatIp4(address)} is gone from ${local.interface}: no service there`)
    }
    for (const [address, name] of present) {
      if (this.#locals.has(address)) continue
      try {
        this.#locals.set(address, await this.#serve(address, name))
        this.#failures.delete(address)
      } catch (error) {
        const failure = `cannot serve ${formatIp4(address)} on ${name}: ${(error as Error).message}`
        if (this.#failures.get(address) !== failure) this.#trouble(failure)
        this.#failures.set(address, failure)
      }
    }
    this.locals = [...this.#locals.keys()]
    this.#looking = false
  }

  async #serve(address: Ip4, name: string): Promise<Local> {
    const sockets = new Map<number, Socket>()
    const given = this.#bound.get(name)
    try {
      for (const port of [SERVER_PORT, BOOT_SERVER_PORT]) {
        if (port === SERVER_PORT && given) {
          sockets.set(port, given)
          continue
        }
        const socket = this.#open((message) => message, port, address)
        await bind(socket, { port, address: formatIp4(address) })
        sockets.set(port, socket)
      }
      return { interface: name, sockets, own: given === undefined }
    } catch (error) {
      for (const socket of sockets.values()) if (socket !== given) socket.close()
      throw error
    }
  }

  readonly #sent = (error: Error | null): void => {
    if (error) this.#trouble(`cannot send: ${error.message}`)
  }

  send(bytes: Buffer, to: Endpoint, from: Ip4, port: number): void {
    const socket = this.#locals.get(from)?.sockets.get(port)
    if (socket === undefined) this.#trouble(`cannot send from ${formatIp4(from)}: the address is gone`)
    else socket.send(bytes, to.port, formatIp4(to.address), this.#sent)
  }

  async close(): Promise<void> {
    clearInterval(this.#watch)
    const sockets = new Set<Socket>(this.#bound.values())
    if (this.#any) sockets.add(this.#any)
    for (const local of this.#locals.values()) for (const socket of local.sockets.values()) sockets.add(socket)
    this.#locals.clear()
    await Promise.all([...sockets].map((socket) => new Promise<void>((done) => socket.close(() => done()))))
  }
}

async function bind(socket: Socket, where: { port: number; address: string } | { fd: number }): Promise<void> {
  await new Promise<void>((done, fail) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      socket.close()
      fail(explain(error, 'port' in where ? where.port : undefined))
    }
    socket.once('error', failed)
    socket.bind(where, () => {
      socket.off('error', failed)
      done()
    })
  })
  socket.setBroadcast(true)
  socket.setRecvBufferSize(RECEIVE_BUFFER)
}

/** `reuseAddr`, which our own sockets need beside each other, would let a second server share the port unnoticed. */
async function assertFree(port: number): Promise<void> {
  const socket = createSocket('udp4')
  await new Promise<void>((done, fail) => {
    socket.once('error', (error) => {
      socket.close()
      fail(explain(error, port))
    })
    socket.bind({ port, address: '0.0.0.0' }, () => socket.close(() => done()))
  })
}

function explain(error: NodeJS.ErrnoException, port: number | undefined): Error {
  if (port === undefined) return error
  if (error.code === 'EADDRINUSE') {
    return new UserError(
      { message: `UDP port ${port} is in use`, hint: `see who has it: ss -ulpn 'sport = :${port}'` },
      { cause: error },
    )
  }
  if (error.code === 'EACCES') {
    return new UserError(
      { message: `UDP port ${port} needs CAP_NET_BIND_SERVICE`, hint: 'run as root or as the systemd unit does' },
      { cause: error },
    )
  }
  return error
}
