/**
 * Who has which address. Leases are keyed by MAC, never by client identifier: firmware, iPXE, installer and OS send
 * different identifiers and must get the same address. Offers live in memory; what was promised by an ACK is in the
 * journal before the ACK is sent.
 */
import { formatIp4, type Ip4, inRange, inSubnet, parseIp4 } from '../address.ts'
import { Journal } from './journal.ts'
import type { Network } from './network.ts'

export interface Lease {
  /** Empty for an address that was declined. */
  readonly mac: string
  readonly address: Ip4
  /** `declined`: a client found somebody else there, and nobody gets it until `expires`. */
  readonly state: 'offered' | 'bound' | 'declined'
  /** Milliseconds since the epoch. */
  readonly expires: number
}

/** What deciding needs to know of the leases: it reads, and changes nothing. */
export interface LeaseView {
  /** The lease of a client, also when it has expired but nobody else has taken the address. */
  of(mac: string): Lease | undefined
  at(address: Ip4): Lease | undefined
  /** Whether the address belongs to a machine by configuration; pools never give such an address away. */
  reserved(address: Ip4): boolean
  /** An address of the network's pools for a new client: `wanted` if it is free there. Undefined: pools are full. */
  free(network: Network, wanted: Ip4 | undefined, now: number): Ip4 | undefined
}

/** Below this size a journal is not worth compacting. Bytes. */
const COMPACT_FROM = 1 << 20
/** Compact when the journal is this many times as long as the live leases need. */
const COMPACT_FACTOR = 4
/** `bound 52:54:00:aa:bb:00 255.255.255.255 1763679000` */
const LINE_LENGTH = 50

/** Leases in memory, without a file: for tests and for `explain`. */
export class LeaseTable implements LeaseView {
  readonly #byMac = new Map<string, Lease>()
  readonly #byAddress = new Map<Ip4, Lease>()
  readonly reserved: (address: Ip4) => boolean
  /** Where in each pool the next search begins. */
  readonly #cursors = new Map<string, Ip4>()
  /** Pools in which nothing was free, and when to look again; an address that is given back ends the wait. */
  readonly #full = new Map<string, number>()

  constructor(reserved: (address: Ip4) => boolean = () => false) {
    this.reserved = reserved
  }

  of(mac: string): Lease | undefined {
    return this.#byMac.get(mac)
  }

  at(address: Ip4): Lease | undefined {
    return this.#byAddress.get(address)
  }

  free(network: Network, wanted: Ip4 | undefined, now: number): Ip4 | undefined {
    const { pools = [] } = network
    const isFree = (address: Ip4): boolean => {
      const lease = this.#byAddress.get(address)
      return (lease === undefined || lease.expires <= now) && !this.reserved(address)
    }
    if (wanted !== undefined && pools.some((pool) => inRange(pool, wanted)) && isFree(wanted)) return wanted
    if ((this.#full.get(network.name) ?? 0) > now) return undefined
    let again = Number.POSITIVE_INFINITY
    for (const { from, to } of pools) {
      const key = `${from}-${to}`
      const size = to - from + 1
      const start = this.#cursors.get(key) ?? from
      for (let i = 0; i < size; i++) {
        const address = from + ((start - from + i) % size)
        if (isFree(address)) {
          this.#cursors.set(key, address)
          return address
        }
        again = Math.min(again, this.#byAddress.get(address)?.expires ?? again)
      }
    }
    this.#full.set(network.name, again)
    return undefined
  }

  /** Sets a lease; a client that moves gives its old address back, and so does one whose address is taken over. */
  set(lease: Lease): void {
    this.#remove(this.#byAddress.get(lease.address))
    if (lease.mac !== '') {
      this.#remove(this.#byMac.get(lease.mac))
      this.#byMac.set(lease.mac, lease)
    }
    this.#byAddress.set(lease.address, lease)
  }

  #remove(lease: Lease | undefined): void {
    if (lease === undefined) return
    this.#byAddress.delete(lease.address)
    this.#byMac.delete(lease.mac)
    this.#full.clear()
  }

  get size(): number {
    return this.#byAddress.size
  }

  [Symbol.iterator](): IterableIterator<Lease> {
    return this.#byAddress.values()
  }
}

/** A lease table that survives a crash. */
export class Leases implements LeaseView {
  readonly #table: LeaseTable
  readonly #journal: Journal
  #compacting = false
  /** Lines of the journal that could not be read: 0 unless something else wrote to the file. */
  readonly damaged: number

  private constructor(table: LeaseTable, journal: Journal, damaged: number) {
    this.#table = table
    this.#journal = journal
    this.damaged = damaged
  }

  static async open(path: string, reserved?: (address: Ip4) => boolean): Promise<Leases> {
    const table = new LeaseTable(reserved)
    let damaged = 0
    const journal = await Journal.open(path, (line) => {
      const lease = parseLine(line)
      if (lease) table.set(lease)
      else damaged++
    })
    return new Leases(table, journal, damaged)
  }

  of(mac: string): Lease | undefined {
    return this.#table.of(mac)
  }

  at(address: Ip4): Lease | undefined {
    return this.#table.at(address)
  }

  reserved(address: Ip4): boolean {
    return this.#table.reserved(address)
  }

  free(network: Network, wanted: Ip4 | undefined, now: number): Ip4 | undefined {
    return this.#table.free(network, wanted, now)
  }

  /** How many changes wait for the disk. */
  get waiting(): number {
    return this.#journal.waiting
  }

  /**
   * Sets a lease. Undefined for an offer, which needs no disk; else a promise that resolves when the lease is durable
   * and rejects when it could not be written: the client must then not be told of it.
   */
  set(lease: Lease): Promise<void> | undefined {
    this.#table.set(lease)
    if (lease.state === 'offered') return undefined
    this.#compactIfLong()
    return this.#journal.append(formatLease(lease))
  }

  #compactIfLong(): void {
    const { length } = this.#journal
    if (this.#compacting || length < COMPACT_FROM || length < this.#table.size * LINE_LENGTH * COMPACT_FACTOR) return
    this.#compacting = true
    const done = (): void => {
      this.#compacting = false
    }
    // When it fails (disk full), the old journal goes on and the next change tries again.
    this.#journal.compact(() => this.#lines()).then(done, done)
  }

  *#lines(): Iterable<string> {
    for (const lease of this.#table) if (lease.state !== 'offered') yield formatLease(lease)
  }

  [Symbol.iterator](): IterableIterator<Lease> {
    return this.#table[Symbol.iterator]()
  }

  /** Waits for the disk and closes the journal. */
  close(): Promise<void> {
    return this.#journal.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function formatLease({ state, mac, address, expires }: Lease): string {
  return `${state} ${mac || '-'} ${formatIp4(address)} ${Math.ceil(expires / 1000)}`
}

function parseLine(line: string): Lease | undefined {
  const match = /^(bound|declined) ([0-9a-f:]+|-) ([0-9.]+) (\d{1,12})$/.exec(line)
  const address = parseIp4(match?.[3] ?? '')
  if (!match || address === undefined) return undefined
  return {
    mac: match[2] === '-' ? '' : match[2]!,
    address,
    state: match[1] === 'bound' ? 'bound' : 'declined',
    expires: Number(match[4]) * 1000,
  }
}

/** Whether a network's pools hold the address. */
export function inPools({ subnet, pools = [] }: Network, address: Ip4): boolean {
  return inSubnet(subnet, address) && pools.some((pool) => inRange(pool, address))
}
