/** The database of netboot: machine states and tokens. Several processes may have it open. */
import type { DatabaseSync } from 'node:sqlite'
import { openDatabase } from '../shared/database.ts'

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

/** Opens `folder/.runbook/netboot.db`, or one in memory: a token that was given out stays given out after a power cut. */
export function openNetbootDatabase(folder: string | undefined): DatabaseSync {
  return openDatabase(folder, 'netboot.db', STEPS)
}
