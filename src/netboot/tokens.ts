/**
 * Tokens in URLs: who a machine is, and what it may have. Nothing here looks at where a request came from.
 * - a *tag* names a machine: it stands in the script's URL that DHCP tells that machine
 * - a *token* opens secrets: it stands in a script that goes out once, and each thing is had once for it
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { transact } from '../shared/database.ts'

export type Purpose = 'seed' | 'report'

/** What a tag names: a machine of the inventory, or an unknown one by its MAC address. */
export type TagKind = 'machine' | 'stranger'

export interface Grant {
  readonly machine: string
  /** The repave that it was given out for. */
  readonly repave: string
}

/** How long a seed is fetched after the boot, and how long an installer may report. Milliseconds. */
const LIFETIME: Readonly<Record<Purpose, number>> = { seed: 3600_000, report: 24 * 3600_000 }

export class Tokens {
  readonly #db: DatabaseSync
  readonly #key: Buffer
  /** What is being sent. */
  readonly #underWay = new Set<string>()

  constructor(db: DatabaseSync) {
    this.#db = db
    db.prepare("INSERT INTO secrets VALUES ('tag', ?) ON CONFLICT DO NOTHING").run(randomBytes(32))
    this.#key = Buffer.from(db.prepare("SELECT value FROM secrets WHERE name = 'tag'").get()!.value as Uint8Array)
  }

  /** 22 characters that only we can make for this name; the same each time, as DHCP repeats itself. */
  tag(machine: string, kind: TagKind = 'machine'): string {
    return createHmac('sha256', this.#key).update(`${kind}\0${machine}`).digest().subarray(0, 16).toString('base64url')
  }

  isTag(machine: string, tag: string, kind: TagKind = 'machine'): boolean {
    return same(this.tag(machine, kind), tag)
  }

  /** A new token, `ID.SECRET`. Only a hash of the secret is kept. */
  issue(purpose: Purpose, { machine, repave }: Grant, now: number): string {
    const id = randomBytes(9).toString('base64url')
    const secret = randomBytes(24).toString('base64url')
    transact(this.#db, () => {
      this.#db.prepare('DELETE FROM tokens WHERE expires <= ?').run(now)
      this.#db
        .prepare('INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?)')
        .run(id, hash(secret), purpose, machine, repave, now + LIFETIME[purpose])
    })
    return `${id}.${secret}`
  }

  /** What a token is for; undefined for one that is wrong, expired, or of another purpose. */
  check(token: string, purpose: Purpose, now: number): Grant | undefined {
    const [id = '', secret = ''] = token.split('.')
    const row = this.#db.prepare('SELECT * FROM tokens WHERE id = ?').get(id)
    // Compared even if there is none, so that the time tells nothing.
    const right = timingSafeEqual(hash(secret), row ? Buffer.from(row.hash as Uint8Array) : hash(''))
    if (row === undefined || !right || row.purpose !== purpose || Number(row.expires) <= now) return undefined
    return { machine: String(row.machine), repave: String(row.repave) }
  }

  /**
   * Takes `resource` for a token, until `settle` says what became of it: true once, and false ever after, also after a
   * restart. A server that dies on the way has given nothing: what was only taken may then be asked for again.
   */
  take(token: string, resource: string): boolean {
    const use = useOf(token, resource)
    const isUsed = this.#db.prepare('SELECT 1 FROM uses WHERE id = ? AND resource = ?').get(...use) !== undefined
    if (isUsed || this.#underWay.has(use.join(' '))) return false
    this.#underWay.add(use.join(' '))
    return true
  }

  /** What was taken was sent, or was not, and may be asked for again. Only the first word on it counts: false for others. */
  settle(token: string, resource: string, isSent: boolean): boolean {
    const use = useOf(token, resource)
    if (!this.#underWay.has(use.join(' '))) return false
    // The token may have expired meanwhile. Where the disk is full, it stays taken as long as we live.
    if (isSent)
      this.#db.prepare('INSERT INTO uses SELECT id, ?2 FROM tokens WHERE id = ?1 ON CONFLICT DO NOTHING').run(...use)
    this.#underWay.delete(use.join(' '))
    return true
  }
}

const useOf = (token: string, resource: string): [id: string, resource: string] => [token.split('.')[0]!, resource]

function hash(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

function same(a: string, b: string): boolean {
  return timingSafeEqual(hash(a), hash(b))
}
