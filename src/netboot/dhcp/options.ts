/** DHCP options (RFC 2132 and the RFCs named beside them): numbers, values, and the small encodings inside them. */
import type { Ip4 } from '../address.ts'

/** Option codes that the server reads or writes, by the names of the IANA registry. */
export const OPTION = {
  pad: 0,
  subnetMask: 1,
  router: 3,
  domainServer: 6,
  hostname: 12,
  domainName: 15,
  mtu: 26,
  broadcastAddress: 28,
  ntpServers: 42,
  vendorSpecific: 43,
  requestedAddress: 50,
  leaseTime: 51,
  overload: 52,
  messageType: 53,
  serverIdentifier: 54,
  parameterRequestList: 55,
  message: 56,
  maxMessageSize: 57,
  renewalTime: 58,
  rebindingTime: 59,
  vendorClass: 60,
  clientIdentifier: 61,
  tftpServerName: 66,
  bootfileName: 67,
  /** RFC 3004; iPXE sends it without the length bytes. */
  userClass: 77,
  /** RFC 3046 */
  relayAgentInformation: 82,
  /** RFC 4578: system architecture, network interface, machine identifier. */
  clientArchitecture: 93,
  clientInterface: 94,
  clientMachineId: 97,
  /** RFC 3011 */
  subnetSelection: 118,
  /** iPXE's encapsulated options (the number Etherboot took; not in the registry). */
  ipxe: 175,
  end: 255,
} as const

/** Sub-options of option 82. */
export const RELAY_OPTION = {
  /** RFC 3527 */
  linkSelection: 5,
  /** RFC 5107 */
  serverIdentifierOverride: 11,
} as const

/** Option 53, RFC 2132 section 9.6. */
export const MESSAGE = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8,
} as const

export type MessageName = 'DISCOVER' | 'OFFER' | 'REQUEST' | 'DECLINE' | 'ACK' | 'NAK' | 'RELEASE' | 'INFORM'

const MESSAGE_NAMES: readonly (MessageName | undefined)[] = [
  undefined,
  'DISCOVER',
  'OFFER',
  'REQUEST',
  'DECLINE',
  'ACK',
  'NAK',
  'RELEASE',
  'INFORM',
]

export function messageName(type: number | undefined): MessageName | undefined {
  return type === undefined ? undefined : MESSAGE_NAMES[type]
}

/** Options by code, in the order of the wire; values that came in parts (RFC 3396) are joined. */
export type Options = Map<number, Buffer>

// Readers give undefined when the option is absent or has the wrong length: what a client sends is never trusted.

export function readByte(options: Options, code: number): number | undefined {
  const value = options.get(code)
  return value?.length === 1 ? value[0] : undefined
}

export function readUint16(options: Options, code: number): number | undefined {
  const value = options.get(code)
  return value?.length === 2 ? value.readUInt16BE(0) : undefined
}

export function readIp4(options: Options, code: number): Ip4 | undefined {
  const value = options.get(code)
  return value?.length === 4 ? value.readUInt32BE(0) : undefined
}

/** Text without the NUL bytes that some clients append. Bytes above 127 stay one character each. */
export function readText(options: Options, code: number): string | undefined {
  const value = options.get(code)
  if (value === undefined) return undefined
  // Not by a regular expression: /\0+$/ takes the square of what a stranger sends.
  let end = value.length
  while (end > 0 && value[end - 1] === 0) end--
  return value.toString('latin1', 0, end)
}

export function byteOption(value: number): Buffer {
  return Buffer.of(value)
}

export function uint16Option(value: number): Buffer {
  return Buffer.of(value >>> 8, value & 255)
}

export function uint32Option(value: number): Buffer {
  return Buffer.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)
}

export function ip4Option(...addresses: readonly Ip4[]): Buffer {
  const value = Buffer.allocUnsafe(addresses.length * 4)
  for (const [i, address] of addresses.entries()) value.writeUInt32BE(address, i * 4)
  return value
}

export function textOption(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

/**
 * Option 67 ends with a NUL: EDK2 writes one after the value in its own copy of the packet and so overwrites the
 * code of the next option (UefiPxeBcDxe/PxeBcDhcp4.c); dnsmasq sends one for the same reason.
 */
export function bootfileOption(file: string): Buffer {
  return Buffer.from(`${file}\0`, 'latin1')
}

/** Options inside an option (43, 82, 175): code, length, value; an END byte (255) stops. Undefined when malformed. */
export function readSubOptions(value: Buffer): Options | undefined {
  const options: Options = new Map()
  for (let at = 0; at < value.length; ) {
    const code = value[at]!
    if (code === OPTION.end) break
    if (code === OPTION.pad) {
      at++
      continue
    }
    const length = value[at + 1]
    if (length === undefined || at + 2 + length > value.length) return undefined
    options.set(code, value.subarray(at + 2, at + 2 + length))
    at += 2 + length
  }
  return options
}

/** The inverse of `readSubOptions`. PXE (option 43) wants the END byte, RFC 3046 and iPXE do not. */
export function subOptions(entries: Iterable<readonly [code: number, value: Uint8Array]>, end = false): Buffer {
  const parts: Uint8Array[] = []
  for (const [code, value] of entries) parts.push(Buffer.of(code, value.length), value)
  if (end) parts.push(Buffer.of(OPTION.end))
  return Buffer.concat(parts)
}

/**
 * Option 77. RFC 3004 has a length byte before each class; iPXE and others send one class bare. The lengths either
 * cover the value exactly, or it is bare.
 */
export function readUserClasses(value: Buffer | undefined): string[] {
  if (value === undefined || value.length === 0) return []
  const classes: string[] = []
  for (let at = 0; at < value.length; ) {
    const length = value[at]!
    if (length === 0 || at + 1 + length > value.length) return [value.toString('latin1')]
    classes.push(value.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return classes
}

/** Option 97: type 0 and 16 bytes (RFC 4578 section 2.3); some firmware sends it empty. Lower case, as sent. */
export function readMachineId(value: Buffer | undefined): string | undefined {
  if (value?.length !== 17 || value[0] !== 0) return undefined
  const hex = value.toString('hex', 1)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/**
 * Whether two UUIDs name the same machine. SMBIOS keeps the first three fields little-endian, and firmware disagrees
 * on whether option 97 is swapped, so either order counts.
 */
export function sameUuid(a: string, b: string): boolean {
  const left = a.toLowerCase()
  const right = b.toLowerCase()
  return left === right || left === swapUuid(right)
}

function swapUuid(uuid: string): string {
  const reverse = (hex: string): string => (hex.match(/../g) ?? []).reverse().join('')
  const [a = '', b = '', c = '', ...rest] = uuid.split('-')
  return [reverse(a), reverse(b), reverse(c), ...rest].join('-')
}
