/** The server's messages: their fields (RFC 2131 table 3) and options. */
import { broadcastOf, formatIp4, type Ip4, netmask } from '../address.ts'
import { addVendorOptions, type BootRole, bootfileFor } from './boot.ts'
import type { Client } from './client.ts'
import type { Context } from './decide.ts'
import { DEFAULT_LEASE_TIME, type Link, type Network } from './network.ts'
import {
  bootfileOption,
  byteOption,
  ip4Option,
  MESSAGE,
  OPTION,
  type Options,
  textOption,
  uint16Option,
  uint32Option,
} from './options.ts'
import { BOOTREPLY, FLAG_BROADCAST, type Packet } from './packet.ts'

const TYPE_VALUES = Array.from({ length: 9 }, (_, type) => byteOption(type))
/** Sent with a lease whether asked for or not: nothing works without them. */
const ALWAYS = new Set<number>([OPTION.subnetMask, OPTION.router])

/** An OFFER or ACK with an address, or (`address` undefined) an ACK to an INFORM. With the boot answer, if any. */
export function lease(
  request: Packet,
  client: Client,
  type: number,
  address: Ip4 | undefined,
  network: Network,
  context: Context,
): Packet {
  const options = begin(type, context.link)
  if (address !== undefined) addTimes(options, network.leaseTime ?? DEFAULT_LEASE_TIME)
  const asked = request.options.get(OPTION.parameterRequestList)
  // The boot answer comes before what can be left out of a packet that is too long.
  addNetwork(options, network, (code) => ALWAYS.has(code))
  const boot = addBoot(options, client, 'server', context, asked)
  const hostname = context.machine?.hostname ?? context.machine?.name.split('.')[0]
  if (hostname && (asked?.includes(OPTION.hostname) ?? true)) options.set(OPTION.hostname, textOption(hostname))
  addNetwork(options, network, (code) => !ALWAYS.has(code) && (asked?.includes(code) ?? true))
  for (const [code, value] of network.options ?? []) options.set(code, value)
  echo(options, request)
  return {
    ...fields(request, options),
    ciaddr: type === MESSAGE.ack ? request.ciaddr : 0,
    yiaddr: address ?? 0,
    siaddr: boot?.server ?? 0,
    file: boot?.file ?? '',
  }
}

/** A proxyDHCP OFFER or a boot server's ACK: a boot file and no address. Undefined when there is nothing to boot. */
export function bootReply(
  request: Packet,
  client: Client,
  type: number,
  role: BootRole,
  context: Context,
): Packet | undefined {
  const options = begin(type, context.link)
  const boot = addBoot(options, client, role, context, request.options.get(OPTION.parameterRequestList))
  if (boot === undefined) return undefined
  echo(options, request)
  const ciaddr = role === 'boot-server' ? request.ciaddr : 0
  return { ...fields(request, options), ciaddr, siaddr: boot.server, file: boot.file }
}

/** RFC 2131 table 3: a NAK has no address and hardly any options; a relay must broadcast it (section 4.3.2). */
export function nak(request: Packet, reason: string, link: Link): Packet {
  const options = begin(MESSAGE.nak, link)
  options.set(OPTION.message, textOption(reason))
  echoOne(options, request, OPTION.clientIdentifier)
  echoOne(options, request, OPTION.relayAgentInformation)
  const packet = fields(request, options)
  return request.giaddr === 0 ? packet : { ...packet, flags: packet.flags | FLAG_BROADCAST }
}

function begin(type: number, { address, identifier = address }: Link): Options {
  return new Map([
    [OPTION.messageType, TYPE_VALUES[type]!],
    [OPTION.serverIdentifier, uint32Option(identifier)],
  ])
}

function fields(request: Packet, options: Options): Packet {
  return {
    op: BOOTREPLY,
    htype: request.htype,
    hops: 0,
    xid: request.xid,
    secs: 0,
    flags: request.flags,
    ciaddr: 0,
    yiaddr: 0,
    siaddr: 0,
    giaddr: request.giaddr,
    chaddr: request.chaddr,
    sname: '',
    file: '',
    options,
  }
}

/** T1 and T2 by RFC 2131 section 4.4.5: half and seven eighths of the lease. */
function addTimes(options: Options, seconds: number): void {
  options.set(OPTION.leaseTime, uint32Option(seconds))
  options.set(OPTION.renewalTime, uint32Option(Math.floor(seconds / 2)))
  options.set(OPTION.rebindingTime, uint32Option(Math.floor((seconds * 7) / 8)))
}

function addBoot(options: Options, client: Client, role: BootRole, context: Context, asked: Buffer | undefined) {
  if (client.kind === 'os') return undefined
  const answer = context.boot(client, context.machine, context.link.address)
  const file = answer && bootfileFor(client, answer)
  if (answer === undefined || file === undefined) return undefined
  const server = answer.nextServer ?? context.link.address
  // The name goes into `file` too, which is all that old ROMs read, if it fits; a URL does so for HTTP boot.
  if (file !== '') options.set(OPTION.bootfileName, bootfileOption(file))
  if (asked?.includes(OPTION.tftpServerName)) options.set(OPTION.tftpServerName, textOption(formatIp4(server)))
  addVendorOptions(options, client, role)
  return { server, file: file.length < 128 ? file : '' }
}

function echo(options: Options, request: Packet): void {
  echoOne(options, request, OPTION.clientIdentifier) // RFC 6842
  echoOne(options, request, OPTION.clientMachineId) // RFC 4578 section 2.3
  if (request.giaddr !== 0) echoOne(options, request, OPTION.subnetSelection) // RFC 3011: it was heeded
  echoOne(options, request, OPTION.relayAgentInformation) // RFC 3046
}

function echoOne(options: Options, request: Packet, code: number): void {
  const value = request.options.get(code)
  if (value !== undefined) options.set(code, value)
}

function addNetwork(options: Options, network: Network, wanted: (code: number) => boolean): void {
  for (const [code, value] of networkOptions(network)) if (wanted(code)) options.set(code, value)
}

const cache = new WeakMap<Network, Options>()

/** A network's options are the same in every reply, so they are written once. */
function networkOptions(network: Network): Options {
  const known = cache.get(network)
  if (known) return known
  const { subnet, router, dns, ntp, domain, mtu } = network
  const options: Options = new Map([
    [OPTION.subnetMask, uint32Option(netmask(subnet.prefix))],
    [OPTION.broadcastAddress, uint32Option(broadcastOf(subnet))],
  ])
  if (router !== undefined) options.set(OPTION.router, uint32Option(router))
  if (dns?.length) options.set(OPTION.domainServer, ip4Option(...dns))
  if (ntp?.length) options.set(OPTION.ntpServers, ip4Option(...ntp))
  if (domain) options.set(OPTION.domainName, textOption(domain))
  if (mtu !== undefined) options.set(OPTION.mtu, uint16Option(mtu))
  cache.set(network, options)
  return options
}
