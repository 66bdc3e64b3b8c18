/**
 * The DHCP message (RFC 2131 section 2): the fixed BOOTP fields and the options, with option overload (RFC 2132
 * section 9.3) and options longer than 255 bytes (RFC 3396).
 */
import type { Ip4 } from '../address.ts'
import { OPTION, type Options, readByte, readUint16 } from './options.ts'

export const BOOTREQUEST = 1
export const BOOTREPLY = 2

/** Bit 15 of `flags`: the client cannot receive unicast before it has an address. */
export const FLAG_BROADCAST = 0x8000

export interface Packet {
  readonly op: number
  /** 1 is Ethernet. */
  readonly htype: number
  readonly hops: number
  readonly xid: number
  readonly secs: number
  readonly flags: number
  readonly ciaddr: Ip4
  readonly yiaddr: Ip4
  readonly siaddr: Ip4
  readonly giaddr: Ip4
  /** The hardware address, `hlen` bytes long. */
  readonly chaddr: Buffer
  readonly sname: string
  readonly file: string
  readonly options: Options
}

const CHADDR = 28
const SNAME = 44
const FILE = 108
const COOKIE = 236
const OPTIONS = 240
const MAGIC = 0x63825363
/** A BOOTP message: relays and old clients drop what is shorter (RFC 1542 section 2.1). */
const SHORTEST = 300
/** What any client must take: an IP datagram of 576 bytes (RFC 2131 section 2). */
const LEAST_DATAGRAM = 576
/** An Ethernet frame's worth; EDK2's REQUEST asks for 65280 because it swaps the bytes of 255. */
const MOST_DATAGRAM = 1500
const IP_AND_UDP = 28
/** Nobody sends more, over jumbo frames too; putting the parts of an option together takes the square of it. */
const LONGEST_PACKET = 9000
/** Bytes of an option's value; what is longer comes in parts (RFC 3396). */
const LONGEST_OPTION = 255

/** A packet from any bytes, or undefined: too short, too long, no cookie, an option that runs past its field. Never throws. */
export function decode(bytes: Buffer): Packet | undefined {
  if (bytes.length < OPTIONS || bytes.length > LONGEST_PACKET || bytes.readUInt32BE(COOKIE) !== MAGIC) return undefined
  const op = bytes[0]!
  const hlen = bytes[2]!
  if ((op !== BOOTREQUEST && op !== BOOTREPLY) || hlen > 16) return undefined
  const options: Options = new Map()
  if (!readOptions(bytes, OPTIONS, bytes.length, options)) return undefined
  const overload = readByte(options, OPTION.overload) ?? 0
  // RFC 3396 section 7: the parts join in the order options, file, sname.
  if (overload & 1 && !readOptions(bytes, FILE, COOKIE, options)) return undefined
  if (overload & 2 && !readOptions(bytes, SNAME, FILE, options)) return undefined
  options.delete(OPTION.overload)
  return {
    op,
    htype: bytes[1]!,
    hops: bytes[3]!,
    xid: bytes.readUInt32BE(4),
    secs: bytes.readUInt16BE(8),
    flags: bytes.readUInt16BE(10),
    ciaddr: bytes.readUInt32BE(12),
    yiaddr: bytes.readUInt32BE(16),
    siaddr: bytes.readUInt32BE(20),
    giaddr: bytes.readUInt32BE(24),
    chaddr: bytes.subarray(CHADDR, CHADDR + hlen),
    sname: overload & 2 ? '' : readField(bytes, SNAME, FILE),
    file: overload & 1 ? '' : readField(bytes, FILE, COOKIE),
    options,
  }
}

/** False when an option runs past `end`. A missing END option is tolerated, as everywhere. */
function readOptions(bytes: Buffer, start: number, end: number, options: Options): boolean {
  for (let at = start; at < end; ) {
    const code = bytes[at]!
    if (code === OPTION.end) return true
    if (code === OPTION.pad) {
      at++
      continue
    }
    if (at + 1 >= end) return false
    const stop = at + 2 + bytes[at + 1]!
    if (stop > end) return false
    const part = bytes.subarray(at + 2, stop)
    const before = options.get(code)
    options.set(code, before === undefined ? part : Buffer.concat([before, part]))
    at = stop
  }
  return true
}

function readField(bytes: Buffer, start: number, end: number): string {
  if (bytes[start] === 0) return ''
  const stop = bytes.indexOf(0, start)
  return bytes.toString('latin1', start, stop === -1 || stop > end ? end : stop)
}

/** How long a reply to this request may be, in bytes of UDP payload: option 57 within what Ethernet carries. */
export function replyLimit(request: Packet): number {
  const asked = readUint16(request.options, OPTION.maxMessageSize) ?? LEAST_DATAGRAM
  return Math.min(Math.max(asked, LEAST_DATAGRAM), MOST_DATAGRAM) - IP_AND_UDP
}

/**
 * The packet's bytes, at most `limit` of them (548 to 1472). Options are written in the Map's order, relay agent
 * information last (RFC 3046 section 2.1), if it is that. When they do not fit, `file` and `sname` are used for options where they
 * are free, or where option 67 says the same as `file`; what fits nowhere is left out, so the least needed comes last.
 */
export function encode(packet: Packet, limit = MOST_DATAGRAM - IP_AND_UDP): Buffer {
  // From Buffer's pool and cleared: cheaper than an ArrayBuffer of its own for each reply.
  const bytes = Buffer.allocUnsafe(limit).fill(0)
  const { chaddr, sname, options } = packet
  bytes[0] = packet.op
  bytes[1] = packet.htype
  bytes[2] = chaddr.length
  bytes[3] = packet.hops
  bytes.writeUInt32BE(packet.xid, 4)
  bytes.writeUInt16BE(packet.secs, 8)
  bytes.writeUInt16BE(packet.flags, 10)
  bytes.writeUInt32BE(packet.ciaddr, 12)
  bytes.writeUInt32BE(packet.yiaddr, 16)
  bytes.writeUInt32BE(packet.siaddr, 20)
  bytes.writeUInt32BE(packet.giaddr, 24)
  bytes.set(chaddr, CHADDR)
  bytes.writeUInt32BE(MAGIC, COOKIE)

  const relay = relayInformation(options)
  const tail = 1 + (relay === undefined ? 0 : wireLength(relay))
  let needed = tail
  for (const [code, value] of options) if (code !== OPTION.relayAgentInformation) needed += wireLength(value)
  const overloads = OPTIONS + needed > limit

  let { file } = packet
  if (overloads && options.get(OPTION.bootfileName)?.toString('latin1').replace(/\0$/, '') === file) file = ''
  const fields = [{ at: OPTIONS, end: limit - tail - (overloads ? 3 : 0) }]
  if (overloads) {
    fields.push({ at: FILE, end: file === '' ? COOKIE - 1 : FILE })
    fields.push({ at: SNAME, end: sname === '' ? FILE - 1 : SNAME })
  }
  for (const [code, value] of options) {
    if (code === OPTION.relayAgentInformation) continue
    const field = fields.find(({ at, end }) => at + wireLength(value) <= end)
    if (field) field.at = writeOption(bytes, field.at, code, value)
  }

  let { at } = fields[0]!
  const used = (fields[1]?.at ?? FILE) > FILE ? 1 : 0
  const usedSname = (fields[2]?.at ?? SNAME) > SNAME ? 2 : 0
  if (used) bytes[fields[1]!.at] = OPTION.end
  else bytes.write(file, FILE, COOKIE - FILE - 1, 'latin1')
  if (usedSname) bytes[fields[2]!.at] = OPTION.end
  else bytes.write(sname, SNAME, FILE - SNAME - 1, 'latin1')
  if (used || usedSname) at = writeOption(bytes, at, OPTION.overload, Buffer.of(used | usedSname))
  if (relay) at = writeOption(bytes, at, OPTION.relayAgentInformation, relay)
  bytes[at++] = OPTION.end
  return bytes.subarray(0, Math.max(at, SHORTEST))
}

/** An agent adds one option (RFC 3046 section 2.0), so longer information is nobody's; and with one there is room for the rest. */
function relayInformation(options: Options): Buffer | undefined {
  const relay = options.get(OPTION.relayAgentInformation)
  return relay !== undefined && relay.length <= LONGEST_OPTION ? relay : undefined
}

function wireLength(value: Buffer): number {
  return value.length + 2 * Math.max(1, Math.ceil(value.length / LONGEST_OPTION))
}

function writeOption(bytes: Buffer, start: number, code: number, value: Buffer): number {
  let at = start
  let from = 0
  do {
    const length = Math.min(LONGEST_OPTION, value.length - from)
    bytes[at] = code
    bytes[at + 1] = length
    bytes.set(from === 0 && length === value.length ? value : value.subarray(from, from + length), at + 2)
    at += 2 + length
    from += length
  } while (from < value.length)
  return at
}
