import type { Diff } from '../shared/diff.ts'
import { quote, quoteAll } from '../shared/quote.ts'
import { EVERYTHING } from './resources.ts'

export type { Diff }

/** What one change printed and how it ended. */
export interface ChangeOutput {
  readonly rc: number
  readonly stdout: Buffer
  readonly stderr: Buffer
  readonly elapsedMs: number
}

/** One typed change. The engine runs `script`, or does `upload`, and reads the state again. */
export interface Change {
  /** What is done, as it should stand in a report: `write /etc/hosts (0644 root:root)`. */
  readonly summary: string
  readonly diff?: Diff | undefined
  /** The resources that are touched; see resources.ts. */
  readonly touches: readonly string[]
  /** POSIX sh; it runs in a subshell of its own, and a status other than 0 fails the task. */
  readonly script?: string
  readonly upload?: Upload
  /**
   * An event rather than a state (run a command, restart a unit): planned again by every plan, so it does not count when
   * the engine asks whether the change has converged.
   */
  readonly transient?: boolean
  /** Exit statuses that are a success; default 0. */
  readonly okCodes?: readonly number[]
  /** Words for a status that is known, added to the failure's message. */
  readonly explain?: Readonly<Record<number, string>>
}

/** A file too large or too binary for a script; see Shell.upload. */
export interface Upload {
  readonly path: string
  readonly source:
    | { readonly file: string; readonly sha256: string; readonly size: number }
    | { readonly content: Buffer }
  readonly mode?: number | undefined
  readonly owner?: string | undefined
  readonly group?: string | undefined
}

export interface ChangeOptions {
  summary?: string
  diff?: Diff | undefined
  touches?: readonly string[]
  transient?: boolean
  okCodes?: readonly number[]
  explain?: Readonly<Record<number, string>>
}

/** Runs a command. Without `touches` it can touch everything. */
export function run(argv: readonly string[], options: ChangeOptions = {}): Change {
  return script(quoteAll(argv), { summary: `run ${argv.join(' ')}`, ...options })
}

/** Runs a piece of POSIX sh. Without `touches` it can touch everything. */
export function script(text: string, options: ChangeOptions & { summary: string }): Change {
  return { touches: [EVERYTHING], ...options, script: text }
}

/** Files up to this many bytes ride inside the script; larger ones and binary ones go over a channel of their own. */
export const INLINE_LIMIT = 64 * 1024

export interface WriteOptions {
  /** Permission bits; absent: those of the file that is there, else 0o666 less the umask. */
  mode?: number | undefined
  owner?: string | undefined
  group?: string | undefined
  summary?: string
  diff?: Diff | undefined
  /** A command that must accept the new content before it replaces the old; `%s` stands for its path. */
  validate?: string | undefined
  /** Keep a copy `PATH.YYYY-MM-DD@HH:MM:SS~` of what is replaced. */
  backup?: boolean | undefined
  touches?: readonly string[]
}

/** Writes a whole file: aside, then renamed into place, so that no reader ever sees half of it. */
export function write(path: string, content: string | Buffer, options: WriteOptions = {}): Change {
  const { mode, owner, group } = options
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  const base = {
    summary: options.summary ?? `write ${path}`,
    diff: options.diff,
    touches: options.touches ?? [`file:${path}`],
  }
  const inline = bytes.length <= INLINE_LIMIT && isPlainText(bytes)
  if (!inline) return { ...base, upload: { path, source: { content: bytes }, mode, owner, group } }
  const words = [
    path,
    mode === undefined ? '' : mode.toString(8),
    owner ?? '',
    group ?? '',
    options.backup ? 'b' : '',
    options.validate === undefined ? '' : options.validate,
  ]
  return { ...base, script: `rb_write ${words.map(quote).join(' ')} ${quote(bytes.toString('utf8'))}` }
}

/** True for bytes that survive a shell word: valid UTF-8 without NUL. */
function isPlainText(bytes: Buffer): boolean {
  return !bytes.includes(0) && Buffer.from(bytes.toString('utf8')).equals(bytes)
}

/**
 * sh functions that changes call; sent to a shell once. `rb_write PATH MODE OWNER GROUP BACKUP VALIDATE CONTENT`: the
 * temporary name holds the request's nonce and is opened with noclobber (O_EXCL), so nobody can plant a link there;
 * a link at PATH is followed, as editors do. `restorecon` runs only where SELinux is on.
 */
export const CHANGE_PRELUDE = `
rb_write() (
  p=$1
  if [ -L "$p" ]; then p=$(readlink -f -- "$p") || exit 1; fi
  if [ -d "$p" ]; then echo "$p is a directory" >&2; exit 1; fi
  t=\${p%/*}/.rb-$RB_N-\${p##*/}
  case $p in */*) ;; *) t=.rb-$RB_N-$p ;; esac
  trap 'rm -f -- "$t"' EXIT
  (set -C; [ -n "$2" ] || [ -e "$p" ] && umask 077; printf %s "$7" > "$t") || exit 1
  if [ -e "$p" ]; then
    [ "$(id -u)" != 0 ] || chown "$(stat -c %u:%g -- "$p")" "$t" || exit 1
    [ -n "$2" ] || chmod "$(stat -c %a -- "$p")" "$t" || exit 1
  fi
  [ -z "$3$4" ] || chown "$3\${4:+:$4}" "$t" || exit 1
  [ -z "$2" ] || chmod "$2" "$t" || exit 1
  if [ -n "$6" ]; then rb_validate "$6" "$t" || exit 1; fi
  if [ -n "$5" ] && [ -e "$p" ]; then cp -p -- "$p" "$p.$(date +%Y-%m-%d@%H:%M:%S)~" || exit 1; fi
  mv -f -- "$t" "$p" || exit 1
  [ ! -e /sys/fs/selinux/enforce ] || restorecon "$p" 2>/dev/null || :
)
rb_validate() {
  case $1 in *%s*) ;; *) echo "validate must contain %s" >&2; return 1 ;; esac
  sh -c "\${1%%%s*}"\\$1"\${1#*%s}" sh "$2" </dev/null
}
`

export interface CommandOptions {
  chdir?: string | undefined
  stdin?: string | undefined
  stdin_add_newline?: boolean
}

/** A command of the user's own: an event that can touch everything, with its output kept for `register`. */
export function command(line: string, { chdir, stdin, stdin_add_newline = true }: CommandOptions): Change {
  const enter = chdir === undefined ? '' : `cd -- ${quote(chdir)} || exit 1\n`
  const end = stdin_add_newline && !stdin?.endsWith('\n') ? '\\n' : ''
  const input = stdin === undefined ? '' : `printf '%s${end}' ${quote(stdin)} | `
  return { summary: `run ${line}`, touches: [EVERYTHING], transient: true, script: `${enter}${input}${line}` }
}

/** The `register` value of a command: rc, stdout, stdout_lines, stderr, stderr_lines; empty ones when it did not run. */
export function commandResult(output: ChangeOutput | undefined, strip = true): Record<string, unknown> {
  const text = (bytes: Buffer | undefined): string => {
    const out = bytes?.toString('utf8') ?? ''
    return strip ? out.replace(/[\r\n]+$/, '') : out
  }
  const stdout = text(output?.stdout)
  const stderr = text(output?.stderr)
  const lines = (out: string): string[] => (out === '' ? [] : out.split(/\r?\n/))
  return { rc: output?.rc ?? 0, stdout, stdout_lines: lines(stdout), stderr, stderr_lines: lines(stderr) }
}
