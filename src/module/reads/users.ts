import { quote } from '../../shared/quote.ts'
import { type AskKind, ask, map, type Read, ReadError, type Section } from '../read.ts'

const text = (section: Section | undefined): string => (section?.out.toString('utf8') ?? '').replace(/\n$/, '')

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
  reads: (key) =>
    key.startsWith('passwd ')
      ? [`user:${key.slice(7)}`, 'file:/etc/passwd']
      : [`group:${key.slice(6)}`, 'file:/etc/group'],
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
