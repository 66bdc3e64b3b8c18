/** A transport without sockets: `deliver` is the wire in, `sent` is the wire out. */
import { type Ip4, parseIp4 } from '../../../src/netboot/address.ts'
import type { Endpoint } from '../../../src/netboot/dhcp/addressing.ts'
import { decode, type Packet } from '../../../src/netboot/dhcp/packet.ts'
import type { Received, Transport } from '../../../src/netboot/dhcp/transport.ts'

export class MemoryTransport implements Transport {
  locals: readonly Ip4[]
  readonly sent: { packet: Packet; to: Endpoint; from: Ip4; port: number }[] = []
  #receive: (message: Received) => void = () => {}
  trouble: (message: string) => void = () => {}

  constructor(...addresses: string[]) {
    this.locals = addresses.map((address) => parseIp4(address)!)
  }

  async start(receive: (message: Received) => void, trouble: (message: string) => void): Promise<void> {
    this.#receive = receive
    this.trouble = trouble
  }

  deliver(bytes: Buffer, more: Partial<Received> = {}): void {
    this.#receive({ bytes, from: { address: 0, port: 68 }, port: 67, at: undefined, ...more })
  }

  send(bytes: Buffer, to: Endpoint, from: Ip4, port: number): void {
    this.sent.push({ packet: decode(bytes)!, to, from, port })
  }

  async close(): Promise<void> {}
}
