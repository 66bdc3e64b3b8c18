/** Locks of plain hosts, in `.runbook/guards.db` beside the inventory: SQLite, for its locking between processes. */
import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { openDatabase, STATE_FOLDER } from '../../shared/database.ts'
import { UserError } from '../../shared/errors.ts'
import { EMPTY, type GuardStore, type Pulse, parseLedger } from './store.ts'

export const GUARDS_FILE = 'guards.db'

/** IF NOT EXISTS: the first files were made without a version. */
const STEPS = [
  `
  CREATE TABLE IF NOT EXISTS ledger (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, json TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS pulse (
    node TEXT PRIMARY KEY, id TEXT NOT NULL, version INTEGER NOT NULL, valid_ms INTEGER NOT NULL, at INTEGER NOT NULL
  );
  `,
]

/** Versions are random: none comes again, also after a pulse was removed and made anew. */
const MOST = 2 ** 47

interface Row {
  readonly node: string
  readonly id: string
  readonly version: number
  readonly valid_ms: number
  readonly at: number
}

/** Opens the locks of an inventory's folder; made if they are not there. Throws UserError when it cannot be written. */
export function openFileStore(folder: string): GuardStore {
  const path = join(folder, STATE_FOLDER, GUARDS_FILE)
  const db = openDatabase(folder, GUARDS_FILE, STEPS)
  return {
    place: path,
    [Symbol.dispose]: () => db.close(),

    read: async () =>
      opening(path, () => {
        db.exec('BEGIN')
        try {
          const row = db.prepare('SELECT version, json FROM ledger').get() as
            | { version: number; json: string }
            | undefined
          const ledger = row ? parseLedger(row.json) : EMPTY
          if (!ledger)
            throw new UserError({ message: `${path} is damaged`, hint: 'when no runbook is at work, remove it' })
          const pulses = (db.prepare('SELECT * FROM pulse').all() as unknown as Row[]).map(pulseOf)
          return { version: row && String(row.version), ledger, pulses: new Map(pulses.map((one) => [one.node, one])) }
        } finally {
          db.exec('COMMIT')
        }
      }),

    swap: async (before, ledger) =>
      opening(path, () => {
        const json = JSON.stringify(ledger)
        const { changes } =
          before === undefined
            ? db.prepare('INSERT INTO ledger VALUES (1, 1, ?) ON CONFLICT DO NOTHING').run(json)
            : db
                .prepare('UPDATE ledger SET version = version + 1, json = ? WHERE version = ?')
                .run(json, Number(before))
        return changes === 1
      }),

    beat: async (before, { node, id, validMs }) =>
      opening(path, () => {
        const row: Row = { node, id, version: randomInt(MOST), valid_ms: Math.ceil(validMs), at: Date.now() }
        const { changes } =
          before === undefined
            ? db
                .prepare('INSERT INTO pulse VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING')
                .run(node, id, row.version, row.valid_ms, row.at)
            : db
                .prepare('UPDATE pulse SET id = ?, version = ?, valid_ms = ?, at = ? WHERE node = ? AND version = ?')
                .run(id, row.version, row.valid_ms, row.at, node, Number(before.version))
        return changes === 1 ? pulseOf(row) : undefined
      }),

    drop: async (pulse) =>
      opening(path, () => {
        db.prepare('DELETE FROM pulse WHERE node = ? AND version = ?').run(pulse.node, Number(pulse.version))
        return db.prepare('SELECT 1 FROM pulse WHERE node = ?').get(pulse.node) === undefined
      }),
  }
}

function pulseOf({ node, id, version, valid_ms: validMs, at }: Row): Pulse {
  return { node, id, version: String(version), validMs, at }
}

function opening<T>(path: string, fn: () => T): T {
  try {
    return fn()
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(`cannot use the locks in ${path}: ${(error as Error).message}`, { cause: error })
  }
}
