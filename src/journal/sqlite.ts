import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { RunEvent } from '../shared/events.ts'
import { encode, encodeResult } from './encode.ts'
import { guarded } from './errors.ts'
import type { HostProgress, Journal, RunRecord } from './journal.ts'
import { isAlive, processName } from './process.ts'

export interface JournalOptions {
  /** How many of the newest runs are kept; default 200. */
  keepRuns?: number | undefined
  /** Told once when events can no longer be written; the run goes on, without history from there. */
  onError?: ((error: unknown) => void) | undefined
}

/** A group of events is written when it has this many, or when its first is this old (milliseconds). */
const GROUP_SIZE = 512
const GROUP_AGE = 250

interface RunRow {
  run: number
  id: string
  command: string
  playbook_hash: string
  started_at: number
  ended_at: number | null
  exit_code: number | null
  is_check: number
  user: string
  process: string
  resumes: string | null
}

/** The journal over an open, migrated database. Owns it. */
export class SqliteJournal implements Journal {
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #keepRuns: number
  readonly #onError: (error: unknown) => void
  readonly #statements = new Map<string, StatementSync>()
  readonly #waiting: RunEvent[] = []
  #timer: NodeJS.Timeout | undefined
  #run: { key: number; check: boolean } | undefined
  #broken = false

  constructor(db: DatabaseSync, path: string, options: JournalOptions) {
    this.#db = db
    this.#path = path
    this.#keepRuns = options.keepRuns ?? 200
    this.#onError = options.onError ?? (() => {})
  }

  begin(run: Omit<RunRecord, 'endedAt' | 'exitCode'>): void {
    this.#write(() => {
      this.#prune()
      const { lastInsertRowid } = this.#sql(
        `INSERT INTO runs (id, command, playbook_hash, started_at, is_check, user, process, resumes)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      ).run(
        run.id,
        JSON.stringify(run.command),
        run.playbookHash,
        run.startedAt,
        run.check ? 1 : 0,
        run.user,
        processName(),
        run.resumes ?? null,
      )
      this.#run = { key: Number(lastInsertRowid), check: run.check }
    })
    this.#flushOrReport()
  }

  record(event: RunEvent): void {
    // Output can be without bounds; what a failed task printed stands in its result.
    if (event.type === 'task_output' || this.#broken) return
    this.#waiting.push(event)
    // What comes before `begin` waits for it: the run's first event is what tells its id.
    if (!this.#run) return
    if (this.#waiting.length >= GROUP_SIZE) this.#flushOrReport()
    else this.#timer ??= setTimeout(() => this.#flushOrReport(), GROUP_AGE).unref()
  }

  flush(): void {
    if (this.#broken) return
    this.#write(() => {}, true)
  }

  end(run: string, exitCode: number): void {
    this.#write(() => {
      this.#sql('UPDATE runs SET ended_at = ?, exit_code = ? WHERE id = ?').run(Date.now(), exitCode, run)
      if (!isResumable(exitCode)) {
        this.#sql('DELETE FROM results WHERE run = (SELECT run FROM runs WHERE id = ?)').run(run)
      }
    }, true)
  }

  owed(playKey: string, host: string): readonly { handler: string; by: string; run: string }[] {
    return this.#read('SELECT handler, by_task AS by, run FROM owed WHERE play_key = ? AND host = ? ORDER BY rowid', [
      playKey,
      host,
    ])
  }

  /** Committed before it returns, so that a run that is killed right after still owes the handler. */
  owe(playKey: string, host: string, handler: string, by: string, run: string): void {
    this.#write(() =>
      this.#sql('INSERT INTO owed VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING').run(playKey, host, handler, by, run),
    )
  }

  paid(playKey: string, host: string, handler: string): void {
    this.#write(() =>
      this.#sql('DELETE FROM owed WHERE play_key = ? AND host = ? AND handler = ?').run(playKey, host, handler),
    )
  }

  /** Gives what was recorded before under this name and was not done, by whichever run. */
  intent(run: string, host: string, name: string, data: Record<string, unknown>): Record<string, unknown> | undefined {
    return this.#write(() => {
      const before = this.#sql('SELECT data FROM intents WHERE host = ? AND name = ?').get(host, name)
      this.#sql('INSERT OR REPLACE INTO intents VALUES (?, ?, ?, ?, ?)').run(
        host,
        name,
        run,
        Date.now(),
        JSON.stringify(data),
      )
      return before === undefined ? undefined : (JSON.parse(before.data as string) as Record<string, unknown>)
    }, true)
  }

  intentDone(host: string, name: string): void {
    this.#write(() => this.#sql('DELETE FROM intents WHERE host = ? AND name = ?').run(host, name))
  }

  recall(host: string, name: string) {
    const [row] = this.#read<{ run: string; at: number; data: string }>(
      'SELECT run, at, data FROM intents WHERE host = ? AND name = ?',
      [host, name],
    )
    return row && { run: row.run, at: row.at, data: JSON.parse(row.data) as Record<string, unknown> }
  }

  runs(limit: number): readonly RunRecord[] {
    return this.#read<RunRow>('SELECT * FROM runs ORDER BY run DESC LIMIT ?', [limit]).map(toRecord)
  }

  run(id: string): RunRecord | undefined {
    return this.#read<RunRow>('SELECT * FROM runs WHERE id = ?', [id]).map(toRecord)[0]
  }

  /**
   * The newest run of these playbooks, if there is something left of it: it was killed, interrupted, or hosts of it failed
   * or could not be reached. A run that is going on in another process, and one in check mode, is not counted.
   */
  unfinished(playbookHash: string): RunRecord | undefined {
    const rows = this.#read<RunRow>(
      'SELECT * FROM runs WHERE playbook_hash = ? AND is_check = 0 ORDER BY run DESC LIMIT 50',
      [playbookHash],
    )
    const newest = rows.find((row) => row.ended_at !== null || !isAlive(row.process))
    return newest && (newest.exit_code === null || isResumable(newest.exit_code)) ? toRecord(newest) : undefined
  }

  /** A run that was refused (exit code 3) says nothing of hosts and is passed over. */
  newest(ours: (playbooks: readonly string[]) => boolean): RunRecord | undefined {
    const rows = this.#read<RunRow>(
      'SELECT * FROM runs WHERE is_check = 0 AND exit_code IS NOT 3 ORDER BY run DESC',
      [],
    ).filter((row) => row.ended_at !== null || !isAlive(row.process))
    const found = rows.find(({ run }) => {
      const [first] = this.#read<{ body: string }>('SELECT body FROM events WHERE run = ? ORDER BY event LIMIT 1', [
        run,
      ])
      const event = first && (JSON.parse(first.body) as RunEvent)
      return event?.type === 'run_started' && ours(event.playbooks)
    })
    return found && toRecord(found)
  }

  failed(run: string): readonly string[] {
    const rows = this.#read<{ host: string }>(
      `SELECT DISTINCT host FROM events
       WHERE run = (SELECT run FROM runs WHERE id = ?) AND status IN ('failed', 'unreachable') ORDER BY host`,
      [run],
    )
    return rows.map(({ host }) => host)
  }

  progress(run: string, playId: string, host: string): HostProgress {
    const rows = this.#read<{
      task_id: string
      status: HostProgress['results'][number]['status']
      body: string | null
    }>(
      `SELECT task_id, status, results.body AS body FROM events LEFT JOIN results USING (event)
       WHERE events.run = (SELECT run FROM runs WHERE id = ?) AND play_id = ? AND host = ? AND status IS NOT NULL
       ORDER BY event`,
      [run, playId, host],
    )
    return {
      results: rows.map(({ task_id, status, body }) => ({
        taskId: task_id,
        status,
        result: body === null ? undefined : (JSON.parse(body) as Record<string, unknown>),
      })),
    }
  }

  *events(run: string): Iterable<RunEvent> {
    const sql =
      'SELECT event, body FROM events WHERE run = (SELECT run FROM runs WHERE id = ?) AND event > ? ORDER BY event LIMIT 1000'
    // In portions, so that other statements can run while somebody iterates.
    for (let after = 0; ; ) {
      const rows = this.#read<{ event: number; body: string }>(sql, [run, after])
      if (rows.length === 0) return
      for (const { body } of rows) yield JSON.parse(body) as RunEvent
      after = rows.at(-1)!.event
    }
  }

  [Symbol.dispose](): void {
    this.#flushOrReport()
    this.#broken = true
    if (this.#db.isOpen) this.#db.close()
  }

  /**
   * One transaction: what is waiting, then `fn`. `durable`: on the disk when it returns, and not only safe from the end
   * of this process (sqlite.org/pragma.html#pragma_synchronous: WAL syncs each commit with FULL, checkpoints with NORMAL).
   */
  #write<T>(fn: () => T, durable = false): T {
    return guarded(this.#path, () => {
      if (durable) this.#db.exec('PRAGMA synchronous = FULL')
      try {
        this.#db.exec('BEGIN IMMEDIATE')
        const events = this.#takeWaiting()
        try {
          this.#insert(events)
          const result = fn()
          this.#db.exec('COMMIT')
          return result
        } catch (error) {
          if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
          this.#waiting.unshift(...events)
          throw error
        }
      } finally {
        if (durable) this.#db.exec('PRAGMA synchronous = NORMAL')
      }
    })
  }

  #read<T>(sql: string, values: (string | number)[]): T[] {
    if (this.#waiting.length > 0) this.#flushOrReport()
    return guarded(this.#path, () => this.#sql(sql).all(...values) as T[])
  }

  #flushOrReport(): void {
    if (this.#broken || (this.#waiting.length === 0 && !this.#timer)) return
    try {
      this.#write(() => {})
    } catch (error) {
      this.#broken = true
      this.#waiting.length = 0
      this.#onError(error)
    }
  }

  #takeWaiting(): RunEvent[] {
    if (!this.#run) return []
    clearTimeout(this.#timer)
    this.#timer = undefined
    return this.#waiting.splice(0)
  }

  #insert(events: readonly RunEvent[]): void {
    if (events.length === 0 || !this.#run) return
    const { key, check } = this.#run
    const plain = this.#sql('INSERT INTO events (run, body) VALUES (?, ?)')
    const task = this.#sql('INSERT INTO events (run, play_id, host, task_id, status, body) VALUES (?, ?, ?, ?, ?, ?)')
    for (const event of events) {
      if (event.type !== 'task_result') {
        plain.run(key, encode(event))
        continue
      }
      const { result, ...rest } = event
      const { lastInsertRowid } = task.run(key, event.playId, event.host, event.taskId, event.status, encode(rest))
      const body = check || result === undefined ? undefined : encodeResult(result)
      if (body !== undefined) this.#sql('INSERT INTO results VALUES (?, ?, ?)').run(lastInsertRowid, key, body)
    }
  }

  /** Leaves room for the run that begins. What other processes are writing stays. */
  #prune(): void {
    const old = this.#sql('SELECT run, ended_at, process FROM runs ORDER BY run DESC LIMIT -1 OFFSET ?').all(
      Math.max(0, this.#keepRuns - 1),
    ) as Pick<RunRow, 'run' | 'ended_at' | 'process'>[]
    for (const { run, ended_at, process } of old) {
      if (ended_at === null && isAlive(process)) continue
      this.#sql('DELETE FROM results WHERE run = ?').run(run)
      this.#sql('DELETE FROM events WHERE run = ?').run(run)
      this.#sql('DELETE FROM runs WHERE run = ?').run(run)
    }
  }

  #sql(text: string): StatementSync {
    let statement = this.#statements.get(text)
    if (!statement) {
      statement = this.#db.prepare(text)
      this.#statements.set(text, statement)
    }
    return statement
  }
}

/** 0 and 8 (changes pending) leave nothing to do, 3 touched nothing. */
const isResumable = (exitCode: number): boolean => ![0, 3, 8].includes(exitCode)

function toRecord(row: RunRow): RunRecord {
  return {
    id: row.id,
    command: JSON.parse(row.command) as string[],
    playbookHash: row.playbook_hash,
    startedAt: row.started_at,
    endedAt: row.ended_at ?? undefined,
    exitCode: row.exit_code ?? undefined,
    check: row.is_check === 1,
    user: row.user,
    resumes: row.resumes ?? undefined,
  }
}
