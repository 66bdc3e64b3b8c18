/**
 * What the server answers to a packet: a pure function of the packet and of what is known, so that every rule is a row
 * of a table test and `explain` can show an offer without a packet from the wire.
 */
import { formatIp4, formatSubnet, type Ip4, inSubnet } from '../address.ts'
import { choose, type Refusal } from './address-choice.ts'
import { type Endpoint, replyTo } from './addressing.ts'
import type { Boot } from './boot.ts'
import type { Client } from './client.ts'
import type { Lease, LeaseView } from './leases.ts'
import {
  believes,
  DEFAULT_LEASE_TIME,
  type DhcpSettings,
  type Link,
  type Machine,
  type Network,
  networkOf,
} from './network.ts'
import { MESSAGE, OPTION, readIp4 } from './options.ts'
import { BOOTREQUEST, type Packet } from './packet.ts'
import { bootReply, lease as leaseReply, nak } from './reply.ts'

/** All that an answer depends on besides the packet. */
export interface Context {
  readonly settings: DhcpSettings
  readonly link: Link
  readonly machine: Machine | undefined
  readonly leases: LeaseView
  readonly boot: Boot
  /** Milliseconds since the epoch. */
  readonly now: number
}

export interface Decision {
  /** Undefined: say nothing. */
  readonly reply?: Packet | undefined
  readonly to?: Endpoint | undefined
  /** What the lease table must hold before the reply goes out. */
  readonly lease?: Lease | undefined
  /** Why, for the operator. */
  readonly reason: string
  /** Counted under this name, too. */
  readonly counted?: 'stranger' | 'strange_relay' | undefined
}

/** How long an offered address waits for its REQUEST. Firmware takes 4 to 32 seconds to choose (EDK2). */
const OFFER_TIME = 60_000
/** How long an address stays unused after a client found somebody else on it. */
const DECLINE_TIME = 10 * 60_000

/** The answer to a packet on port 67. */
export function decide(packet: Packet, client: Client, context: Context): Decision {
  const { settings, link, machine, leases, now } = context
  const type = packet.options.get(OPTION.messageType)?.[0]
  if (packet.op !== BOOTREQUEST) return silent('not a request')
  if (packet.chaddr.length === 0) return silent('no hardware address')
  if (type === undefined) return silent('BOOTP without a DHCP message type')
  if (isStrangeRelay(packet, settings)) return strangeRelay(packet, settings)
  const refused = refusal(client, context)
  if (refused !== undefined) return refused
  if (settings.mode === 'proxy') return proxy(packet, type, client, context)

  const server = readIp4(packet.options, OPTION.serverIdentifier)
  const held = leases.of(client.mac)
  if (server !== undefined && server !== link.address && server !== link.identifier) {
    const withdrawn = held?.state === 'offered' ? { ...held, expires: now } : undefined
    return { reason: `meant for another server, ${formatIp4(server)}`, lease: withdrawn }
  }
  const { network } = link
  if (network === undefined) {
    return silent(
      packet.giaddr ? `no network for what relay ${formatIp4(packet.giaddr)} sends` : 'no network on this interface',
    )
  }
  switch (type) {
    case MESSAGE.discover:
      return discover(packet, client, network, context)
    case MESSAGE.request:
      return request(packet, client, network, context)
    case MESSAGE.inform:
      return inform(packet, client, network, context)
    case MESSAGE.decline:
      return decline(packet, held, machine, now)
    case MESSAGE.release:
      if (held === undefined || held.address !== packet.ciaddr)
        return silent('released an address that it does not have')
      return { reason: `released ${formatIp4(held.address)}`, lease: { ...held, expires: now } }
    default:
      return silent('not a client message')
  }
}

/** The answer to a packet on port 4011, where PXE firmware asks for the boot file after it has an address. */
export function decideBootServer(packet: Packet, client: Client, context: Context, from: Endpoint): Decision {
  const type = packet.options.get(OPTION.messageType)?.[0]
  if (packet.op !== BOOTREQUEST || (type !== MESSAGE.request && type !== MESSAGE.inform)) {
    return silent('not a boot server request')
  }
  const { settings, machine } = context
  if (isStrangeRelay(packet, settings)) return strangeRelay(packet, settings)
  const refused = refusal(client, context)
  if (refused !== undefined) return refused
  // Asked by unicast, which comes from anywhere: who is elsewhere is not told what a machine of ours boots.
  const address = packet.ciaddr || from.address
  const network = networkOf(settings.networks, address)
  if (network === undefined) return silent(`${formatIp4(address)} is in none of the networks`)
  // Beside another DHCP server, that one decides on addresses.
  if (settings.mode === 'server' && !belongs(machine, network)) return silent(notItsOwn(address, machine!))
  const reply = bootReply(packet, client, MESSAGE.ack, 'boot-server', context)
  if (reply === undefined) return silent(noBoot(client))
  return { reply, to: { ...from, address }, reason: 'boot server' }
}

function silent(reason: string): Decision {
  return { reason }
}

function isStrangeRelay({ giaddr }: Packet, settings: DhcpSettings): boolean {
  return giaddr !== 0 && !believes(settings, giaddr)
}

function strangeRelay({ giaddr }: Packet, { relays }: DhcpSettings): Decision {
  const why = relays
    ? 'is not in relays: of netboot.yml'
    : 'is in none of the networks; relays: in netboot.yml can name it'
  return { reason: `relay ${formatIp4(giaddr)} ${why}`, counted: 'strange_relay' }
}

/** Whether a machine with an address of its own has it in this network. */
function belongs(machine: Machine | undefined, { subnet }: Network): boolean {
  return machine?.address === undefined || inSubnet(subnet, machine.address)
}

function notItsOwn(address: Ip4, { address: own }: Machine): string {
  return `asks from ${formatIp4(address)}, and is configured in another network, with ${formatIp4(own!)}`
}

function noBoot({ kind }: Client): string {
  return kind === 'os' ? 'not booting from the network' : `nothing to boot for ${kind}`
}

/** Why a sender gets nothing; undefined for those who may be answered. */
function refusal(client: Client, { settings, machine, leases, now }: Context): Decision | undefined {
  if (machine?.elsewhere) return silent('machine of another site')
  if (machine !== undefined || settings.unknown === 'pool') return undefined
  if (settings.unknown === 'ignore') return { reason: 'unknown machine', counted: 'stranger' }
  const lease = leases.of(client.mac)
  const enrolled = lease?.state === 'bound' && lease.expires > now
  if (client.kind !== 'os' || enrolled) return undefined
  return { reason: 'unknown machine, not booting from the network', counted: 'stranger' }
}

function proxy(packet: Packet, type: number, client: Client, context: Context): Decision {
  if (type !== MESSAGE.discover) return silent('left to the DHCP server of the site')
  const reply = bootReply(packet, client, MESSAGE.offer, 'proxy', context)
  if (reply === undefined) return silent(noBoot(client))
  return { reply, to: replyTo(packet, MESSAGE.offer), reason: 'boot file beside another DHCP server' }
}

function discover(packet: Packet, client: Client, network: Network, context: Context): Decision {
  const { leases, now } = context
  const wanted = readIp4(packet.options, OPTION.requestedAddress)
  const choice = choose(client.mac, context.machine, network, leases, now, wanted)
  if (typeof choice !== 'number') return silent(choice.refused)
  const held = leases.of(client.mac)
  // A lease that still runs is not to be forgotten because its holder asks again.
  const keeps = held?.address === choice && held.state === 'bound' && held.expires > now
  const expires = now + OFFER_TIME
  return {
    reply: leaseReply(packet, client, MESSAGE.offer, choice, network, context),
    to: replyTo(packet, MESSAGE.offer),
    lease: keeps ? undefined : { mac: client.mac, address: choice, state: 'offered', expires },
    reason:
      choice === context.machine?.address ? 'configured address' : keeps ? 'has this lease' : 'address from a pool',
  }
}

/** RFC 2131 section 4.3.2; its states by what the client fills in (table 4). */
function request(packet: Packet, client: Client, network: Network, context: Context): Decision {
  const { leases, machine, now } = context
  const selecting = packet.options.has(OPTION.serverIdentifier)
  const wanted = packet.ciaddr || readIp4(packet.options, OPTION.requestedAddress)
  if (wanted === undefined || wanted === 0) return silent('REQUEST without an address')
  const refuse = (reason: string): Decision => ({
    reply: nak(packet, reason, context.link),
    to: replyTo(packet, MESSAGE.nak),
    reason,
  })
  if (!inSubnet(network.subnet, wanted)) {
    return refuse(`${formatIp4(wanted)} is not in network ${network.name} (${formatSubnet(network.subnet)})`)
  }
  const held = leases.of(client.mac)
  const knows = machine?.address !== undefined || (held !== undefined && (held.expires > now || selecting))
  // RFC 2131: a server that has no record of the client must leave a rebooting one to others.
  if (!knows && !selecting) return silent(`no record of ${formatIp4(wanted)} for this client`)
  const choice: Ip4 | Refusal = choose(client.mac, machine, network, leases, now, wanted)
  if (typeof choice !== 'number') return refuse(choice.refused)
  if (choice !== wanted) return refuse(`has ${formatIp4(choice)}, not ${formatIp4(wanted)}`)
  return {
    reply: leaseReply(packet, client, MESSAGE.ack, wanted, network, context),
    to: replyTo(packet, MESSAGE.ack),
    lease: {
      mac: client.mac,
      address: wanted,
      state: 'bound',
      expires: now + (network.leaseTime ?? DEFAULT_LEASE_TIME) * 1000,
    },
    reason: packet.ciaddr ? 'renewed' : selecting ? 'took the offer' : 'rebooted with a lease',
  }
}

/** RFC 2131 section 4.3.5: parameters for a client that has its address elsewhere: no lease, no `yiaddr`. */
function inform(packet: Packet, client: Client, network: Network, context: Context): Decision {
  const { ciaddr } = packet
  if (ciaddr === 0) return silent('INFORM without an address')
  // The answer goes there, with what the machine boots in it.
  if (!inSubnet(network.subnet, ciaddr)) return silent(`INFORM from ${formatIp4(ciaddr)}, outside ${network.name}`)
  if (!belongs(context.machine, network)) return silent(notItsOwn(ciaddr, context.machine!))
  return {
    reply: leaseReply(packet, client, MESSAGE.ack, undefined, network, context),
    to: replyTo(packet, MESSAGE.inform),
    reason: 'parameters only',
  }
}

function decline(packet: Packet, held: Lease | undefined, machine: Machine | undefined, now: number): Decision {
  const address = readIp4(packet.options, OPTION.requestedAddress)
  if (address === undefined || (held?.address !== address && machine?.address !== address)) {
    return silent('declined an address that it does not have')
  }
  return {
    reason: `${formatIp4(address)} is in use by another host; not given to anyone for 10 minutes`,
    lease: { mac: '', address, state: 'declined', expires: now + DECLINE_TIME },
  }
}
