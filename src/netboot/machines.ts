/** The states of all machines, durable: what an event changed is on the disk before anybody is told of it. */
import { randomBytes } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { transact, withoutWaiting } from '../shared/database.ts'
import { type Facts, parseFacts } from './facts.ts'
import { type MachineEvent, type MachineState, PHASES, restartPending, step, type Transition } from './life-cycle.ts'

const time = z.int().nonnegative()
const STATE = z.strictObject({
  phase: z.enum(PHASES),
  since: time,
  detail: z.string().optional(),
  repave: z
    .strictObject({
      token: z.string().min(1),
      asked: time,
      until: time,
      served: time.optional(),
      retries: time,
      silent: z.boolean().optional(),
      restart: z.boolean().optional(),
    })
    .optional(),
  restart: z
    .strictObject({ asked: time, until: time, begun: time.optional(), retries: time, force: z.boolean() })
    .optional(),
})

/** How a repave or a reboot is waited for. */
export interface WishSettings {
  /** Milliseconds that it waits to begin. */
  readonly valid: number
  /** Milliseconds from its beginning (the installer is given out; power control is told) to its end. */
  readonly timeout: number
  /** How many more times it is tried. */
  readonly retries: number
  /** What is done with the machine then: nothing, or its power is cut, where that can be. */
  readonly giveUp: 'leave' | 'off'
}

export interface Wishes {
  readonly repave: WishSettings
  readonly reboot: WishSettings
}

export const DEFAULT_WISH: WishSettings = { valid: 24 * 3600_000, timeout: 30 * 60_000, retries: 0, giveUp: 'leave' }

/** A machine whose state time changed. */
export interface Late {
  readonly name: string
  readonly state: MachineState
  readonly gaveUp?: Transition['gaveUp']
}

export interface HistoryLine {
  readonly at: number
  readonly name: string
  readonly what: string
}

/** Machines that nobody knows are remembered up to this number: MAC addresses are free to invent. */
const MOST_STRANGERS = 1000
/** Then the one that was seen first gives way, if that is so long ago: inventing many more costs no writes. Milliseconds. */
const STRANGER_STAYS = 3600_000
/** They are named by their MAC addresses, as hosts of an inventory hardly are. */
const IS_STRANGER = "name GLOB '??:??:??:??:??:??'"
/** Lines of history kept of each machine. */
const MOST_HISTORY = 200

export class Machines {
  readonly #db: DatabaseSync
  readonly #trouble: (message: string) => void

  constructor(db: DatabaseSync, trouble: (message: string) => void = () => {}) {
    this.#db = db
    this.#trouble = trouble
  }

  /** Undefined for a machine that nothing is known of, and for one whose state cannot be read. */
  state(name: string): MachineState | undefined {
    const row = this.#db.prepare('SELECT state FROM machines WHERE name = ?').get(name)
    return row === undefined ? undefined : this.#parse(name, row.state)
  }

  all(): ReadonlyMap<string, MachineState> {
    const states = new Map<string, MachineState>()
    for (const { name, state } of this.#db.prepare('SELECT name, state FROM machines ORDER BY name').all()) {
      const parsed = this.#parse(String(name), state)
      if (parsed) states.set(String(name), parsed)
    }
    return states
  }

  /**
   * Applies an event: read, decided and written in one transaction, whatever other processes do. `also` is written with
   * it, if it changes anything. Durable, but for steps of an installer that follow one another.
   */
  apply(name: string, event: MachineEvent, also: () => void = () => {}): Transition {
    // A rack that installs tells its percentages many times a second, and everybody else would wait for the disk.
    if (event.type === 'progress' && this.state(name)?.phase === 'installing')
      return withoutWaiting(this.#db, () => this.#apply(name, event, also))
    return this.#apply(name, event, also)
  }

  #apply(name: string, event: MachineEvent, also: () => void): Transition {
    return transact(this.#db, () => {
      const before = this.state(name)
      const transition = step(before, event)
      const { state } = transition
      if (state === before) return transition
      this.#db
        .prepare('INSERT INTO machines (name, state) VALUES (?, ?) ON CONFLICT DO UPDATE SET state = excluded.state')
        .run(name, JSON.stringify(state))
      also()
      if (event.type === 'progress' && isSameStep(before?.detail, state.detail)) return transition
      const what = [event.type, before?.phase !== state.phase && `→ ${state.phase}`, state.detail].filter(Boolean)
      this.#note(event.at, name, what.join(' '))
      return transition
    })
  }

  /**
   * What the machine boots. Anything that goes wrong here, a full disk too, means its local disk: an installer goes out
   * only after it is written down that it did.
   */
  boot(name: string, at: number, silent = false): { boot: 'installer' | 'local'; token?: string | undefined } {
    try {
      // Reading first keeps the many boots that are only that from writing.
      const before = this.state(name)
      if (before?.repave === undefined && before?.restart === undefined) return { boot: 'local' }
      const { boot = 'local', state } = this.apply(name, { type: 'boot', at, ...(silent && { silent }) })
      return boot === 'installer' ? { boot, token: state.repave?.token } : { boot }
    } catch (error) {
      this.#trouble(`${name} boots its local disk, as its state cannot be written: ${(error as Error).message}`)
      return { boot: 'local' }
    }
  }

  /** The machine is given its local disk to boot, whatever its state is. */
  bootLocal(name: string, at: number): void {
    try {
      const before = this.state(name)
      if (before?.restart || before?.repave?.silent) this.apply(name, { type: 'local', at })
    } catch (error) {
      this.#trouble(`that ${name} boots cannot be written: ${(error as Error).message}`)
    }
  }

  /** Asks for a repave; with `reboot`, power control restarts the machine for it. Gives why not, if it cannot be. */
  repave(
    name: string,
    at: number,
    { valid, retries }: Pick<WishSettings, 'valid' | 'retries'>,
    reboot?: WishSettings,
  ): string | undefined {
    const restart = reboot && { until: at + reboot.valid, retries: reboot.retries }
    return this.apply(name, { type: 'repave', at, token: newToken(), until: at + valid, retries, restart }).refused
  }

  /** Asks for a restart. Gives why not, if it cannot be. */
  restart(
    name: string,
    at: number,
    { valid, retries, force }: Pick<WishSettings, 'valid' | 'retries'> & { force: boolean },
  ): string | undefined {
    return this.apply(name, { type: 'restart', at, until: at + valid, retries, force }).refused
  }

  /** Machines whose power control is to be told to restart them. */
  toRestart(now: number): string[] {
    return [...this.all()].flatMap(([name, state]) => (restartPending(state, now) ? [name] : []))
  }

  /** Remembers an unknown machine, unless too many are. */
  discover(mac: string, at: number): void {
    try {
      if (this.#db.prepare('SELECT 1 FROM machines WHERE name = ?').get(mac) !== undefined) return
      const { n } = this.#db.prepare(`SELECT count(*) AS n FROM machines WHERE ${IS_STRANGER}`).get()!
      if (Number(n) >= MOST_STRANGERS && !this.#forgetStranger(at - STRANGER_STAYS)) return
      this.apply(mac, { type: 'seen', at })
    } catch (error) {
      this.#trouble(`that ${mac} was seen cannot be written: ${(error as Error).message}`)
    }
  }

  /** Forgets the one that was seen first, those that told what they are last; false when none was seen before `before`. */
  #forgetStranger(before: number): boolean {
    const oldest = this.#db
      .prepare(
        `SELECT name FROM machines LEFT JOIN facts ON mac = name WHERE ${IS_STRANGER} AND state ->> 'since' < ?
         ORDER BY mac IS NOT NULL, state ->> 'since' LIMIT 1`,
      )
      .get(before)
    if (oldest === undefined) return false
    transact(this.#db, () => {
      for (const [table, column] of [
        ['machines', 'name'],
        ['facts', 'mac'],
        ['history', 'name'],
      ] as const)
        this.#db.prepare(`DELETE FROM ${table} WHERE ${column} = ?`).run(oldest.name!)
    })
    return true
  }

  /** Lets time pass for all machines; gives those whose state it changed. */
  tick(at: number, { repave, reboot }: Wishes): Late[] {
    const due = [...this.all()].filter(
      ([, state]) =>
        (state.repave?.served !== undefined && at - state.repave.served >= repave.timeout) ||
        (state.restart?.begun !== undefined && at - state.restart.begun >= reboot.timeout),
    )
    return due.flatMap(([name, before]) => {
      const { timeout, valid } = repave
      const { state, gaveUp } = this.apply(name, { type: 'tick', at, timeout, valid, reboot, token: newToken() })
      return state.detail === before.detail && state.phase === before.phase ? [] : [{ name, state, gaveUp }]
    })
  }

  /** The installed system is up and told its host keys; gives why it is not believed. What follows is remembered. */
  reachable(name: string, at: number, token: string, keys: readonly string[]): string | undefined {
    return this.apply(name, { type: 'reachable', at, token }, () => {
      this.#db.prepare('UPDATE machines SET host_keys = ?, to_follow = 1 WHERE name = ?').run(keys.join('\n'), name)
    }).refused
  }

  /** Machines that became reachable, and for which `followed` has not been called. */
  toFollow(): string[] {
    const rows = this.#db.prepare('SELECT name FROM machines WHERE to_follow = 1 ORDER BY name').all()
    return rows.map(({ name }) => String(name)).filter((name) => this.state(name)?.phase === 'reachable')
  }

  /** What follows on an installation was done, with this result. */
  followed(name: string, at: number, result: string): void {
    transact(this.#db, () => {
      this.#db.prepare('UPDATE machines SET to_follow = 0 WHERE name = ?').run(name)
      this.#note(at, name, result)
    })
  }

  /** What an unknown machine told of itself, over what it told before. */
  setFacts(mac: string, at: number, facts: Facts): void {
    this.discover(mac, at)
    if (this.state(mac) === undefined) return
    this.#db
      .prepare('INSERT INTO facts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at, facts = excluded.facts')
      .run(mac, at, JSON.stringify(facts))
  }

  facts(mac: string): Facts | undefined {
    const row = this.#db.prepare('SELECT facts FROM facts WHERE mac = ?').get(mac)
    return row && parseFacts(String(row.facts))
  }

  /** SSH host keys (`ssh-ed25519 AAAA…`) that the machine's phone-home told. */
  hostKeys(name: string): string[] {
    const row = this.#db.prepare('SELECT host_keys FROM machines WHERE name = ?').get(name)
    return row?.host_keys ? String(row.host_keys).split('\n') : []
  }

  /** The newest lines, oldest first. */
  history(name: string, limit = 20): HistoryLine[] {
    const rows = this.#db.prepare('SELECT * FROM history WHERE name = ? ORDER BY rowid DESC LIMIT ?').all(name, limit)
    return rows.map(({ at, what }) => ({ at: Number(at), name, what: String(what) })).reverse()
  }

  #note(at: number, name: string, what: string): void {
    this.#db.prepare('INSERT INTO history VALUES (?, ?, ?)').run(at, name, what)
    this.#db
      .prepare(
        'DELETE FROM history WHERE name = ?1 AND rowid <= (SELECT rowid FROM history WHERE name = ?1 ORDER BY rowid DESC LIMIT 1 OFFSET ?2)',
      )
      .run(name, MOST_HISTORY)
  }

  #parse(name: string, text: unknown): MachineState | undefined {
    try {
      return STATE.parse(JSON.parse(String(text)))
    } catch {
      this.#trouble(`the state of ${name} cannot be read; it boots its local disk until it is repaved`)
      return undefined
    }
  }
}

/** A step that has come further: its history is that it began. */
function isSameStep(before: string | undefined, after: string | undefined): boolean {
  const plain = (text: string | undefined): string | undefined => text?.replace(/\d+ %/, '%')
  return plain(before) === plain(after)
}

function newToken(): string {
  return randomBytes(12).toString('base64url')
}
