import type { Booted } from './boot.ts'
import { type Channel, drained, newNonce } from './channel.ts'
import { type Framing, frame, type Sink } from './framing.ts'
import { Keep } from './keep.ts'
import { type RunOptions, type ScriptResult, SessionError } from './session.ts'

/** What the scripts of one user need of their connection. */
export interface ShellHost {
  readonly host: string
  /** A channel on which `line` runs as the user. Its standard input may be written at once. */
  open(line: string, kind: 'lasting' | 'urgent'): Promise<OpenChannel>
  /** A shell for scripts has begun. */
  booted(shell: Booted): void
  /** Why the connection is gone, if it is. */
  lost(): SessionError | undefined
  /** Waits until `lost` would tell: a channel may end a moment before its connection does. */
  settled(): Promise<void>
}

export interface OpenChannel {
  readonly channel: Channel
  /** Settles before the first output of `line` may be read. Rejects with a SessionError when it never ran. */
  readonly ready: Promise<Booted>
}

/** Bytes of each stream that a result keeps unless told otherwise. */
const MAX_OUTPUT = 16 * 1024 * 1024
/** How long a killed script may take to vanish before its shell is given up. */
const KILL_MS = 5000

interface Job {
  readonly script: string
  readonly options: RunOptions
  readonly stdout: Keep
  readonly stderr: Keep
  readonly sink: Sink
  readonly resolve: (result: ScriptResult) => void
  readonly reject: (reason: unknown) => void
  started: number
  timer: NodeJS.Timeout | undefined
  onAbort: (() => void) | undefined
  /** Why it was given up; the script is being killed, or will be when its turn comes. */
  abort: { readonly reason: unknown } | undefined
}

interface Live {
  readonly channel: Channel
  readonly framing: Framing
  booted: Booted | undefined
}

/**
 * The scripts of one `sh`: sent in order and without waiting for each other. When a script must die, the shell is killed
 * with it (its whole process group, by a channel of its own) and a new one takes over the scripts behind it, which
 * cannot have started: a shell reads on only after it has ended a script.
 */
export class ScriptQueue {
  readonly #host: ShellHost
  readonly #jobs: Job[] = []
  #live: Live | undefined
  #opening: Promise<void> | undefined
  #killing = false
  /** How many scripts were run. */
  count = 0

  constructor(host: ShellHost) {
    this.#host = host
  }

  /** No script is under way. */
  get idle(): boolean {
    return this.#jobs.length === 0
  }

  /** Opens the shell ahead of the first script, so that its errors show here. */
  start(): Promise<void> {
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  run(script: string, options: RunOptions = {}): Promise<ScriptResult> {
    if (script.includes('\0')) return Promise.reject(new TypeError('a script cannot hold a NUL byte'))
    if (options.signal?.aborted) return Promise.reject(options.signal.reason)
    return new Promise((resolve, reject) => {
      const job = this.#newJob(script, options, resolve, reject)
      this.count++
      this.#jobs.push(job)
      if (this.#live) this.#live.framing.send(script, job.sink)
      else this.#reopen()
      if (this.#jobs[0] === job) this.#begin()
    })
  }

  #newJob(script: string, options: RunOptions, resolve: Job['resolve'], reject: Job['reject']): Job {
    const { maxOutput = MAX_OUTPUT, signal, onOutput } = options
    const [stdout, stderr] = [new Keep(maxOutput), new Keep(maxOutput)]
    const data: Sink['data'] = (stream, chunk) => {
      if (stream === 'stdout') stdout.add(chunk)
      else stderr.add(chunk)
      try {
        if (!job.abort) onOutput?.(stream, chunk)
      } catch (error) {
        this.#giveUp(job, error)
      }
    }
    const job: Job = {
      script,
      options,
      stdout,
      stderr,
      sink: { data, end: (rc) => this.#end(job, rc) },
      resolve,
      reject,
      started: performance.now(),
      timer: undefined,
      onAbort: undefined,
      abort: undefined,
    }
    if (signal) {
      job.onAbort = () => this.#giveUp(job, signal.reason)
      signal.addEventListener('abort', job.onAbort, { once: true })
    }
    return job
  }

  async #open(): Promise<void> {
    if (this.#live) return
    const lost = this.#host.lost()
    if (lost) throw lost
    const { channel, ready } = await this.#host.open('exec /bin/sh', 'lasting')
    const live: Live = {
      channel,
      framing: frame(channel, newNonce(), () => live.booted?.bash ?? false),
      booted: undefined,
    }
    this.#live = live
    for (const job of this.#jobs) live.framing.send(job.script, job.sink)
    this.#begin()
    ready.then(
      async (booted) => {
        live.booted = booted
        this.#host.booted(booted)
        live.framing.listen()
        await drained(channel)
        if (!this.#killing) await this.#host.settled()
        this.#ended(live)
      },
      (error) => {
        channel.close()
        this.#ended(live, error)
      },
    )
  }

  /** Opens a shell for the scripts that wait; when that fails they fail. */
  #reopen(): void {
    this.start().catch((error) => {
      for (const job of this.#jobs.splice(0)) this.#settle(job, () => job.reject(job.abort ? job.abort.reason : error))
    })
  }

  /** The first script of the queue has its turn. */
  #begin(): void {
    const job = this.#jobs[0]
    if (!job) return
    job.started = performance.now()
    if (job.abort) return void this.#kill()
    const ms = job.options.timeoutMs
    if (ms === undefined || job.timer) return
    job.timer = setTimeout(() => {
      const message = `the script did not end within ${ms / 1000} s and was killed`
      this.#giveUp(job, new SessionError('timeout', this.#host.host, message))
    }, ms)
  }

  #giveUp(job: Job, reason: unknown): void {
    job.abort ??= { reason }
    const at = this.#jobs.indexOf(job)
    if (at === -1) return
    if (!this.#live) {
      this.#jobs.splice(at, 1)
      this.#settle(job, () => job.reject(reason))
    } else if (at === 0) this.#kill()
  }

  /** Kills the running script together with its shell. */
  #kill(): void {
    const live = this.#live
    if (this.#killing || !live) return
    this.#killing = true
    const group = live.booted?.processGroup
    const giveUp = setTimeout(() => live.channel.close(), group ? KILL_MS : 0)
    drained(live.channel).then(() => clearTimeout(giveUp))
    if (!group) return
    this.#host
      .open(`kill -s KILL -- -${group}`, 'urgent')
      .then(async ({ channel }) => {
        channel.stdin.end()
        channel.stdout.resume()
        channel.stderr.resume()
        await channel.exit
        channel.close()
      })
      .catch(() => live.channel.close())
  }

  #end(job: Job, rc: number): void {
    this.#jobs.shift()
    this.#settle(job, () => {
      if (job.abort) job.reject(job.abort.reason)
      else
        job.resolve({
          rc,
          stdout: job.stdout.take(),
          stderr: job.stderr.take(),
          elapsedMs: performance.now() - job.started,
          truncated: job.stdout.truncated || job.stderr.truncated,
        })
    })
    this.#begin()
  }

  /** A shell has ended. The script that it ran is lost; the ones behind it never started and get a new shell. */
  #ended(live: Live, error?: unknown): void {
    if (this.#live !== live) return
    this.#live = undefined
    this.#killing = false
    const head = this.#jobs[0]
    const rc = head && live.framing.finished(head.sink)
    if (head && rc !== undefined) this.#end(head, rc)
    else if (head) {
      this.#jobs.shift()
      const why =
        error ?? this.#host.lost() ?? new SessionError('lost', this.#host.host, 'the shell ended while it ran a script')
      this.#settle(head, () => head.reject(head.abort ? head.abort.reason : why))
    }
    for (const job of this.#jobs.filter((job) => job.abort)) {
      this.#jobs.splice(this.#jobs.indexOf(job), 1)
      this.#settle(job, () => job.reject(job.abort!.reason))
    }
    if (this.#jobs.length > 0) this.#reopen()
  }

  #settle(job: Job, settle: () => void): void {
    clearTimeout(job.timer)
    if (job.onAbort) job.options.signal?.removeEventListener('abort', job.onAbort)
    settle()
  }
}
