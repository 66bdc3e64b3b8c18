/** What the DHCP server is told: its networks, its machines, and what it does for those it does not know. */
import { type Ip4, inSubnet, type Range, type Subnet } from '../address.ts'

/** A network whose machines are served, on one of our interfaces or behind a relay. */
export interface Network {
  readonly name: string
  readonly subnet: Subnet
  /** Addresses for machines without one of their own. Configured addresses inside a pool are left out. */
  readonly pools?: readonly Range[] | undefined
  readonly router?: Ip4 | undefined
  readonly dns?: readonly Ip4[] | undefined
  readonly ntp?: readonly Ip4[] | undefined
  readonly domain?: string | undefined
  readonly mtu?: number | undefined
  /** Seconds; the default is one hour. */
  readonly leaseTime?: number | undefined
  /** More options by code, sent whether asked for or not. */
  readonly options?: ReadonlyMap<number, Buffer> | undefined
}

/** What the inventory knows of the sender of a packet. */
export interface Machine {
  readonly name: string
  /** The address of the NIC that asks; without it the network's pool serves. */
  readonly address?: Ip4 | undefined
  /** Option 12; the name up to its first dot if not given. */
  readonly hostname?: string | undefined
  /** It is another server's. */
  readonly elsewhere?: boolean | undefined
}

export interface DhcpSettings {
  /** `server` gives addresses; `proxy` adds the boot answer to what a site's own DHCP server gives. */
  readonly mode: 'server' | 'proxy'
  /**
   * What a sender gets that is no known machine: nothing (`ignore`), an address if it boots from the network or did
   * so before (`enroll`), or an address whatever it is (`pool`).
   */
  readonly unknown: 'ignore' | 'enroll' | 'pool'
  readonly networks: readonly Network[]
  /** Relays that are believed, by the address that answers go to (`giaddr`); if not given, those inside the networks. */
  readonly relays?: readonly Subnet[] | undefined
}

/** Where a packet came from: our address there, and the network if it is one that we serve. */
export interface Link {
  /** The address that replies are sent from, and their server identifier. */
  readonly address: Ip4
  readonly network?: Network | undefined
  /** Server identifier of the replies, where a relay wants its own there (RFC 5107). */
  readonly identifier?: Ip4 | undefined
}

export const DEFAULT_LEASE_TIME = 3600

/** Whether a relay is believed: what it says decides on which network's addresses and boot files somebody gets. */
export function believes({ relays, networks }: DhcpSettings, relay: Ip4): boolean {
  return relays?.some((one) => inSubnet(one, relay)) ?? networkOf(networks, relay) !== undefined
}

export function networkOf(networks: readonly Network[], address: Ip4): Network | undefined {
  return networks.find(({ subnet }) => inSubnet(subnet, address))
}
