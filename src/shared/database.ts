/** Databases in `.runbook/`, the folder of what runbook remembers: made safely, brought up to date, written in transactions. */
import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { UserError } from './errors.ts'
import { refusePlanted } from './planted.ts'

export const STATE_FOLDER = '.runbook'

/** How long a statement waits for another process's write to end; milliseconds. Writes are groups of a few ms each. */
export const BUSY_TIMEOUT = 10_000

/**
 * Opens `folder/.runbook/FILE`, or a database in memory. Several processes may have it open. Each commit is on the disk when
 * it returns, also after a power cut. `steps` are the tables, from one version to the next; one that was released is never
 * edited. Throws UserError when it cannot be had.
 */
export function openDatabase(folder: string | undefined, file: string, steps: readonly string[]): DatabaseSync {
  const path = folder === undefined ? ':memory:' : join(folder, STATE_FOLDER, file)
  try {
    if (folder !== undefined) prepareStateFile(folder, file)
    const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT })
    try {
      useWal(db)
      db.exec('PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
      migrate(db, path, steps)
      return db
    } catch (error) {
      db.close()
      throw error
    }
  } catch (error) {
    throw cannotOpen(path, error)
  }
}

/**
 * Turns on the write-ahead log. The first switch of a file needs it alone, and SQLite does not wait for that: of two
 * processes that open a new one, it tells one that the database is locked (sqlite3_busy_handler, "deadlock").
 */
export function useWal(db: DatabaseSync): void {
  const until = performance.now() + BUSY_TIMEOUT
  for (;;) {
    try {
      db.exec('PRAGMA journal_mode = WAL')
      return
    } catch (error) {
      if (!isBusy(error) || performance.now() >= until) throw error
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1 + Math.random() * 10)
  }
}

/** SQLITE_BUSY in one of its kinds, https://sqlite.org/rescode.html#busy */
export function isBusy(error: unknown): boolean {
  return ((error as { errcode?: number }).errcode ?? 0) % 256 === 5
}

/** Brings a database to its newest version, which `PRAGMA user_version` tells. Throws UserError for one of a newer runbook. */
export function migrate(db: DatabaseSync, path: string, steps: readonly string[]): void {
  const version = (): number => Number(db.prepare('PRAGMA user_version').get()?.user_version)
  if (version() === steps.length) return
  transact(db, () => {
    const from = version()
    if (from > steps.length) {
      throw new UserError({
        message: `${path} was written by a newer runbook (schema ${from}, this one knows ${steps.length})`,
        hint: 'use that version, or move the file away to begin a new one',
      })
    }
    for (const step of steps.slice(from)) db.exec(step)
    db.exec(`PRAGMA user_version = ${steps.length}`)
  })
}

/**
 * What `fn` commits is not waited for: a power cut may take back the last of it, a crash of ours does not. For what is told again
 * soon; not inside a transaction.
 */
export function withoutWaiting<T>(db: DatabaseSync, fn: () => T): T {
  db.exec('PRAGMA synchronous = NORMAL')
  try {
    return fn()
  } finally {
    db.exec('PRAGMA synchronous = FULL')
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

/** What keeps a database from being opened, for people. */
export function cannotOpen(path: string, error: unknown): UserError {
  if (error instanceof UserError) return error
  const message = `cannot open ${path}: ${(error as Error).message}`
  return new UserError({ message, hint: 'is the folder writable, and the disk full?' }, { cause: error })
}

/**
 * Makes `folder/.runbook/FILE`, empty, if it is not there, and both readable by their owner only; SQLite gives its -wal and
 * -shm files the modes of the database. Gives the path.
 */
export function prepareStateFile(folder: string, file: string): string {
  const home = join(folder, STATE_FOLDER)
  const path = join(home, file)
  // It says which handlers are owed and what earlier tasks gave, and is told what this run finds out.
  refusePlanted(home, 'have it elsewhere: --folder, or another current folder')
  try {
    // Not recursive: the folder of a playbook is there, and mkdir -p in Node never returns from below /proc.
    mkdirSync(home, { mode: 0o700 })
    // Keeps the folder out of everybody's version control without anybody's doing.
    writeFileSync(join(home, '.gitignore'), '*\n')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !statSync(home).isDirectory()) throw error
    tighten(home, 0o700)
  }
  let fd: number
  try {
    fd = openSync(path, 'wx', 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    tighten(path, 0o600)
    return path
  }
  fsyncSync(fd)
  closeSync(fd)
  const entry = openSync(home, 'r')
  fsyncSync(entry)
  closeSync(entry)
  return path
}

function tighten(path: string, mode: number): void {
  const { mode: now, uid } = statSync(path)
  if ((now & 0o077) !== 0 && uid === process.getuid?.()) chmodSync(path, mode)
}
