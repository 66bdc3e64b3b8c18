/** The database of the schedule, and the lock that makes one daemon of two. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { cannotOpen, isBusy, openDatabase, prepareStateFile, STATE_FOLDER } from '../../shared/database.ts'

const LOCK = 'schedule.lock'

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
  `ALTER TABLE nodes ADD COLUMN next TEXT NOT NULL DEFAULT ''`,
]

/** Opens `folder/.runbook/schedule.db`, or one in memory: what a daemon did is known to the next one. */
export function openScheduleDatabase(folder: string | undefined): DatabaseSync {
  return openDatabase(folder, 'schedule.db', STEPS)
}

/**
 * Takes the lock of the daemon: a file that SQLite locks in the kernel, so that it is free again when the process is gone,
 * however it went. Undefined when another process holds it.
 */
export function takeLock(folder: string): Disposable | undefined {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(prepareStateFile(folder, LOCK), { timeout: 0 })
    db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    db?.close()
    if (isBusy(error)) return undefined
    throw cannotOpen(join(folder, STATE_FOLDER, LOCK), error)
  }
  const held = db
  return { [Symbol.dispose]: () => held.close() }
}
