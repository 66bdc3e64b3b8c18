/** How packets reach the server and leave it. The real one is `udp-transport.ts`; tests have one in memory. */
import type { Ip4 } from '../address.ts'
import type { Endpoint } from './addressing.ts'

export interface Received {
  readonly bytes: Buffer
  readonly from: Endpoint
  /** 67, or 4011 where PXE firmware asks for its boot file. */
  readonly port: number
  /** Our address that it was sent to, or whose interface it came in on; undefined for a broadcast. */
  readonly at: Ip4 | undefined
}

export interface Transport {
  /** Our addresses on the interfaces that we serve, now: interfaces come and go. */
  readonly locals: readonly Ip4[]
  /** Called once; afterwards packets and troubles arrive. */
  start(receive: (message: Received) => void, trouble: (message: string) => void): Promise<void>
  /** Sends from our address `from`, port `port`. A broadcast leaves by the interface that has this address. */
  send(bytes: Buffer, to: Endpoint, from: Ip4, port: number): void
  close(): Promise<void>
}
