import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { quote } from '../shared/quote.ts'
import { newNonce } from './channel.ts'
import { SessionError, type UploadOptions } from './session.ts'
import type { OpenChannel } from './shell.ts'

export type OpenPassing = (line: string, signal?: AbortSignal) => Promise<OpenChannel>

/** Bytes of one write; ssh2 cuts them into packets of 32 KiB. */
const PIECE = 256 * 1024

/**
 * Sends a file. The content is followed by its SHA-256 as 64 hex digits, so that the host can tell a whole file from one
 * that was cut off, in one channel and even when the length is not known beforehand.
 */
export async function upload(
  host: string,
  open: OpenPassing,
  content: Buffer | AsyncIterable<Uint8Array>,
  path: string,
  options: UploadOptions = {},
): Promise<{ sha256: string; bytes: number }> {
  const { signal } = options
  signal?.throwIfAborted()
  const { channel, ready } = await open(uploadLine(path, options), signal)
  const abort = () => channel.close()
  signal?.addEventListener('abort', abort, { once: true })
  const output = { stdout: '', stderr: '' }
  let ended = false
  const end = ready
    .then(async () => {
      for (const stream of ['stdout', 'stderr'] as const) {
        channel[stream].on('data', (chunk: Buffer) => {
          if (output[stream].length < 4096) output[stream] += chunk
        })
        channel[stream].resume()
      }
      await channel.exit
      if (!channel.stdout.readableEnded && !channel.stdout.destroyed)
        await once(channel.stdout, 'close').catch(() => {})
    })
    .finally(() => {
      ended = true
    })
  end.catch(() => {})
  try {
    const hash = createHash('sha256')
    let bytes = 0
    for await (const piece of pieces(content)) {
      signal?.throwIfAborted()
      if (ended) break
      hash.update(piece)
      bytes += piece.length
      if (!channel.stdin.write(piece))
        await Promise.race([once(channel.stdin, 'drain').catch(() => {}), end.catch(() => {})])
    }
    const sha256 = hash.digest('hex')
    channel.stdin.end(sha256)
    await end
    signal?.throwIfAborted()
    if (output.stdout.trim() === 'ok') return { sha256, bytes }
    const why = output.stderr.trim() || 'the channel ended before the file was whole'
    throw new SessionError('upload', host, `cannot write ${path}: ${why}`)
  } finally {
    signal?.removeEventListener('abort', abort)
    channel.close()
  }
}

async function* pieces(content: Buffer | AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  if (!Buffer.isBuffer(content)) return yield* content
  for (let at = 0; at < content.length; at += PIECE) yield content.subarray(at, at + PIECE)
}

/** The host's part as one line of sh; reads the content from its standard input and says `ok` or why not. */
export function uploadLine(path: string, { mode, owner, group, fresh }: UploadOptions): string {
  if (!path.startsWith('/') || path.endsWith('/')) throw new TypeError(`"${path}" is not the absolute path of a file`)
  if (path.includes('\n')) throw new TypeError('the path of an upload cannot hold a newline')
  const temporary = `${path.slice(0, path.lastIndexOf('/') + 1)}.runbook-${newNonce()}`
  const owners = `${owner ?? ''}${group === undefined ? '' : `:${group}`}`
  return [
    'export LC_ALL=C',
    'umask 077',
    `p=${quote(path)}`,
    `t=${quote(temporary)}`,
    'die() { [ -z "$1" ] || printf "%s\\n" "$1" >&2; exit 1; }',
    '[ ! -d "$p" ] || die "it is a directory"',
    // Before the file is made: a signal may come at any time, and nobody else's file has such a name.
    'trap \'rm -f -- "$t"\' EXIT',
    "trap 'exit 1' HUP INT TERM PIPE",
    // The folder's own error ("No such file", "Permission denied", "Read-only file system") is the best message.
    '( set -C; : >"$t" ) || die',
    'cat >"$t" || die',
    'n=$(($(wc -c <"$t") - 64))',
    '[ "$n" -ge 0 ] || die "the content was cut off"',
    'w=$(tail -c 64 "$t")',
    // dd truncates its output at the block it is told to seek to (POSIX): the trailer goes.
    'dd if=/dev/null of="$t" bs=1 seek="$n" count=0 2>/dev/null || die "cannot truncate"',
    'h=$(sha256sum <"$t" 2>/dev/null || busybox sha256sum <"$t" 2>/dev/null || shasum -a 256 <"$t" 2>/dev/null || openssl dgst -sha256 -r <"$t" 2>/dev/null) || die "the host has none of sha256sum, busybox, shasum, openssl"',
    '[ "${h%% *}" = "$w" ] || die "the SHA-256 on the host is not that of the content sent"',
    'm= o=',
    ...(fresh ? [] : ['if [ -f "$p" ]; then s=$(stat -L -c "%a %u:%g" -- "$p") || die; m=${s% *} o=${s#* }; fi']),
    ...(mode === undefined ? ['m=${m:-600}'] : [`m=${mode.toString(8)}`]),
    // The owner of the replaced file first, then what was asked for: one of user and group may be left to the old file.
    '[ -z "$o" ] || [ "$o" = "$(stat -c "%u:%g" -- "$t")" ] || chown "$o" "$t" || die',
    ...(owners ? [`chown ${quote(owners)} "$t" || die`] : []),
    'chmod "$m" "$t" || die',
    'mv -f -- "$t" "$p" || die',
    'trap - EXIT',
    'echo ok',
    'exit 0',
  ].join('; ')
}
