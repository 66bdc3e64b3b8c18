/** A network, machines and a server's knowledge, for tests of what it answers. */
import { type Ip4, parseIp4, parseSubnet } from '../../../src/netboot/address.ts'
import { defaultBoot } from '../../../src/netboot/dhcp/boot.ts'
import { identify } from '../../../src/netboot/dhcp/client.ts'
import { type Context, decide } from '../../../src/netboot/dhcp/decide.ts'
import { type Lease, LeaseTable } from '../../../src/netboot/dhcp/leases.ts'
import type { DhcpSettings, Machine, Network } from '../../../src/netboot/dhcp/network.ts'
import { decode, encode, type Packet, replyLimit } from '../../../src/netboot/dhcp/packet.ts'
import { MAC } from './packets.ts'

export const ip = (text: string): Ip4 => parseIp4(text)!
export const option = (text: string): Buffer => Buffer.from(text.split('.').map(Number))
export const NOW = 1_700_000_000_000

export const rack: Network = {
  name: 'rack',
  subnet: parseSubnet('10.77.0.0/24')!,
  pools: [{ from: ip('10.77.0.100'), to: ip('10.77.0.102') }],
  router: ip('10.77.0.1'),
  dns: [ip('10.77.0.53'), ip('10.77.0.54')],
  domain: 'example.org',
  leaseTime: 600,
}
export const far: Network = { name: 'far', subnet: parseSubnet('10.88.0.0/24')! }
export const machine: Machine = { name: 'node-1.example.org', address: ip('10.77.0.10') }
export const pooled: Machine = { name: 'node-2' }
export const farMachine: Machine = { name: 'node-3', address: ip('10.88.0.7') }

export const SERVER = '10.77.0.1'
export const OTHER = '10.77.0.2'

export interface Setting {
  machine?: Machine | undefined
  unknown?: DhcpSettings['unknown']
  mode?: DhcpSettings['mode']
  leases?: Lease[]
  network?: Network | undefined
  /** Nothing to boot. */
  local?: boolean
  /** Another loader than iPXE. */
  file?: string | undefined
  relays?: readonly string[]
  /** Server identifier that a relay wants. */
  identifier?: string
}

export function contextOf({
  unknown = 'ignore',
  mode = 'server',
  leases = [],
  local,
  file,
  relays,
  identifier,
  ...rest
}: Setting): Context {
  const table = new LeaseTable((address) => address === machine.address)
  for (const lease of leases) table.set(lease)
  return {
    settings: { mode, unknown, networks: [rack, far], relays: relays?.map((one) => parseSubnet(one)!) },
    link: {
      address: ip(SERVER),
      network: 'network' in rest ? rest.network : rack,
      identifier: identifier === undefined ? undefined : ip(identifier),
    },
    machine: 'machine' in rest ? rest.machine : machine,
    leases: table,
    boot: local ? () => undefined : file ? () => ({ file }) : defaultBoot({ port: 8080 }),
    now: NOW,
  }
}

export const held = (address: string, more: Partial<Lease> = {}): Lease => ({
  mac: MAC,
  address: ip(address),
  state: 'bound',
  expires: NOW + 300_000,
  ...more,
})

/** The reply as the client reads it from the wire. */
export function replyOf(packet: Packet, setting: Setting = {}): Packet {
  const { reply } = decide(packet, identify(packet), contextOf(setting))
  return decode(encode(reply!, replyLimit(packet)))!
}
