import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { guarded } from './errors.ts'
import type { Journal } from './journal.ts'
import { migrate } from './schema.ts'
import { type JournalOptions, SqliteJournal } from './sqlite.ts'

/** Below the folder of the playbook. */
export const JOURNAL_FOLDER = '.runbook'
export const JOURNAL_FILE = 'journal.db'

/** How long a statement waits for another process's write to end; milliseconds. Writes are groups of a few ms each. */
const BUSY_TIMEOUT = 10_000

/**
 * Opens `folder/.runbook/journal.db`, made if it is not there (folder 0700, file 0600). Several processes may have it
 * open. Throws UserError when it is damaged or cannot be written.
 */
export function openJournal(folder: string, options: JournalOptions = {}): Journal {
  const home = join(folder, JOURNAL_FOLDER)
  const path = join(home, JOURNAL_FILE)
  return guarded(path, () => {
    prepare(home, path)
    const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT })
    try {
      db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -8000')
      migrate(db, path)
      return new SqliteJournal(db, path, options)
    } catch (error) {
      db.close()
      throw error
    }
  })
}

/** A journal that is gone with the process, for tests and for commands that must leave no trace. */
export function memoryJournal(options: JournalOptions = {}): Journal {
  const db = new DatabaseSync(':memory:')
  migrate(db, ':memory:')
  return new SqliteJournal(db, ':memory:', options)
}

/** Makes folder and file readable by their owner only; SQLite gives its -wal and -shm files the modes of the database. */
function prepare(home: string, path: string): void {
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
    return
  }
  fsyncSync(fd)
  closeSync(fd)
  const folder = openSync(home, 'r')
  fsyncSync(folder)
  closeSync(folder)
}

function tighten(path: string, mode: number): void {
  const { mode: now, uid } = statSync(path)
  if ((now & 0o077) !== 0 && uid === process.getuid?.()) chmodSync(path, mode)
}
