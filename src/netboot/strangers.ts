/** Machines that ask to boot, that nobody knows and that are not answered: a `netboot_mac` that is wrong is seen by them. */
import type { DhcpEvent } from './dhcp/server.ts'
import type { Machines } from './machines.ts'

/** Each is told of this often. Milliseconds. */
const AGAIN = 3600_000
/** MAC addresses are free to invent: no more than so many are told of in that time. */
const MOST = 200

export class Strangers {
  readonly #machines: Machines
  readonly #tell: (mac: string, what: string) => void
  /** When each was told of, the oldest first. */
  readonly #told = new Map<string, number>()

  constructor(machines: Machines, tell: (mac: string, what: string) => void) {
    this.#machines = machines
    this.#tell = tell
  }

  /** Of all packets, remembers who asked to boot and got no answer because nobody knows it. */
  see({ time, mac, kind, message, counted }: DhcpEvent): void {
    if (counted !== 'stranger' || kind === 'os' || message !== 'DISCOVER') return
    for (const [other, at] of this.#told) {
      if (time - at < AGAIN) break
      this.#told.delete(other)
    }
    if (this.#told.has(mac) || this.#told.size >= MOST) return
    this.#told.set(mac, time)
    this.#machines.discover(mac, time)
    this.#tell(mac, `asks to boot from the network (${kind}), and is not in the inventory: no answer`)
  }
}
