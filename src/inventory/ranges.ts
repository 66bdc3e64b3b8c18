import { UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'

/** Hosts that one name may stand for: a slip of the finger ([1:10000000]) must not eat the memory. */
const MAX_HOSTS = 100_000

/**
 * `web[01:50].example.org`, `db-[a:f]`, `n[0:20:5]`: both ends count, a leading zero keeps the width. Throws UserError.
 */
export function expandRange(name: string, place?: Place): string[] {
  const range = /\[([^\]]*)\]/.exec(name)
  if (!range) return [name]
  // Brackets around an address with colons are an IPv6 address: [fd00::1]
  const [whole, inside] = range as unknown as [string, string]
  const [first = '', last, step = '1', ...rest] = inside.split(':')
  const items = last === undefined || rest.length > 0 ? undefined : sequence(first || '0', last, Number(step))
  if (!items) {
    throw new UserError({
      message: `"${whole}" is not a range of hosts`,
      place,
      hint: 'write [01:50], [a:f] or [0:20:5]',
    })
  }
  const before = name.slice(0, range.index)
  const tails = expandRange(name.slice(range.index + whole.length), place)
  if (items.length * tails.length > MAX_HOSTS) {
    throw new UserError({ message: `"${name}" stands for more than ${MAX_HOSTS} hosts`, place })
  }
  return items.flatMap((item) => tails.map((tail) => before + item + tail))
}

function sequence(first: string, last: string, step: number): string[] | undefined {
  if (!Number.isInteger(step) || step < 1) return undefined
  if (/^\d+$/.test(first) && /^\d+$/.test(last)) {
    if (Number(first) > Number(last) || (Number(last) - Number(first)) / step > MAX_HOSTS) return undefined
    const width = first.startsWith('0') ? first.length : 0
    return count(Number(first), Number(last), step).map((n) => String(n).padStart(width, '0'))
  }
  if (!/^[a-zA-Z]$/.test(first) || !/^[a-zA-Z]$/.test(last) || first > last) return undefined
  return count(first.charCodeAt(0), last.charCodeAt(0), step)
    .map((code) => String.fromCharCode(code))
    .filter((letter) => /[a-zA-Z]/.test(letter))
}

function count(first: number, last: number, step: number): number[] {
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, i) => first + i * step)
}

/** A host as inventories write it: a name or range, perhaps with a port (`web1:2222`, `[fd00::1]:22`). */
export function parseHosts(text: string, place?: Place): { names: string[]; port: number | undefined } {
  const ipv6 = /^\[([0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)\](?::(\d+))?$/.exec(text)
  if (ipv6 && !/^\d+:\d+:\d+$/.test(ipv6[1]!))
    return { names: [ipv6[1]!], port: ipv6[2] === undefined ? undefined : Number(ipv6[2]) }
  const port = /^([^:]*(?:\[[^\]]*\][^:]*)*):(\d+)$/.exec(text)
  return { names: expandRange(port ? port[1]! : text, place), port: port ? Number(port[2]) : undefined }
}
