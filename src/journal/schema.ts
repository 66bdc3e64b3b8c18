/**
 * The tables, as steps from one version to the next; `PRAGMA user_version` says how many of them a file has. A step that
 * was released is never edited: a change of the schema is a new step.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    command TEXT NOT NULL,
    playbook_hash TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    exit_code INTEGER,
    is_check INTEGER NOT NULL,
    user TEXT NOT NULL,
    process TEXT NOT NULL
  ) STRICT;

  CREATE TABLE events (
    event INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    play_id TEXT,
    host TEXT,
    task_id TEXT,
    status TEXT,
    body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX events_of_run ON events (run);
  CREATE INDEX progress ON events (run, play_id, host) WHERE status IS NOT NULL;

  -- What register got, apart from the events: wanted by resume only, and dropped when there is nothing left to resume.
  CREATE TABLE results (
    event INTEGER PRIMARY KEY REFERENCES events ON DELETE CASCADE,
    run INTEGER NOT NULL,
    body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX results_of_run ON results (run);

  -- Handlers owed and intents outlive the runs that recorded them.
  CREATE TABLE owed (
    play_key TEXT NOT NULL,
    host TEXT NOT NULL,
    handler TEXT NOT NULL,
    by_task TEXT NOT NULL,
    run TEXT NOT NULL,
    PRIMARY KEY (play_key, host, handler)
  ) STRICT;
  CREATE TABLE intents (
    host TEXT NOT NULL,
    name TEXT NOT NULL,
    run TEXT NOT NULL,
    at INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (host, name)
  ) STRICT;
  `,
  `ALTER TABLE runs ADD COLUMN resumes TEXT`,
]
