import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import {
  type Become,
  type Connect,
  type Connection,
  type Prompt,
  SessionError,
  type Shell,
  type Target,
} from '../session/session.ts'

export interface LinkOptions {
  readonly connect: Connect
  readonly prompt?: Prompt | undefined
  readonly addSecret: (secret: string) => void
  /** Who holds the host's lock, in words; undefined takes no lock (check mode). */
  readonly holder: string | undefined
  /** How long another run on the host is waited for. */
  readonly waitLockMs?: number | undefined
  readonly signal: AbortSignal
  /** The run is to end after the steps that run: a lost host is not waited for any more. */
  readonly stop: AbortSignal
  /** Told when a connection had to be made again, or a lock is waited for. */
  readonly note: (msg: string) => void
}

/** How long a host that was there a moment ago may be gone before it counts as unreachable. */
const RECONNECT_MS = 120_000
/** A step of ours that goes on after its connection was lost holds the lock; we wait for it that long. */
const OWN_LOCK_MS = 600_000
/** How often another run's lock is tried while it is waited for. */
const LOCK_RETRY_MS = 2000

/**
 * The way to one host for the length of a run: made when first used, made again after it was lost, and shared by all
 * tasks. Counts the scripts of all its shells.
 */
export class Link implements AsyncDisposable {
  readonly target: Target
  readonly #options: LinkOptions
  #connection: Promise<Connection> | undefined
  #wasUp = false
  #ahead: { readonly become: Become | undefined; readonly shell: Promise<Shell> } | undefined
  /** The next connection has to be a new login. */
  #anew = false
  /** When waiting for another run's lock is over; while one waits. */
  #waitsUntil: number | undefined
  #shells = new Set<Shell>()
  #spent = 0

  constructor(target: Target, options: LinkOptions) {
    this.target = target
    this.#options = options
  }

  /** How many scripts have been run on the host. */
  get scripts(): number {
    let n = this.#spent
    for (const shell of this.#shells) n += shell.scripts
    return n
  }

  get connected(): boolean {
    return this.#connection !== undefined
  }

  /** Logs in ahead of the first task that needs a shell: what comes of it, that task is told. */
  begin(become: Become | undefined): void {
    if (this.connected) return
    const shell = this.#make(become)
    shell.catch(() => {})
    this.#ahead = { become, shell }
  }

  /** The shell of the login user, or of `become`'s; connects when needed. Throws SessionError. */
  async shell(become?: Become): Promise<Shell> {
    const ahead = this.#ahead
    this.#ahead = undefined
    return ahead && isDeepStrictEqual(ahead.become, become) ? ahead.shell : this.#make(become)
  }

  async #make(become: Become | undefined): Promise<Shell> {
    const attempt = this.#connect()
    const connection = await attempt
    const locked = this.#lock(connection, become)
    try {
      // Lock and shell are asked for together: one after the other would cost round trips. No script runs without both.
      const [shell] = await Promise.all([connection.shell(become), locked])
      this.#shells.add(shell)
      return shell
    } catch (error) {
      // The lock's refusal closes the connection, which may be what the shell met first.
      const reason = await locked.then(
        () => error,
        (refusal: unknown) => refusal,
      )
      const waits = reason instanceof SessionError && reason.kind === 'locked' && (await this.#waits(reason))
      if (!waits && !isLeftBehind(reason)) throw reason
      if (!waits) this.#wasUp = true
      if (this.#connection === attempt) this.#forget()
      return this.#make(become)
    }
  }

  /** A connection of its own that is tried once and not kept. */
  tryConnect(timeoutMs: number): Promise<Connection> {
    const { connect, addSecret, signal } = this.#options
    return connect({ ...this.target, connectTimeoutMs: timeoutMs }, { addSecret, signal, anew: true })
  }

  /** As `drop`, and the next use logs in anew, whatever ssh keeps. */
  async reset(): Promise<void> {
    this.#anew = true
    await this.drop()
  }

  /** Ends the connection; the next use makes a new one. */
  async drop(): Promise<void> {
    this.#ahead = undefined
    const connection = await this.#connection?.catch(() => undefined)
    this.#forget()
    await connection?.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drop()
  }

  #forget(): void {
    this.#connection = undefined
    this.#spent = this.scripts
    this.#shells = new Set()
  }

  #connect(): Promise<Connection> {
    if (!this.#connection) {
      const attempt = this.#wasUp ? this.#reconnect() : this.#open()
      this.#connection = attempt
      attempt.then(
        (connection) => {
          void connection.closed.then(() => {
            if (this.#connection === attempt) this.#forget()
          })
        },
        () => {
          if (this.#connection === attempt) this.#forget()
        },
      )
    }
    return this.#connection
  }

  #open(): Promise<Connection> {
    const { connect, prompt, addSecret, note, signal } = this.#options
    const anew = this.#anew
    this.#anew = false
    return connect(this.target, { prompt, addSecret, note, signal, ...(anew && { anew }) })
  }

  /** Nobody works on a host that another run holds: refused, the connection ends. */
  async #lock(connection: Connection, become: Become | undefined): Promise<void> {
    const { holder } = this.#options
    try {
      if (holder !== undefined) await connection.lock(holder, become)
      this.#wasUp = true
      this.#waitsUntil = undefined
    } catch (error) {
      await connection.close()
      throw error
    }
  }

  /** `--wait-lock`: whether to try again. */
  async #waits({ message }: SessionError): Promise<boolean> {
    const { waitLockMs = 0, note, signal, stop } = this.#options
    if (this.#waitsUntil === undefined && waitLockMs > 0) note(`waiting up to ${waitLockMs / 1000} s: ${message}`)
    this.#waitsUntil ??= performance.now() + waitLockMs
    const left = this.#waitsUntil - performance.now()
    const either = AbortSignal.any([signal, stop])
    if (left <= 0 || either.aborted) return false
    await sleep(Math.min(left, LOCK_RETRY_MS), undefined, { signal: either }).catch(() => {})
    return !either.aborted
  }

  async #reconnect(): Promise<Connection> {
    const started = performance.now()
    let wait = 250
    let said = false
    for (;;) {
      try {
        const connection = await this.#open()
        await this.#lock(connection, undefined)
        this.#options.note(`connected again after ${Math.round((performance.now() - started) / 1000)} s`)
        return connection
      } catch (error) {
        if (!(error instanceof SessionError) || this.#options.signal.aborted || this.#options.stop.aborted) throw error
        const ownLock =
          (error.kind === 'locked' && error.message.includes(this.#options.holder ?? '\0')) || isLeftBehind(error)
        const limit = ownLock ? OWN_LOCK_MS : RECONNECT_MS
        if (!ownLock && error.kind !== 'unreachable' && error.kind !== 'lost' && error.kind !== 'timeout') throw error
        if (performance.now() - started + wait > limit) throw error
        if (!said) {
          said = true
          this.#options.note(
            ownLock
              ? 'a step of this run, or of one that died, still goes on there; waiting for its end'
              : `connection lost; trying again: ${error.message}`,
          )
        }
        await sleep(wait, undefined, { signal: AbortSignal.any([this.#options.signal, this.#options.stop]) }).catch(
          () => {},
        )
        wait = Math.min(wait * 2, 5_000)
      }
    }
  }
}

/** Whether a lock is held by nothing but the last step of a run that was started on this machine and has died since. */
function isLeftBehind(error: unknown): boolean {
  if (!(error instanceof SessionError) || error.kind !== 'locked') return false
  const [, machine, pid] = /of \S+@(\S+), pid (\d+)\b/.exec(error.message) ?? []
  if (machine !== hostname() || pid === undefined) return false
  try {
    process.kill(Number(pid), 0)
    return false
  } catch (gone) {
    return (gone as NodeJS.ErrnoException).code === 'ESRCH'
  }
}
