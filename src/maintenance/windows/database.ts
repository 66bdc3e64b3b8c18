/** The database of the schedule, and the lock that makes one daemon of two. */
import { chmodSync, closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { UserError } from '../../shared/errors.ts'

const FOLDER = '.runbook'
const FILE = 'schedule.db'
/** Milliseconds that a statement waits for another process. */
const BUSY_TIMEOUT = 5000

/** Tables, as steps from one version to the next; a step that was released is never edited. */
const STEPS = [
  `
  CREATE TABLE occurrences (
    id TEXT PRIMARY KEY, window TEXT NOT NULL, opens INTEGER NOT NULL, starts INTEGER NOT NULL, ends INTEGER NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL, plan TEXT NOT NULL,
    opened_at INTEGER NOT NULL, closed_at INTEGER, UNIQUE (window, opens)
  ) STRICT;
  CREATE INDEX occurrences_by_time ON occurrences (opened_at);
  CREATE TABLE nodes (
    occurrence TEXT NOT NULL REFERENCES occurrences ON DELETE CASCADE, host TEXT NOT NULL, position INTEGER NOT NULL,
    status TEXT NOT NULL, phase TEXT NOT NULL, attempt INTEGER NOT NULL, process TEXT, playbook TEXT NOT NULL,
    started_at INTEGER, ended_at INTEGER, detail TEXT NOT NULL, PRIMARY KEY (occurrence, host)
  ) STRICT;
  CREATE INDEX nodes_by_host ON nodes (host, ended_at);
  CREATE TABLE pauses (window TEXT PRIMARY KEY, at INTEGER NOT NULL, until INTEGER, actor TEXT NOT NULL, reason TEXT NOT NULL) STRICT;
  CREATE TABLE requests (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, window TEXT NOT NULL, actor TEXT NOT NULL) STRICT;
  -- Only ever added to.
  CREATE TABLE log (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, window TEXT, occurrence TEXT, host TEXT, text TEXT NOT NULL
  ) STRICT;
  CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  `,
]

/**
 * Opens `folder/.runbook/schedule.db` (readable by its owner only), or one in memory. Each commit is on the disk when it
 * returns: what a daemon did is known to the next one after a power cut. Throws UserError when it cannot be had.
 */
export function openDatabase(folder: string | undefined): DatabaseSync {
  return open(folder === undefined ? ':memory:' : join(prepare(folder), FILE), (db, path) => {
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
    transact(db, () => {
      const version = Number(db.prepare('PRAGMA user_version').get()?.user_version)
      if (version > STEPS.length) throw new UserError(`${path} was written by a newer runbook`)
      for (const step of STEPS.slice(version)) db.exec(step)
      db.exec(`PRAGMA user_version = ${STEPS.length}`)
    })
  })
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

/**
 * Takes the lock of the daemon: a file that SQLite locks in the kernel, so that it is free again when the process is gone,
 * however it went. Undefined when another process holds it.
 */
export function takeLock(folder: string): Disposable | undefined {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(join(prepare(folder), 'schedule.lock'), { timeout: 0 })
    db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    db?.close()
    // 5: SQLITE_BUSY
    if (((error as { errcode?: number }).errcode ?? 0) % 256 === 5) return undefined
    throw explain(join(folder, FOLDER), error)
  }
  const held = db
  return { [Symbol.dispose]: () => held.close() }
}

function open(path: string, setUp: (db: DatabaseSync, path: string) => void): DatabaseSync {
  try {
    if (path !== ':memory:') {
      closeSync(openSync(path, 'a', 0o600))
      chmodSync(path, 0o600)
    }
    const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT })
    try {
      setUp(db, path)
      return db
    } catch (error) {
      db.close()
      throw error
    }
  } catch (error) {
    throw explain(path, error)
  }
}

function explain(path: string, error: unknown): UserError {
  if (error instanceof UserError) return error
  const message = `cannot open ${path}: ${(error as Error).message}`
  return new UserError({ message, hint: 'is the folder writable, and the disk full?' }, { cause: error })
}

/** `folder/.runbook`, made when it is not there. */
function prepare(folder: string): string {
  const home = join(folder, FOLDER)
  try {
    mkdirSync(home, { mode: 0o700 })
    writeFileSync(join(home, '.gitignore'), '*\n')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw explain(home, error)
  }
  return home
}
