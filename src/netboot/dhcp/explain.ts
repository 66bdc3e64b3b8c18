/** What the server would answer to a machine, without a packet from the wire. */
import { formatIp4, type Ip4 } from '../address.ts'
import type { Boot } from './boot.ts'
import { type Client, identify } from './client.ts'
import { type Decision, decide } from './decide.ts'
import type { LeaseView } from './leases.ts'
import { linksFor } from './link.ts'
import type { DhcpSettings, Machine } from './network.ts'
import { OPTION } from './options.ts'
import type { Packet } from './packet.ts'
import { makeDiscover, type Question } from './request.ts'

export interface Known {
  readonly settings: DhcpSettings
  /** Our addresses on the interfaces that we serve. */
  readonly locals: readonly Ip4[]
  readonly leases: LeaseView
  readonly machine: (client: Client) => Machine | undefined
  readonly boot: Boot
  readonly now: number
}

export interface Explanation {
  readonly client: Client
  readonly machine: Machine | undefined
  /** One for each link that would be answered on; none when the link cannot be told. */
  readonly decisions: readonly Decision[]
}

/** The decisions on a DISCOVER of such a client. Undefined when its MAC address is none. */
export function explain(question: Question, known: Known): Explanation | undefined {
  const packet = makeDiscover(question)
  if (packet === undefined) return undefined
  const { settings, locals, leases, boot, now } = known
  const client = identify(packet)
  const machine = known.machine(client)
  const links = linksFor(packet, machine, leases.of(client.mac), settings, { at: undefined, locals })
  const decisions = links.map((link) => decide(packet, client, { settings, link, machine, leases, boot, now }))
  return { client, machine, decisions }
}

const NAMES = new Map<number, string>(Object.entries(OPTION).map(([name, code]) => [code, name]))
const ADDRESSES = new Set<number>([
  OPTION.subnetMask,
  OPTION.router,
  OPTION.domainServer,
  OPTION.broadcastAddress,
  OPTION.ntpServers,
  OPTION.requestedAddress,
  OPTION.serverIdentifier,
])
const NUMBERS = new Set<number>([
  OPTION.mtu,
  OPTION.leaseTime,
  OPTION.renewalTime,
  OPTION.rebindingTime,
  OPTION.messageType,
  OPTION.maxMessageSize,
  OPTION.clientArchitecture,
])

/** A packet as lines of `name: value`, for people. */
export function describe(packet: Packet): string[] {
  const lines = (['yiaddr', 'siaddr', 'giaddr', 'ciaddr'] as const)
    .filter((name) => packet[name] !== 0)
    .map((name) => `${name}: ${formatIp4(packet[name])}`)
  if (packet.file) lines.push(`file: ${packet.file}`)
  for (const [code, value] of packet.options) {
    const name = NAMES.get(code)
    lines.push(`option ${code}${name ? ` (${name})` : ''}: ${describeValue(code, value)}`)
  }
  return lines
}

function describeValue(code: number, value: Buffer): string {
  if (ADDRESSES.has(code) && value.length % 4 === 0) {
    return Array.from({ length: value.length / 4 }, (_, i) => formatIp4(value.readUInt32BE(i * 4))).join(', ')
  }
  if (NUMBERS.has(code) && value.length > 0 && value.length <= 4) return String(value.readUIntBE(0, value.length))
  const text = value.toString('latin1').replace(/\0$/, '')
  return /^[\x20-\x7e]+$/.test(text) ? JSON.stringify(text) : value.toString('hex')
}
