import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { BUSY_TIMEOUT, migrate, prepareStateFile, STATE_FOLDER, useWal } from '../shared/database.ts'
import { guarded } from './errors.ts'
import type { Journal } from './journal.ts'
import { MIGRATIONS } from './schema.ts'
import { type JournalOptions, SqliteJournal } from './sqlite.ts'

/** Below the folder of the playbook. */
export const JOURNAL_FOLDER = STATE_FOLDER
export const JOURNAL_FILE = 'journal.db'

/**
 * Opens `folder/.runbook/journal.db`, made if it is not there (folder 0700, file 0600). Several processes may have it
 * open. Throws UserError when it is damaged or cannot be written.
 */
export function openJournal(folder: string, options: JournalOptions = {}): Journal {
  const path = join(folder, JOURNAL_FOLDER, JOURNAL_FILE)
  return guarded(path, () => {
    prepareStateFile(folder, JOURNAL_FILE)
    const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT })
    try {
      useWal(db)
      db.exec('PRAGMA synchronous = NORMAL; PRAGMA cache_size = -8000')
      migrate(db, path, MIGRATIONS)
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
  migrate(db, ':memory:', MIGRATIONS)
  return new SqliteJournal(db, ':memory:', options)
}
