import { quote, quoteAll } from '../../shared/quote.ts'
import { type AskKind, ask, each, map, type Read, ReadError, type Section } from '../read.ts'

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

/** What systemd says of a unit. */
export interface UnitState {
  readonly name: string
  /** `loaded`, `not-found`, `masked`, `bad-setting`, `error`. */
  readonly load: string
  /** `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`. */
  readonly active: string
  readonly sub: string
  /** `enabled`, `disabled`, `static`, `masked`, `indirect`, `generated`, `alias`, '' when there is no unit file. */
  readonly file: string
  readonly needReload: boolean
  /** Path of the unit file, '' when none. */
  readonly fragment: string
  readonly dropIns: readonly string[]
  readonly mainPid: number
}

const UNIT_PROPERTIES =
  'Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,FragmentPath,DropInPaths,MainPID'

const unitKind: AskKind<string, UnitState> = {
  name: 'unit',
  reads: (name) => [`unit:${name}`],
  sections: () => 1,
  script: (names) => `systemctl show --no-pager -p ${UNIT_PROPERTIES} -- ${quoteAll(names)} 2>&1; rb_mark\n`,
  parse: ([section], names) => {
    const out = text(section)
    const blocks = out.split('\n\n')
    if (blocks.length !== names.length || !out.includes('LoadState=')) {
      throw new ReadError(`systemctl show ${names.join(' ')}: ${out.trim() || 'no answer'}`)
    }
    return names.map((name, i) => parseUnit(name, blocks[i]!))
  },
}

function parseUnit(name: string, block: string): UnitState {
  const values = new Map(
    block.split('\n').map((line): [string, string] => {
      const at = line.indexOf('=')
      return [line.slice(0, at), line.slice(at + 1)]
    }),
  )
  const get = (key: string): string => values.get(key) ?? ''
  return {
    name,
    load: get('LoadState'),
    active: get('ActiveState'),
    sub: get('SubState'),
    file: get('UnitFileState'),
    needReload: get('NeedDaemonReload') === 'yes',
    fragment: get('FragmentPath'),
    dropIns: get('DropInPaths').split(' ').filter(Boolean),
    mainPid: Number(get('MainPID') || 0),
  }
}

/** The name with `.service` where it has no suffix, as systemctl does it. */
export function unitName(name: string): string {
  return /\.(service|socket|target|mount|automount|swap|timer|path|slice|scope|device)$/.test(name)
    ? name
    : `${name}.service`
}

/** State of systemd units, one process for all of them. */
export function unit(name: string): Read<UnitState> {
  return ask(unitKind, unitName(name))
}

/** A line of /etc/passwd, from any of the host's name services. */
export interface UserEntry {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly comment: string
  readonly home: string
  readonly shell: string
}

const passwdKind: AskKind<string, string | undefined> = {
  name: 'getent',
  reads: (key) => [key.startsWith('passwd ') ? `user:${key.slice(7)}` : `group:${key.slice(6)}`],
  sections: (keys) => keys.length,
  script: (keys) => keys.map((key) => `getent ${key.split(' ').map(quote).join(' ')}; rb_mark\n`).join(''),
  parse: (sections, keys) =>
    sections.map((section, i) => {
      if (section.rc === 0) return text(section)
      // getent(1): 2 is "not found"
      if (section.rc === 2) return undefined
      throw new ReadError(`getent ${keys[i]} ended with ${section.rc}`)
    }),
}

/** A user by name or uid; undefined when there is none. */
export function user(name: string): Read<UserEntry | undefined> {
  return map(ask(passwdKind, `passwd ${name}`), (line) => {
    if (line === undefined) return undefined
    const [login, , uid, gid, comment, home, shell] = line.split(':')
    return { name: login!, uid: Number(uid), gid: Number(gid), comment: comment!, home: home!, shell: shell! }
  })
}

export interface GroupEntry {
  readonly name: string
  readonly gid: number
  readonly members: readonly string[]
}

/** A group by name or gid; undefined when there is none. */
export function group(name: string): Read<GroupEntry | undefined> {
  return map(ask(passwdKind, `group ${name}`), (line) => {
    if (line === undefined) return undefined
    const [groupName, , gid, members] = line.split(':')
    return { name: groupName!, gid: Number(gid), members: (members ?? '').split(',').filter(Boolean) }
  })
}
