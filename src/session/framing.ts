import { quote } from '../shared/quote.ts'
import type { Channel } from './channel.ts'

/**
 * The protocol with a persistent `sh` that reads its commands from standard input, over any channel. Each script is sent
 * as `( eval '…' ) </dev/null`, so nothing that a script does (a syntax error, `exit`, `set -e`, reading its standard
 * input) reaches the shell itself; then the shell ends each of its two output streams with a marker line. Scripts may be
 * sent before earlier ones have ended. Measurements behind this form: docs/architecture.md, "Session framing".
 */

/** Record separator: rare in output, so output is held back only when it really may be the start of a marker. */
const MARK = 0x1e

/** Above this many bytes bash gets a script through `head`: it reads its commands one byte a system call. */
const BASH_HEAD_BYTES = 8192

/** Takes one script's output. */
export interface Sink {
  data(stream: 'stdout' | 'stderr', chunk: Buffer): void
  /** The script has ended and all its output was given to `data`. */
  end(rc: number): void
}

interface Job {
  readonly sink: Sink
  rc: number | undefined
  open: number
}

export interface Framing {
  /** Sends a script. May be called before `listen`. */
  send(script: string, sink: Sink): void
  /** Starts to read the output; what came before it is not the scripts'. */
  listen(): void
  /** The exit status of a script that has ended though not all of its output came (the shell died just then). */
  finished(sink: Sink): number | undefined
}

/** Frames scripts for a `sh` that runs behind `channel`. `isBash` is asked at each script. */
export function frame(channel: Channel, nonce: string, isBash: () => boolean): Framing {
  const jobs = new Map<Sink, Job>()
  const waiting: Record<'stdout' | 'stderr', Job[]> = { stdout: [], stderr: [] }
  const listen = (stream: 'stdout' | 'stderr') => {
    const cutter = cutAtMarkers(
      nonce,
      (chunk) => waiting[stream][0]?.sink.data(stream, chunk),
      (rest) => {
        const job = waiting[stream].shift()
        if (!job) return
        if (stream === 'stdout') job.rc = Number.parseInt(rest, 10)
        if (--job.open === 0) {
          jobs.delete(job.sink)
          job.sink.end(job.rc!)
        }
      },
    )
    channel[stream].on('data', cutter).resume()
  }
  return {
    send(script, sink) {
      const job: Job = { sink, rc: undefined, open: 2 }
      jobs.set(sink, job)
      waiting.stdout.push(job)
      waiting.stderr.push(job)
      channel.stdin.write(frameScript(script, nonce, isBash()))
    },
    listen() {
      listen('stdout')
      listen('stderr')
    },
    finished: (sink) => jobs.get(sink)?.rc,
  }
}

/** The bytes that make a shell run one script and mark the end of both streams. */
export function frameScript(script: string, nonce: string, isBash: boolean): string {
  const mark = `printf '\\036${nonce} %s\\n' $?; printf '\\036${nonce}\\n' >&2\n`
  const bytes = isBash ? Buffer.byteLength(script) : 0
  if (bytes <= BASH_HEAD_BYTES) return `( eval ${quoteScript(script)} ) </dev/null; ${mark}`
  if (script.includes('\0')) throw new TypeError('a script cannot hold a NUL byte')
  return `( eval "$(head -c ${bytes} <&9)" 9<&- ) 9<&0 </dev/null; ${mark}${script}`
}

/** An option-like or empty script would confuse `eval`; a leading newline keeps it a plain word. */
function quoteScript(script: string): string {
  return quote(`\n${script}`)
}

/** Cuts a stream at marker lines: `data` gets what is between them, `mark` the text between the nonce and the newline. */
export function cutAtMarkers(nonce: string, data: (chunk: Buffer) => void, mark: (rest: string) => void) {
  const marker = Buffer.from(`\x1e${nonce}`)
  let held: Buffer | undefined
  return (fresh: Buffer): void => {
    let chunk = held ? Buffer.concat([held, fresh]) : fresh
    held = undefined
    while (chunk.length > 0) {
      const at = chunk.indexOf(marker)
      if (at === -1) {
        const keep = beginsMarker(chunk, marker)
        if (keep < chunk.length) data(chunk.subarray(0, chunk.length - keep))
        if (keep > 0) held = Buffer.from(chunk.subarray(chunk.length - keep))
        return
      }
      if (at > 0) data(chunk.subarray(0, at))
      const newline = chunk.indexOf(0x0a, at)
      if (newline === -1) {
        held = Buffer.from(chunk.subarray(at))
        return
      }
      mark(chunk.toString('latin1', at + marker.length, newline).trim())
      chunk = chunk.subarray(newline + 1)
    }
  }
}

/** How many bytes at the end of `chunk` may be the start of a marker. */
function beginsMarker(chunk: Buffer, marker: Buffer): number {
  const from = Math.max(0, chunk.length - marker.length)
  for (let at = chunk.indexOf(MARK, from); at !== -1; at = chunk.indexOf(MARK, at + 1)) {
    const tail = chunk.subarray(at)
    if (marker.subarray(0, tail.length).equals(tail)) return tail.length
  }
  return 0
}
