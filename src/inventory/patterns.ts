/** Host patterns with Ansible's meanings (lib/ansible/inventory/manager.py). */
import { didYouMean, UserError } from '../shared/errors.ts'
import { globSource } from '../shared/glob.ts'
import type { Place } from '../shared/source.ts'
import { Pattern } from '../shared/time-limit.ts'
import { readSource } from '../shared/yaml.ts'

/** What a pattern is matched against. */
export interface Names {
  readonly hosts: ReadonlyMap<string, unknown>
  readonly groups: ReadonlyMap<string, { readonly hosts: readonly string[] }>
}

const LOCAL = ['localhost', '127.0.0.1', '::1']

/** The names of the hosts that a pattern means. Throws UserError for unknown names and malformed patterns. */
export function matchHosts(pattern: string, names: Names, place?: Place): Set<string> {
  const parts = splitPattern(pattern).flatMap((part) =>
    part.startsWith('@') ? readPatterns(part.slice(1), place) : [part],
  )
  const plain = parts.filter((part) => !/^[&!]/.test(part))
  if (parts.length === 0) throw new UserError({ message: 'the host pattern is empty', place })
  // "!web3" alone means all but web3.
  const found = new Set((plain.length > 0 ? plain : ['all']).flatMap((part) => one(part, names, place)))
  for (const part of parts.filter((each) => each.startsWith('&'))) {
    const keep = new Set(one(part.slice(1), names, place))
    for (const name of found) if (!keep.has(name)) found.delete(name)
  }
  for (const part of parts.filter((each) => each.startsWith('!'))) {
    for (const name of one(part.slice(1), names, place)) found.delete(name)
  }
  return found
}

/** At commas, else at colons that stand in no brackets. An IPv6 address is not split. */
export function splitPattern(pattern: string): string[] {
  const separator = pattern.includes(',') ? /,/ : /:(?![^[]*\])/
  const isIpv6 = !pattern.includes(',') && /^[&!]?[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F.]*$/.test(pattern)
  const parts =
    pattern.startsWith('~') && !pattern.includes(',')
      ? splitRegex(pattern)
      : isIpv6
        ? [pattern]
        : pattern.split(separator)
  return parts.map((part) => part.trim()).filter((part) => part !== '')
}

/** A regular expression may hold colons (`(?:a|b)`), but not after a closing bracket or word. */
function splitRegex(pattern: string): string[] {
  return pattern.split(/(?<!\(\?):/)
}

function readPatterns(path: string, place?: Place): string[] {
  return readSource(path, place)
    .text.split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '')
    .flatMap(splitPattern)
}

function one(part: string, names: Names, place: Place | undefined): readonly string[] {
  if (part.startsWith('~')) {
    const regex = compileRegex(part.slice(1), place, Pattern)
    return byName((name) => regex.test(name), names)
  }
  const subscript = /^(.+?)\[(-?\d+)?(?:([:-])(-?\d+)?)?\]$/.exec(part)
  if (subscript && !names.hosts.has(part)) {
    const [, base, first, dash, last] = subscript as unknown as [string, string, string?, string?, string?]
    if (first !== undefined || dash !== undefined) return slice(one(base, names, place), first, dash, last)
  }
  if (part === '*') return one('all', names, place)
  if (/[*?[]/.test(part)) {
    const regex = compileRegex(globSource(part), place, RegExp)
    return byName((name) => regex.test(name), names)
  }
  const group = names.groups.get(part)
  if (group) return group.hosts
  if (names.hosts.has(part) || LOCAL.includes(part)) return [part]
  throw new UserError({
    message: `no host or group is called "${part}"`,
    place,
    hint: didYouMean(part, [...names.groups.keys(), ...names.hosts.keys()]),
  })
}

function byName(matches: (name: string) => boolean, names: Names): string[] {
  const inGroups = [...names.groups].filter(([name]) => matches(name)).flatMap(([, group]) => group.hosts)
  return [...inGroups, ...[...names.hosts.keys()].filter(matches)]
}

/** `[0]`, `[-1]`, `[0:2]` (three hosts), `[1:]` */
function slice(
  hosts: readonly string[],
  first: string | undefined,
  dash: string | undefined,
  last: string | undefined,
): readonly string[] {
  const start = Number(first ?? 0)
  if (dash === undefined) {
    const host = hosts.at(start)
    return host === undefined ? [] : [host]
  }
  const end = last === undefined ? hosts.length : Number(last) < 0 ? hosts.length + Number(last) : Number(last)
  return hosts.slice(start, end + 1)
}

function compileRegex(source: string, place: Place | undefined, Kind: typeof RegExp | typeof Pattern): RegExp {
  try {
    // As Python's re.match does: from the beginning, not to the end.
    return new Kind(`^(?:${source})`)
  } catch (error) {
    throw new UserError({ message: (error as Error).message, place })
  }
}
