/** On which of our links a packet came in, when the kernel did not say. */
import { type Ip4, inSubnet } from '../address.ts'
import type { Lease } from './leases.ts'
import { type DhcpSettings, type Link, type Machine, networkOf } from './network.ts'
import { OPTION, type Options, RELAY_OPTION, readIp4, readSubOptions } from './options.ts'
import type { Packet } from './packet.ts'

export interface Arrival {
  /** Our address that the packet was sent to or whose interface it came in on; undefined for a broadcast. */
  readonly at: Ip4 | undefined
  /** Our addresses on the interfaces that we serve. */
  readonly locals: readonly Ip4[]
}

/**
 * The links to answer on: one, or none when it cannot be told, or all of ours for a proxy, whose answers have no
 * address in them, so that each network can be given its own and only the right one is heard.
 */
export function linksFor(
  packet: Packet,
  machine: Machine | undefined,
  held: Lease | undefined,
  { mode, networks }: DhcpSettings,
  { at, locals }: Arrival,
): Link[] {
  const here = at ?? locals[0]
  if (here === undefined) return []
  if (packet.giaddr !== 0) {
    const relay = readRelayOptions(packet)
    // The link that the relay names comes before the one that the client wants (RFC 3527, section 3).
    const link =
      readIp4(relay, RELAY_OPTION.linkSelection) ?? readIp4(packet.options, OPTION.subnetSelection) ?? packet.giaddr
    const identifier = readIp4(relay, RELAY_OPTION.serverIdentifierOverride)
    return [{ address: here, network: networkOf(networks, link), identifier }]
  }
  if (at !== undefined) {
    // A renewal reaches us by routing, from a network that may be behind a relay.
    const network = (packet.ciaddr !== 0 ? networkOf(networks, packet.ciaddr) : undefined) ?? networkOf(networks, at)
    return [{ address: at, network }]
  }
  const ours = locals.map((address): Link => ({ address, network: networkOf(networks, address) }))
  if (mode === 'proxy') return ours
  const served = ours.filter(({ network }) => network !== undefined)
  if (served.length <= 1) return served
  const chosen = readIp4(packet.options, OPTION.serverIdentifier)
  const byServer = served.find(({ address }) => address === chosen)
  if (byServer) return [byServer]
  // Addresses of one network, as a virtual one beside the machine's own, are all at the same place.
  if (new Set(served.map(({ network }) => network)).size === 1) return served.slice(0, 1)
  for (const address of [machine?.address, packet.ciaddr || undefined, held?.address]) {
    const link = address === undefined ? undefined : served.find(({ network }) => inSubnet(network!.subnet, address))
    if (link) return [link]
  }
  return []
}

/** Empty for a relay that says nothing, or what makes no sense. */
function readRelayOptions({ options }: Packet): Options {
  const information = options.get(OPTION.relayAgentInformation)
  return (information && readSubOptions(information)) ?? new Map()
}
