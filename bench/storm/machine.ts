/**
 * One machine that boots, as firmware and iPXE do it, with firmware's own patience: DHCP asked again after 4, 8, 16 and
 * 32 s (PXE 2.1, section 2.2.3), TFTP after 4 s and six times at most (EDK2 Mtftp4), HTTP again after 5 s and 12 times at
 * most (our boot script).
 */
import { createSocket, type Socket } from 'node:dgram'
import { type Agent, get, type IncomingMessage } from 'node:http'
import { formatIp4, parseMac } from '../../src/netboot/address.ts'
import { ip4Option, MESSAGE, OPTION, type Options, readIp4, readText } from '../../src/netboot/dhcp/options.ts'
import { BOOTREQUEST, encode, FLAG_BROADCAST, type Packet } from '../../src/netboot/dhcp/packet.ts'
import { encodeRequest, OPCODE } from '../../src/netboot/tftp/packet.ts'

const DHCP_WAITS = [4000, 8000, 16_000, 32_000]
const TFTP_WAIT = 4000
const TFTP_TRIES = 6
const HTTP_TRIES = 12
const HTTP_WAIT = 5000
const BLOCK = 1468

/** Seconds since power-on at the end of each step. */
export interface Booted {
  readonly steps: Readonly<Record<string, number>>
  /** Packets and requests that had to be sent again. */
  readonly again: number
}

/** Sends a packet to the DHCP servers, and hears the answers to one xid. */
export interface Wire {
  send(packet: Buffer): void
  hear(xid: number, heard: (packet: Packet) => void): void
}

export class Machine {
  readonly #mac: Buffer
  readonly #wire: Wire
  readonly #agent: Agent
  readonly #begun = performance.now()
  readonly #steps: Record<string, number> = {}
  #xid: number
  #again = 0

  constructor(mac: string, xid: number, wire: Wire, agent: Agent) {
    this.#mac = parseMac(mac)!
    this.#xid = xid
    this.#wire = wire
    this.#agent = agent
  }

  /** From power-on to the installer's seed. Rejects where firmware would give up. */
  async boot(): Promise<Booted> {
    const uefi = await this.#dhcp(uefiOptions())
    this.#done('firmware DHCP')
    const address = formatIp4(uefi.yiaddr)
    await this.#tftp(address, formatIp4(uefi.siaddr), name(uefi))
    this.#done('iPXE loaded')
    const ipxe = await this.#dhcp(ipxeOptions())
    this.#done('iPXE DHCP')
    const script = (await this.#http(address, name(ipxe))).toString()
    this.#done('script')
    const urls = [...script.matchAll(/^(?:kernel|initrd)(?: --name \S+)? (\S+)/gm)].map(([, url]) => url!)
    if (urls.length < 2) throw new Error(`no installer in the script:\n${script}`)
    for (const url of urls) await this.#http(address, url, true)
    this.#done('kernel and initrd')
    const seed = /ds=nocloud;s=(\S+)/.exec(script)![1]!
    for (const part of ['meta-data', 'user-data', 'vendor-data']) await this.#http(address, seed + part)
    this.#done('seed')
    return { steps: this.#steps, again: this.#again }
  }

  #done(step: string): void {
    this.#steps[step] = (performance.now() - this.#begun) / 1000
  }

  async #dhcp(options: readonly [number, Buffer][]): Promise<Packet> {
    const xid = this.#xid++
    const offer = await this.#ask(xid, 'discover', options, 'offer')
    return await this.#ask(
      xid,
      'request',
      [
        ...options,
        [OPTION.requestedAddress, ip4Option(offer.yiaddr)],
        [OPTION.serverIdentifier, ip4Option(readIp4(offer.options, OPTION.serverIdentifier)!)],
      ],
      'ack',
    )
  }

  async #ask(xid: number, type: 'discover' | 'request', more: readonly [number, Buffer][], wanted: 'offer' | 'ack') {
    const options: Options = new Map([[OPTION.messageType, Buffer.of(MESSAGE[type])], ...more])
    const packet = { op: BOOTREQUEST, htype: 1, hops: 0, xid, secs: 0, flags: FLAG_BROADCAST } as const
    const rest = { ciaddr: 0, yiaddr: 0, siaddr: 0, giaddr: 0, chaddr: this.#mac, sname: '', file: '', options }
    const bytes = encode({ ...packet, ...rest })
    for (const [i, wait] of DHCP_WAITS.entries()) {
      if (i > 0) this.#again++
      const answer = await new Promise<Packet | undefined>((resolve) => {
        const timer = setTimeout(() => resolve(undefined), wait)
        this.#wire.hear(xid, (answer) => {
          if (answer.options.get(OPTION.messageType)?.[0] !== MESSAGE[wanted]) return
          clearTimeout(timer)
          resolve(answer)
        })
        this.#wire.send(bytes)
      })
      if (answer) return answer
    }
    throw new Error(`no ${wanted.toUpperCase()}`)
  }

  async #tftp(address: string, server: string, file: string): Promise<void> {
    const socket = createSocket('udp4')
    try {
      await new Promise<void>((resolve) => socket.bind(0, address, resolve))
      await this.#transfer(socket, server, file)
    } finally {
      socket.close()
    }
  }

  #transfer(socket: Socket, server: string, file: string): Promise<void> {
    return new Promise((resolve, reject) => {
      let port = 69
      let last = encodeRequest({
        write: false,
        file,
        mode: 'octet',
        options: new Map([['blksize', String(BLOCK)]]),
      })
      let next = 1
      let tries = 0
      let timer: NodeJS.Timeout
      const send = (): void => {
        clearTimeout(timer)
        timer = setTimeout(() => {
          this.#again++
          if (++tries >= TFTP_TRIES) reject(new Error(`TFTP: no block ${next} of ${file}`))
          else send()
        }, TFTP_WAIT)
        socket.send(last, port, server)
      }
      const acknowledge = (block: number): void => {
        last = Buffer.of(0, OPCODE.ack, (block >> 8) & 255, block & 255)
        tries = 0
        send()
      }
      socket.on('message', (bytes, from) => {
        port = from.port
        const op = bytes.readUInt16BE(0)
        if (op === OPCODE.oack) acknowledge(0)
        else if (op === OPCODE.error) {
          clearTimeout(timer)
          reject(new Error(`TFTP: ${bytes.subarray(4)}`))
        } else if (op === OPCODE.data && bytes.readUInt16BE(2) === (next & 0xffff)) {
          acknowledge(next++)
          if (bytes.length - 4 < BLOCK) {
            clearTimeout(timer)
            // After the last ACK has left.
            setImmediate(resolve)
          }
        }
      })
      send()
    })
  }

  /** The body, or nothing of it when it is only to be read. */
  async #http(address: string, url: string, discard = false): Promise<Buffer> {
    let reason = ''
    for (let i = 0; i < HTTP_TRIES; i++) {
      if (i > 0) {
        this.#again++
        await new Promise((done) => setTimeout(done, HTTP_WAIT))
      }
      try {
        return await this.#get(address, url, discard)
      } catch (error) {
        reason = (error as Error).message
      }
    }
    throw new Error(`${url}: ${reason}`)
  }

  async #get(address: string, url: string, discard: boolean): Promise<Buffer> {
    const asked = get(url, { agent: this.#agent, localAddress: address })
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      asked.on('response', resolve).on('error', reject)
      // A download may wait for its place; a server that is gone does not keep us.
      asked.setTimeout(60_000, () => asked.destroy(new Error('silent for 60 s')))
    })
    const parts: Buffer[] = []
    let length = 0
    for await (const part of answer as AsyncIterable<Buffer>) {
      length += part.length
      if (!discard) parts.push(part)
    }
    if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode}`)
    if (discard && length !== Number(answer.headers['content-length'])) throw new Error('cut short')
    return Buffer.concat(parts)
  }
}

/** The boot file's name: option 67, or the header's field. */
function name({ options, file }: Packet): string {
  return readText(options, OPTION.bootfileName) || file
}

function uefiOptions(): [number, Buffer][] {
  return [
    [OPTION.parameterRequestList, Buffer.of(1, 3, 6, 12, 15, 43, 60, 66, 67, 97)],
    [OPTION.clientArchitecture, Buffer.of(0, 7)],
    [OPTION.vendorClass, Buffer.from('PXEClient:Arch:00007:UNDI:003000')],
  ]
}

function ipxeOptions(): [number, Buffer][] {
  return [
    ...uefiOptions(),
    [OPTION.userClass, Buffer.from('iPXE')],
    // Feature 0x13 is HTTP.
    [OPTION.ipxe, Buffer.from('130101b105011af41000', 'hex')],
  ]
}
