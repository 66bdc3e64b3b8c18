import { quoteAll } from '../../shared/quote.ts'
import { type AskKind, ask, each, map, type Read, type Section } from '../read.ts'

const text = (section: Section | undefined): string => (section?.out.toString('utf8') ?? '').replace(/\n$/, '')

/** `net.ipv4.ip_forward` -> its file below /proc/sys; a key may hold slashes where a part holds dots (sysctl.d(5)). */
export function sysctlPath(key: string): string {
  const slash = key.indexOf('/')
  const dot = key.indexOf('.')
  const path = slash !== -1 && (dot === -1 || slash < dot) ? key : key.replace(/[./]/g, (c) => (c === '.' ? '/' : '.'))
  return `/proc/sys/${path}`
}

/**
 * One `grep` for all parameters. Not the shell's `read`: it asks for one byte at a time, and most files below /proc/sys
 * answer only a read at their start.
 */
const sysctlKind: AskKind<string, string | undefined> = {
  name: 'sysctl',
  reads: (key) => [`sysctl:${key}`],
  sections: () => 1,
  script: (keys) => `grep -sH '' -- ${quoteAll(keys.map(sysctlPath))} /dev/null; rb_mark\n`,
  parse: ([section], keys) => {
    const values = new Map<string, string>()
    for (const line of text(section).split('\n')) {
      const at = line.indexOf(':')
      const path = line.slice(0, at)
      const before = values.get(path)
      values.set(path, before === undefined ? line.slice(at + 1) : `${before}\n${line.slice(at + 1)}`)
    }
    return keys.map((key) => values.get(sysctlPath(key)))
  },
}

/** Live values of kernel parameters, tabs as single spaces; a parameter that does not exist is left out. */
export function sysctl(keys: readonly string[]): Read<Record<string, string>> {
  return map(each(keys.map((key) => ask(sysctlKind, key))), (values) =>
    Object.fromEntries(
      keys.flatMap((key, i) => (values[i] === undefined ? [] : [[key, values[i]!.replace(/\s+/g, ' ').trim()]])),
    ),
  )
}
