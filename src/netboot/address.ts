/**
 * IPv4 addresses, subnets and MAC addresses. An address is an unsigned 32-bit number: it compares, counts and keys a
 * Map without an allocation; text exists only at the edges.
 */
import { networkInterfaces } from 'node:os'

/** An IPv4 address in host order, e.g. 0x0a4d0001 for 10.77.0.1. 0 is "none", as in BOOTP's fields. */
export type Ip4 = number

export const BROADCAST: Ip4 = 0xffffffff

export interface Subnet {
  /** The network's own address: all host bits are 0. */
  readonly address: Ip4
  /** 0 to 32. */
  readonly prefix: number
}

/** An inclusive range of addresses. */
export interface Range {
  readonly from: Ip4
  readonly to: Ip4
}

/** `10.77.0.1`; undefined when the text is not four decimal bytes. */
export function parseIp4(text: string): Ip4 | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (!match) return undefined
  let address = 0
  for (let i = 1; i <= 4; i++) {
    const byte = Number(match[i])
    if (byte > 255) return undefined
    address = address * 256 + byte
  }
  return address
}

export function formatIp4(address: Ip4): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`
}

/** `10.77.0.0/24`. Host bits are cut off, so that an interface's address with its prefix is good too. */
export function parseSubnet(text: string): Subnet | undefined {
  const [head = '', tail = '', rest] = text.split('/')
  const address = parseIp4(head)
  if (address === undefined || rest !== undefined || !/^\d{1,2}$/.test(tail) || Number(tail) > 32) return undefined
  const prefix = Number(tail)
  return { address: (address & netmask(prefix)) >>> 0, prefix }
}

export function formatSubnet({ address, prefix }: Subnet): string {
  return `${formatIp4(address)}/${prefix}`
}

export function netmask(prefix: number): Ip4 {
  return prefix === 0 ? 0 : (-1 << (32 - prefix)) >>> 0
}

export function inSubnet({ address, prefix }: Subnet, candidate: Ip4): boolean {
  return (candidate & netmask(prefix)) >>> 0 === address
}

/** The directed broadcast address of a subnet. */
export function broadcastOf({ address, prefix }: Subnet): Ip4 {
  return (address | ~netmask(prefix)) >>> 0
}

export function inRange({ from, to }: Range, address: Ip4): boolean {
  return address >= from && address <= to
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** `52:54:00:aa:bb:00`, the form in which MACs key everything. Any length of hardware address. */
export function formatMac(bytes: Uint8Array): string {
  if (bytes.length === 0) return ''
  let text = HEX[bytes[0]!]!
  for (let i = 1; i < bytes.length; i++) text += `:${HEX[bytes[i]!]}`
  return text
}

/** Six bytes from `52:54:00:AA:BB:00`, with `-` or nothing between the bytes, or Cisco's `5254.00aa.bb00`. */
export function parseMac(text: string): Buffer | undefined {
  const spelt =
    /^[0-9a-f]{12}$/i.test(text) ||
    /^[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}$/i.test(text) ||
    /^[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}$/i.test(text)
  return spelt ? Buffer.from(text.replace(/[:.-]/g, ''), 'hex') : undefined
}

/** IPv4 addresses of interfaces, now. */
export function addressesOf(interfaces: readonly string[]): string[] {
  const known = networkInterfaces()
  return interfaces.flatMap((name) =>
    (known[name] ?? []).flatMap(({ family, address }) => (family === 'IPv4' ? [address] : [])),
  )
}
