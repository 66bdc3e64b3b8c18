/** Address arithmetic for IPv4 and IPv6. Everything throws RangeError for what is not an address or network. */
import { isIP, SocketAddress } from 'node:net'

interface Network {
  readonly bits: 32 | 128
  readonly address: bigint
  readonly prefix: number
}

/** `10.96.0.0/12`, 10 -> `10.96.0.10`; -1 is the last address (an IPv4 network's broadcast). */
export function cidrIp(network: string, index: number): string {
  const { bits, prefix, address } = parse(network)
  const size = 1n << BigInt(bits - prefix)
  const at = index < 0 ? size + BigInt(index) : BigInt(index)
  if (at < 0n || at >= size) throw new RangeError(`${network} has no address ${index}`)
  return format(first(address, bits, prefix) + at, bits)
}

/** `10.1.2.3/16` -> `10.1.0.0/16` */
export function cidrNetwork(network: string): string {
  const { bits, prefix, address } = parse(network)
  return `${format(first(address, bits, prefix), bits)}/${prefix}`
}

/** `10.0.0.0/12` -> `255.240.0.0` */
export function cidrNetmask(network: string): string {
  const { bits, prefix } = parse(network)
  return format(first((1n << BigInt(bits)) - 1n, bits, prefix), bits)
}

/** `10.0.0.0/12` -> 12 */
export function cidrPrefix(network: string): number {
  return parse(network).prefix
}

/** Whether an address or a whole network lies in a network. Families never contain each other. */
export function cidrContains(network: string, inner: string): boolean {
  const outer = parse(network)
  const one = parse(inner)
  if (outer.bits !== one.bits || one.prefix < outer.prefix) return false
  return first(outer.address, outer.bits, outer.prefix) === first(one.address, one.bits, outer.prefix)
}

function first(address: bigint, bits: number, prefix: number): bigint {
  const hostBits = BigInt(bits - prefix)
  return (address >> hostBits) << hostBits
}

function parse(text: string): Network {
  const [host = '', length, ...rest] = text.trim().split('/')
  const version = isIP(host)
  const bits = version === 4 ? 32 : 128
  const prefix = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : -1
  if (version === 0 || host.includes('%') || rest.length > 0 || prefix < 0 || prefix > bits) {
    throw new RangeError(`"${text}" is not an address or network`)
  }
  return { bits, prefix, address: version === 4 ? parse4(host) : parse6(host) }
}

function parse4(text: string): bigint {
  return text.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)
}

function parse6(text: string): bigint {
  // An IPv4 tail (::ffff:10.0.0.1) becomes two groups.
  const plain = text.replace(/(?<=:)[\d.]+$/, (tail) => {
    if (!tail.includes('.')) return tail
    const value = parse4(tail)
    return `${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`
  })
  const [head = '', tail] = plain.split('::')
  const left = head ? head.split(':') : []
  const right = tail ? tail.split(':') : []
  const groups =
    tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right]
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n)
}

function format(address: bigint, bits: 32 | 128): string {
  if (bits === 32) return [24n, 16n, 8n, 0n].map((shift) => (address >> shift) & 0xffn).join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((address >> BigInt(112 - 16 * i)) & 0xffffn).toString(16))
  // SocketAddress writes the short form of RFC 5952.
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address
}
