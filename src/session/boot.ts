import { AFTER_EXIT_MS, type Channel } from './channel.ts'

/**
 * How every channel begins. The login shell (which may be fish or csh and may print a greeting) only has to `exec` one
 * command of plain words and one single-quoted string without `'`, `\'`, `!` or a newline. That command says who it is and
 * evaluates a line: the one that came with it, in the same flight as the request for the command; or, where a password may be
 * asked for, the next line of standard input behind one with the nonce (what stands before it is a password that nobody asked
 * for).
 */

export interface Booted {
  /** Process id of the shell and its process group, for killing; NaN where the host does not tell. */
  readonly pid: number
  readonly processGroup: number
  /** When it started, in clock ticks since the boot (proc_pid_stat(5)): a recycled id is not taken for it. '' without /proc. */
  readonly started: string
  readonly bash: boolean
}

export function bootScript(nonce: string): string {
  return [
    'l=',
    'IFS= read -r l </proc/$$/stat',
    'c=$1',
    'set -- ${l##*) }',
    'g=$3 s=${20}',
    '[ "$g" ] || g=$(ps -o pgid= -p $$)',
    `printf "\\036${nonce} %s %s %s %s\\n" $$ "$g" "$s" "\${BASH_VERSION+bash}"`,
    `printf "\\036${nonce}\\n" >&2`,
    `[ "$c" ] || { while IFS= read -r c; do [ "$c" = ${nonce} ] && break; done; IFS= read -r c; }`,
    'eval "$c"',
  ].join('; ')
}

/** What is sent to a boot script that was given no line: everything behind it is the standard input of `line`. */
export function bootInput(nonce: string, line: string): string {
  if (line.includes('\n')) throw new TypeError('a command line cannot hold a newline')
  return `${nonce}\n${line}\n`
}

/**
 * The login shell's command line that runs the boot script, with the line that it is to evaluate or, as `sh`, the quoted words
 * that take it: `sudo … sh -c`.
 */
export function bootCommand(nonce: string, { line, sh = '/bin/sh -c' }: { line?: string; sh?: string }): string {
  return `exec ${sh} '${bootScript(nonce)}'${line === undefined ? '' : ` sh ${quoteForAnyShell(line)}`}`
}

/**
 * A word as POSIX shells, fish and csh read it alike: single quotes around all but what one of them takes for something else
 * there, which a backslash outside of quotes makes plain in all of them.
 */
export function quoteForAnyShell(word: string): string {
  if (/[\0\n]/.test(word)) throw new TypeError('a command line cannot hold a newline or NUL')
  return `'${word.replace(/['!\\]/g, "'\\$&'")}'`
}

/** What the streams held before the boot script spoke is kept for error messages, up to this many bytes each. */
const KEPT_NOISE = 4096

export interface Boot {
  readonly ready: Promise<Booted>
  /** What was printed before the boot script spoke: greetings, `sudo: …`, the reason why nothing came. */
  noise(): string
  /** Called at each piece of noise. */
  onNoise?: (() => void) | undefined
}

/**
 * Watches a channel until the boot script has spoken on both streams; then the streams carry the output of the
 * channel's command alone: what came with the same chunk is put back. Rejects with the noise when the channel ends before.
 */
export function watchBoot(channel: Channel, nonce: string): Boot {
  const marker = Buffer.from(`\x1e${nonce}`)
  const noise = { stdout: '', stderr: '' }
  const boot = {
    onNoise: undefined as (() => void) | undefined,
    noise: () => [noise.stderr.trim(), noise.stdout.trim()].filter(Boolean).join('\n'),
  }
  const until = (stream: 'stdout' | 'stderr') =>
    new Promise<string | undefined>((resolve) => {
      const source = channel[stream]
      let seen: Buffer = Buffer.alloc(0)
      const data = (chunk: Buffer) => {
        seen = seen.length > 0 ? Buffer.concat([seen, chunk]) : chunk
        const at = seen.indexOf(marker)
        const newline = at === -1 ? -1 : seen.indexOf(0x0a, at)
        if (newline === -1) {
          if (at === -1 && seen.length > 2 * KEPT_NOISE) seen = Buffer.from(seen.subarray(seen.length - KEPT_NOISE))
          noise[stream] = seen.toString()
          boot.onNoise?.()
          return
        }
        stop()
        source.pause()
        noise[stream] = seen.toString('utf8', 0, at)
        if (seen.length > newline + 1) source.unshift(seen.subarray(newline + 1))
        resolve(seen.toString('latin1', at + marker.length, newline).trim())
      }
      const end = () => {
        stop()
        resolve(undefined)
      }
      // Something that is left behind may keep the stream open.
      channel.exit.then(() => setTimeout(end, AFTER_EXIT_MS).unref())
      const stop = () => {
        source.off('data', data)
        source.off('end', end)
        source.off('close', end)
      }
      source.on('data', data)
      source.on('end', end)
      source.on('close', end)
    })
  const ready = Promise.all([until('stdout'), until('stderr')]).then(([said, too]) => {
    if (said === undefined || too === undefined) throw new BootError()
    const [pid, group, started = '', kind] = said.split(' ')
    return { pid: Number(pid), processGroup: group ? Number(group) : Number.NaN, started, bash: kind === 'bash' }
  })
  ready.catch(() => {})
  return Object.assign(boot, { ready })
}

/** The channel ended before the boot script spoke. */
export class BootError extends Error {
  override readonly name = 'BootError'
}
