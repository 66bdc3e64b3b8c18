/** What each machine did last, for `watch` in another process. Written in batches: a rack that boots has much to tell. */
import type { DatabaseSync } from 'node:sqlite'
import { transact } from '../shared/database.ts'

export interface Activity {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly what: string
}

/** Milliseconds between writes. */
const PERIOD = 500

export class ActivityLog implements Disposable {
  readonly #db: DatabaseSync
  readonly #known: (name: string) => boolean
  readonly #trouble: (message: string) => void
  readonly #fresh = new Map<string, Activity>()
  readonly #timer: NodeJS.Timeout

  /** Only of machines that are `known`: addresses and MAC addresses are free to invent. */
  constructor(db: DatabaseSync, known: (name: string) => boolean, trouble: (message: string) => void) {
    this.#db = db
    this.#known = known
    this.#trouble = trouble
    this.#timer = setInterval(() => this.#write(), PERIOD)
    this.#timer.unref()
  }

  note(name: string, at: number, what: string): void {
    if (this.#known(name)) this.#fresh.set(name, { at, what })
  }

  #write(): void {
    if (this.#fresh.size === 0) return
    try {
      transact(this.#db, () => {
        const put = this.#db.prepare(
          'INSERT INTO activity VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET at = ?2, what = ?3',
        )
        for (const [name, { at, what }] of this.#fresh) put.run(name, at, what)
      })
    } catch (error) {
      this.#trouble(`what machines do cannot be written: ${(error as Error).message}`)
    }
    this.#fresh.clear()
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#write()
  }
}

/** The last activity of each machine. */
export function readActivity(db: DatabaseSync): Map<string, Activity> {
  const rows = db.prepare('SELECT * FROM activity').all()
  return new Map(rows.map(({ name, at, what }) => [String(name), { at: Number(at), what: String(what) }]))
}
