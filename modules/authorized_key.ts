import { createHash } from 'node:crypto'
import { args, type Change, defineModule, map, quote, ReadError, read, TaskFailure, z } from '#module'

/** A line of authorized_keys, sshd(8): options, type, key, comment. */
export interface AuthorizedKey {
  readonly options: string
  readonly type: string
  /** base64 */
  readonly blob: string
  readonly comment: string
}

const keys = args
  .list(z.string())
  .transform((texts) => texts.flatMap((t) => t.split('\n')).map((l) => l.trim()))
  .transform((lines, ctx) => {
    const parsed = lines.filter((l) => l !== '' && !l.startsWith('#')).map((line) => ({ line, key: parseLine(line) }))
    for (const { line, key } of parsed) {
      const problem = key ? blobProblem(key) : 'is no public key'
      if (problem)
        ctx.addIssue({
          code: 'custom',
          message: `the line that begins with “${line.slice(0, 24)}” ${problem}`,
          input: line,
        })
    }
    if (parsed.length === 0) ctx.addIssue({ code: 'custom', message: 'holds no key', input: lines })
    return parsed.flatMap(({ key }) => key ?? [])
  })

export default defineModule({
  summary: 'Public keys that open an account over SSH',
  description:
    'Works on ~/.ssh/authorized_keys as the user of the account, so that a link in its home folder leads nowhere that the user ' +
    'could not go. Reports show fingerprints, not keys.',
  args: z
    .strictObject({
      user: args.principal.describe('whose account'),
      key: keys.describe('public key, or several, as lines of a text or as a list'),
      state: z.enum(['present', 'absent']).default('present').describe('absent takes the keys away'),
      exclusive: args.boolean.default(false).describe('the keys are all: others are removed'),
      key_options: z
        .string()
        .regex(/^[^\n]*$/, 'must be one line')
        .optional()
        .describe('options such as `from="10.0.0.0/8",no-pty`; absent: those of the key, or those that are there'),
      comment: z
        .string()
        .regex(/^[^\n]*$/, 'must be one line')
        .optional()
        .describe('instead of the comment of the key'),
      path: args.path
        .optional()
        .describe('another file than ~/.ssh/authorized_keys; outside of the home folder it is written as root'),
      manage_dir: args.boolean.default(true).describe('make ~/.ssh, and close it to others'),
    })
    .refine((a) => !a.exclusive || a.state === 'present', {
      message: 'exclusive and absent contradict each other',
      path: ['exclusive'],
    }),
  examples: [
    {
      name: 'One operator, from the office only',
      yaml:
        'authorized_key:\n  user: ops\n  key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5cFGHBu8eJjPB4xkQF8sqKbkoRFGQxd4Jz9B8KHeXz kim\n' +
        '  key_options: from="192.0.2.0/24"',
    },
  ],
  returns: { path: 'the file', fingerprints: 'SHA-256 fingerprints of the keys that were given' },
  probe: ({ user, path }) => ({ ssh: keyFile(user, path) }),
  plan: (a, { ssh }) => {
    if (!ssh) throw new TaskFailure(`there is no user ${a.user}: make it first (module user)`)
    const before = ssh.text
    const after = a.state === 'present' ? withKeys(before, a) : withoutKeys(before, a.key)
    const changes: Change[] = []
    const ours = a.manage_dir && ssh.inHome
    if (ours && ssh.folder?.owner !== undefined && ssh.folder.owner !== ssh.user && after !== '') {
      changes.push({
        summary: `chown ${ssh.user} ${ssh.folder.path}`,
        diff: { kind: 'value', from: ssh.folder.owner, to: ssh.user },
        touches: touches(ssh),
        script: `chown -h -- ${quote(`${ssh.user}:`)} ${quote(ssh.folder.path)}`,
      })
    }
    // sshd ignores a file that others could write, or that stands where they could (StrictModes).
    const open = ssh.fileMode !== undefined && (ssh.fileMode & 0o022) !== 0
    if (after !== before || (open && after !== '')) changes.push(store(a.user, ssh, after, before, ours))
    else if (ours && ssh.folder && (ssh.folder.mode & 0o077) !== 0) {
      const script = asUser(ssh, `chmod 0700 -- ${quote(ssh.folder.path)}`)
      changes.push({ summary: `chmod 0700 ${ssh.folder.path}`, touches: touches(ssh), script })
    }
    return changes
  },
  result: ({ key }, { ssh }) => ({ path: ssh?.path ?? '', fingerprints: key.map(fingerprint) }),
})

interface KeyFile {
  readonly user: string
  readonly path: string
  /** It belongs to the user, and everything is done as the user. */
  readonly inHome: boolean
  readonly text: string
  readonly fileMode: number | undefined
  /** The folder ~/.ssh; undefined when it is not there. `owner` is undefined for a link. */
  readonly folder: { readonly path: string; readonly mode: number; readonly owner: string | undefined } | undefined
}

/**
 * `rb_as USER COMMAND`: sh as that user. setpriv and runuser ask nobody; su of busybox does as well for root. The program
 * names stand in util-linux since 2.24 (runuser) and 2.33 (setpriv --init-groups).
 */
const AS_USER = `
rb_as() {
  rb_u=$(id -u -- "$1") && rb_g=$(id -g -- "$1") || return 1
  if [ "$rb_u" = "$(id -u)" ]; then sh -c "$2"
  elif setpriv --reuid 0 true 2>/dev/null; then setpriv --reuid "$rb_u" --regid "$rb_g" --init-groups sh -c "$2"
  elif command -v runuser >/dev/null; then runuser -u "$1" -- sh -c "$2"
  else su -s /bin/sh -c "$2" -- "$1"
  fi
}
`

const asUser = (ssh: Pick<KeyFile, 'user' | 'inHome'>, script: string): string =>
  ssh.inHome ? `${AS_USER}\nrb_as ${quote(ssh.user)} ${quote(script)}` : script

/** The file as its user sees it. */
function keyFile(user: string, path: string | undefined) {
  const look =
    'set -- "${RB_P%/*}" "$RB_P"; [ ! -d "$1" ] || stat -L -c "d %a %U %n" -- "$1"; [ ! -e "$2" ] || { stat -L -c "f %a" -- "$2"; echo; cat -- "$2"; }'
  const text = `${AS_USER}
e=$(getent passwd -- ${quote(user)}) || exit 3
n=\${e%%:*}; h=\${e%:*}; h=\${h##*:}
p=${quote(path ?? '')}
[ -n "$p" ] || p=$h/.ssh/authorized_keys
printf '%s\\n%s\\n' "$n" "$p"
[ ! -L "$h/.ssh" ] || echo link
export RB_P="$p"
case $p in "$h"/*) echo home; rb_as "$n" ${quote(look)} ;; *) ${look} ;; esac`
  return map(read.script(text, [`user:${user}`, 'file:*']), ({ out, rc }): KeyFile | undefined => {
    if (rc === 3) return undefined
    const all = out.toString('utf8')
    const end = all.indexOf('\n\n')
    const lines = (end === -1 ? all : all.slice(0, end)).split('\n')
    const [name = '', file = ''] = lines
    if (rc !== 0) throw new ReadError(`cannot read ${file || 'authorized_keys'} as ${user}`)
    const folder = /^d (\d+) (\S+) (.*)$/m.exec(lines.join('\n'))
    const mode = /^f (\d+)$/m.exec(lines.join('\n'))?.[1]
    const owner = lines.includes('link') ? undefined : folder?.[2]
    return {
      user: name,
      path: file,
      inHome: lines.includes('home'),
      text: end === -1 ? '' : all.slice(end + 2),
      fileMode: mode === undefined ? undefined : Number.parseInt(mode, 8),
      folder: folder ? { path: folder[3]!, mode: Number.parseInt(folder[1]!, 8), owner } : undefined,
    }
  })
}

const touches = ({ path }: KeyFile): string[] => [`file:${path}`, `file:${path.replace(/\/[^/]*$/, '')}`]

/** Writes the file aside and renames it into place; the content goes over standard input, for it may be long. */
function store(user: string, ssh: KeyFile, after: string, before: string, manageFolder: boolean): Change {
  const folder = ssh.path.replace(/\/[^/]*$/, '')
  const make = manageFolder
    ? `[ -d ${quote(folder)} ] || mkdir -- ${quote(folder)} || exit; chmod 0700 -- ${quote(folder)} || exit`
    : ':'
  const mode = ssh.inHome ? '0600' : '0644'
  const write = `umask 077
${make}
p=${quote(ssh.path)}
if [ -L "$p" ]; then p=$(readlink -f -- "$p") || exit; fi
t=\${p%/*}/.rb-$$-keys
trap 'rm -f -- "$t"' EXIT
(set -C; cat > "$t") && chmod ${mode} "$t" && mv -f -- "$t" "$p" || exit
[ ! -e /sys/fs/selinux/enforce ] || restorecon -R ${quote(folder)} 2>/dev/null || :`
  const list = (text: string): string[] =>
    text
      .split('\n')
      .flatMap((l) => parseLine(l) ?? [])
      .map(label)
  const [from, to] = [list(before), list(after)]
  const [added, gone] = [to.filter((k) => !from.includes(k)), from.filter((k) => !to.includes(k))]
  const words = [...added.map((k) => `add ${k}`), ...gone.map((k) => `remove ${k}`)]
  return {
    summary: `authorized keys of ${user}: ${words.length > 0 ? words.join(', ') : 'options, comments or permissions'}`,
    diff: { kind: 'value', from, to },
    touches: touches(ssh),
    script: `${ssh.inHome ? AS_USER : ''}\nprintf %s ${quote(after)} | ${ssh.inHome ? `rb_as ${quote(ssh.user)} ${quote(write)}` : `sh -c ${quote(write)}`}`,
  }
}

interface WantedKeys {
  readonly key: readonly AuthorizedKey[]
  readonly exclusive: boolean
  readonly key_options?: string | undefined
  readonly comment?: string | undefined
}

/** Each wanted key once, where it stood first; other lines stay unless `exclusive`. */
export function withKeys(text: string, { key: wanted, exclusive, key_options, comment }: WantedKeys): string {
  const seen = new Set<string>()
  const out: string[] = []
  const render = (k: AuthorizedKey, old?: AuthorizedKey): string => {
    const same = old && old.options === (key_options ?? (k.options || old.options))
    const words = [
      key_options ?? (k.options || (old?.options ?? '')),
      k.type,
      k.blob,
      comment ?? (k.comment || (old?.comment ?? '')),
    ]
    return same && old.comment === words[3] ? '' : words.filter(Boolean).join(' ')
  }
  for (const line of text.split('\n')) {
    const old = parseLine(line)
    const mine = old && wanted.find((k) => k.blob === old.blob)
    if (mine) {
      if (!seen.has(mine.blob)) out.push(render(mine, old) || line)
      seen.add(mine.blob)
    } else if (line.trim() !== '' && !(exclusive && old)) out.push(line)
  }
  for (const k of wanted) {
    if (!seen.has(k.blob)) out.push(render(k))
    seen.add(k.blob)
  }
  const after = `${out.join('\n')}\n`
  // Empty lines alone are no reason to write.
  return after ===
    `${text
      .split('\n')
      .filter((l) => l.trim() !== '')
      .join('\n')}\n` && text.endsWith('\n')
    ? text
    : after
}

export function withoutKeys(text: string, unwanted: readonly AuthorizedKey[]): string {
  return text
    .split('\n')
    .filter((line) => {
      const key = parseLine(line)
      return !key || !unwanted.some((k) => k.blob === key.blob)
    })
    .join('\n')
}

/** Undefined for a comment, an empty line and what is no key. Options may hold blanks between quotes. */
export function parseLine(line: string): AuthorizedKey | undefined {
  const text = line.trim()
  if (text === '' || text.startsWith('#')) return undefined
  const bare = KEY.exec(text)
  if (bare) return { options: '', type: bare[1]!, blob: bare[2]!, comment: bare[3]?.trim() ?? '' }
  const options = /^(?:[^\s"]|"(?:[^"\\]|\\.)*")+/.exec(text)?.[0]
  const rest = options === undefined ? undefined : KEY.exec(text.slice(options.length).trim())
  return rest ? { options: options!, type: rest[1]!, blob: rest[2]!, comment: rest[3]?.trim() ?? '' } : undefined
}

const KEY = /^((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+) ([A-Za-z0-9+/]+={0,2})(\s.*)?$/

/** A key that was cut off when it was copied: its type stands inside too, and its parts fill it (RFC 4253, 6.6). */
function blobProblem({ type, blob }: AuthorizedKey): string | undefined {
  const bytes = Buffer.from(blob, 'base64')
  const parts: Buffer[] = []
  let at = 0
  while (at + 4 <= bytes.length) {
    const length = bytes.readUInt32BE(at)
    parts.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  if (at !== bytes.length || parts.length < 2) return 'is cut off'
  return parts[0]!.toString('latin1') === type ? undefined : 'says another type than it holds'
}

/** As ssh-keygen -l prints it. */
const fingerprint = ({ blob }: AuthorizedKey): string =>
  `SHA256:${createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64').replace(/=+$/, '')}`

const label = (key: AuthorizedKey): string => `${fingerprint(key)}${key.comment ? ` ${key.comment}` : ''}`
