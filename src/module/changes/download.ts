import { quote } from '../../shared/quote.ts'
import { applyMode } from '../args.ts'
import type { Change } from '../change.ts'
import type { FileStat } from '../reads/files.ts'
import type { Attributes } from './files.ts'
import { aside, octal, ownership, place, type WriteOptions } from './files.ts'

/** Where a file comes from, and how to know that it is the right one. */
export interface Download {
  /** http, https or ftp; no user or password in it, those are headers. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** Hex digest and the program that makes it. */
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly digest: string } | undefined
  /** Seconds without an answer or a byte after which it is given up. */
  readonly timeout: number
  readonly validateCerts: boolean
  /** `host`: curl or wget there; `controller`: fetched here and uploaded, for hosts without a way out. */
  readonly via: 'host' | 'controller'
}

export type ChecksumAlgorithm = 'md5' | 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512'

/** Fetches a file to beside `path`, checks it and puts it in place. `beside` is that place; see asidePath. */
export function download(
  from: Download,
  beside: string,
  path: string,
  stat: FileStat | undefined,
  wanted: Attributes & Pick<WriteOptions, 'validate' | 'backup'>,
  transient = false,
): Change {
  const mode = wanted.mode === undefined ? undefined : applyMode(wanted.mode, stat?.mode ?? 0o644, false)
  const detail = [mode === undefined ? '' : octal(mode), ownership(wanted)].filter(Boolean).join(' ')
  const base = {
    summary: `download ${from.url} to ${path}${detail && ` (${detail})`}`,
    touches: [`file:${path}`],
    transient,
  }
  const { checksum, url, headers, timeout } = from
  const check = checksum ? `rb_checksum ${checksum.algorithm} ${checksum.digest} ${quote(beside)} ${quote(url)}` : ':'
  const finish = `${check} || { rm -f -- ${quote(beside)}; exit 1; }\n${place(beside, path, { ...wanted, mode })}`
  if (from.via === 'controller') {
    return {
      ...base,
      upload: { path: beside, source: { url, headers, timeoutMs: timeout * 1000 }, mode: 0o600 },
      script: finish,
    }
  }
  return {
    ...base,
    script: `${aside(fetchTo(from, '-'), beside)} || { rm -f -- ${quote(beside)}; exit 1; }\n${finish}`,
  }
}

/** sh that fetches a URL into a file with curl or wget; see rb_fetch. */
export function fetchTo({ url, headers, timeout, validateCerts }: Download, path: string): string {
  const lines = Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n')
  return `rb_fetch ${[path, String(timeout), validateCerts ? '' : 'k', lines, url].map(quote).join(' ')}`
}

/**
 * `rb_fetch FILE TIMEOUT INSECURE HEADERS URL`: FILE `-` is standard output; HEADERS, one a line, may hold secrets and so
 * never stand on a command line: curl gets them on standard input, GNU wget in a file that only the user can read (it
 * refuses a pipe). busybox wget can do neither, and 1.35 of Debian 12 dies of SIGSEGV when -T is given, so it gets none.
 * `rb_checksum ALGORITHM DIGEST FILE URL` says what was expected and what came.
 */
export const FETCH_PRELUDE = `
rb_fetch() {
  if command -v curl >/dev/null; then
    { [ -z "$4" ] || printf '%s\\n' "$4" | sed 's/[\\\\"]/\\\\&/g; s/^/header = "/; s/$/"/'; printf 'url = "%s"\\n' "$5"; } |
      curl -q -fsSL \${3:+-k} --connect-timeout "$2" --speed-limit 1 --speed-time "$2" -o "$1" -K -
  elif ! command -v wget >/dev/null; then
    echo 'neither curl nor wget is there: install one, or say via: controller' >&2; return 1
  elif wget --version 2>/dev/null | grep -q GNU; then
    if [ -z "$4" ]; then wget -nv -t 1 -T "$2" \${3:+--no-check-certificate} -O "$1" -- "$5"
    else
      rb_c=$(mktemp) || return 1
      printf '%s\\n' "$4" | sed 's/^/header = /' > "$rb_c"
      wget --config="$rb_c" -nv -t 1 -T "$2" \${3:+--no-check-certificate} -O "$1" -- "$5"
      set -- $? "$rb_c"; rm -f -- "$2"; return "$1"
    fi
  elif [ -n "$4" ]; then
    echo 'busybox wget would show the headers to other users: install curl, or say via: controller' >&2; return 1
  else wget -q \${3:+--no-check-certificate} -O "$1" -- "$5"
  fi
}
rb_checksum() {
  rb_have=$("$1sum" < "$3") || return 1
  rb_have=\${rb_have%% *}
  [ "$rb_have" = "$2" ] || { echo "$4: expected $1 $2, got $rb_have" >&2; return 1; }
}
`
