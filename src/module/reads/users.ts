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

function userEntry(line: string): UserEntry {
  const [login, , uid, gid, comment, home, shell] = line.split(':')
  return { name: login!, uid: Number(uid), gid: Number(gid), comment: comment!, home: home!, shell: shell! }
}

/** A user by name or uid; undefined when there is none. */
export function user(name: string): Read<UserEntry | undefined> {
  return map(ask(passwdKind, `passwd ${name}`), (line) => {
    if (line === undefined) return undefined
    return userEntry(line)
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

/** All that the `user` module compares. */
export interface Account {
  readonly entry: UserEntry | undefined
  /** It stands in /etc/passwd, not in a directory service. */
  readonly local: boolean
  /** The groups of /etc/group that list it as a member. */
  readonly groups: readonly string[]
  /** The hash of its password, a secret; undefined when it may not be read. A leading `!` means locked. */
  readonly password: string | undefined
  /** Days since 1970-01-01 after which it is expired; undefined for never. */
  readonly expires: number | undefined
  /** Days of the password as shadow(5) has them; undefined where it has none or may not be read. */
  readonly aging: { readonly min?: number; readonly max?: number; readonly warn?: number; readonly inactive?: number }
  readonly homeExists: boolean
  /** useradd and usermod are there (on Alpine: package shadow). */
  readonly tools: boolean
}

const accountKind: AskKind<string, Account> = {
  name: 'account',
  reads: (name) => [`user:${name}`, 'group:*', 'file:/etc/passwd', 'file:/etc/group', 'file:/etc/shadow'],
  prelude: `
rb_account() {
  rb_l=$(getent passwd -- "$1") && printf 'p%s\\n' "$rb_l"
  rb_h=\${rb_l%:*}; rb_h=\${rb_h##*:}
  if [ -n "$rb_l" ] && [ -d "$rb_h" ]; then echo h; fi
  awk -F: -v u="$1" '$1 == u { print "l"; exit }' /etc/passwd
  awk -F: -v u="$1" '$1 == u { print "s" $0; exit }' /etc/shadow 2>/dev/null
  if command -v useradd >/dev/null && command -v usermod >/dev/null; then echo t; fi
  awk -F: -v u="$1" '{ n = split($4, m, ","); for (i = 1; i <= n; i++) if (m[i] == u) print "g" $1 }' /etc/group
}
`,
  sections: (keys) => keys.length,
  script: (keys) => keys.map((name) => `rb_account ${quote(name)}; rb_mark\n`).join(''),
  parse: (sections) =>
    sections.map((section) => {
      const lines = text(section).split('\n')
      const one = (letter: string): string | undefined => lines.find((l) => l.startsWith(letter))?.slice(1)
      const shadow = one('s')?.split(':')
      const entry = one('p')
      return {
        entry: entry === undefined ? undefined : userEntry(entry),
        local: lines.includes('l'),
        groups: lines.filter((l) => l.startsWith('g')).map((l) => l.slice(1)),
        password: shadow?.[1],
        expires: shadow?.[7] ? Number(shadow[7]) : undefined,
        aging: {
          ...days('min', shadow?.[3]),
          ...days('max', shadow?.[4]),
          ...days('warn', shadow?.[5]),
          ...days('inactive', shadow?.[6]),
        },
        homeExists: lines.includes('h'),
        tools: lines.includes('t'),
      }
    }),
}

function days(name: string, field: string | undefined): Record<string, number> {
  return field ? { [name]: Number(field) } : {}
}

/** A user with what only root may see of it. */
export function account(name: string): Read<Account> {
  return ask(accountKind, name)
}
