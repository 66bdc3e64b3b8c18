/** The database of netboot: machine states and tokens. Several processes may have it open. */
import { chmodSync, closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { UserError } from '../shared/errors.ts'

const FOLDER = '.runbook'
const FILE = 'netboot.db'
/** Milliseconds that a statement waits for another process. */
const BUSY_TIMEOUT = 5000

/** Tables, as steps from one version to the next; a step that was released is never edited. */
const STEPS = [
  `
  CREATE TABLE machines (name TEXT PRIMARY KEY, state TEXT NOT NULL, host_keys TEXT) STRICT;
  CREATE TABLE history (at INTEGER NOT NULL, name TEXT NOT NULL, what TEXT NOT NULL) STRICT;
  CREATE INDEX history_of ON history (name, at);
  CREATE TABLE tokens (
    id TEXT PRIMARY KEY, hash BLOB NOT NULL, purpose TEXT NOT NULL, machine TEXT NOT NULL, repave TEXT NOT NULL,
    expires INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE uses (id TEXT NOT NULL REFERENCES tokens ON DELETE CASCADE, resource TEXT NOT NULL,
    PRIMARY KEY (id, resource)) STRICT;
  CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
  `,
  `
  CREATE TABLE facts (mac TEXT PRIMARY KEY, at INTEGER NOT NULL, facts TEXT NOT NULL) STRICT;
  CREATE TABLE activity (name TEXT PRIMARY KEY, at INTEGER NOT NULL, what TEXT NOT NULL) STRICT;
  ALTER TABLE machines ADD COLUMN to_follow INTEGER NOT NULL DEFAULT 0;
  `,
]

/**
 * Opens `folder/.runbook/netboot.db` (readable by its owner only), or one in memory. Each commit is on the disk when it
 * returns: a token that was given out must stay given out after a power cut. Throws UserError when it cannot be had.
 */
export function openDatabase(folder: string | undefined): DatabaseSync {
  const path = folder === undefined ? ':memory:' : join(folder, FOLDER, FILE)
  try {
    if (folder !== undefined) prepare(join(folder, FOLDER), path)
    const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT })
    try {
      db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
      transact(db, () => {
        const version = Number(db.prepare('PRAGMA user_version').get()?.user_version)
        if (version > STEPS.length) throw new UserError(`${path} was written by a newer runbook`)
        for (const step of STEPS.slice(version)) db.exec(step)
        db.exec(`PRAGMA user_version = ${STEPS.length}`)
      })
      return db
    } catch (error) {
      db.close()
      throw error
    }
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(
      {
        message: `cannot open ${path}: ${(error as Error).message}`,
        hint: 'is the folder writable, and the disk full?',
      },
      { cause: error },
    )
  }
}

/** Runs `fn` in a transaction that keeps other processes' writes out. */
export function transact<T>(db: DatabaseSync, fn: () => T): T {
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = fn()
    db.exec('COMMIT')
    return result
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

function prepare(home: string, path: string): void {
  try {
    mkdirSync(home, { mode: 0o700 })
    writeFileSync(join(home, '.gitignore'), '*\n')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  closeSync(openSync(path, 'a', 0o600))
  chmodSync(path, 0o600)
}
