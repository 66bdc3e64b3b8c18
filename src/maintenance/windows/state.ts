/** What the schedule remembers: openings with each node's state, pauses, requests of people, and a log. */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { transact } from '../../shared/database.ts'
import type { EventKind, ScheduleEvent } from './events.ts'
import type { Occurrence } from './window.ts'

/**
 * `done`: every node is. `cut`: nodes were left out or rolled back at the end. `failed`: a node failed. `interrupted`: the
 * daemon ended meanwhile, and the window was over when it came back. `missed`, `skipped`: it never opened.
 */
export type OccurrenceStatus = 'running' | 'done' | 'cut' | 'failed' | 'interrupted' | 'missed' | 'skipped'

/** `finishing`: past the end, and too far to go back. */
export type NodeStatus =
  | 'waiting'
  | 'running'
  | 'stopping'
  | 'rolling_back'
  | 'finishing'
  | 'done'
  | 'failed'
  | 'rolled_back'
  | 'left_out'

export const ENDED: readonly NodeStatus[] = ['done', 'failed', 'rolled_back', 'left_out']

/** Times are milliseconds since the epoch. */
export interface OccurrenceRecord {
  readonly id: string
  readonly window: string
  readonly opens: number
  readonly starts: number
  readonly ends: number
  readonly status: OccurrenceStatus
  readonly reason: string
  /** `schedule`, or who triggered it. */
  readonly actor: string
  /** A hash of what was to be done: another plan is not gone on with. */
  readonly plan: string
  readonly opened_at: number
  readonly closed_at: number | null
}

export interface NodeRecord {
  readonly occurrence: string
  readonly host: string
  readonly position: number
  readonly status: NodeStatus
  /** The step that is under way, with ` …` behind it, or the last that came to its end. */
  readonly phase: string
  readonly attempt: number
  /** The run's process (see journal/process.ts). */
  readonly process: string | null
  readonly playbook: string
  readonly started_at: number | null
  readonly ended_at: number | null
  readonly detail: string
  /** What a person types to go on with it. */
  readonly next: string
}

export interface Pause {
  /** A window's name, or `*` for all. */
  readonly window: string
  readonly at: number
  readonly until: number | null
  readonly actor: string
  readonly reason: string
}

/** Openings that are kept. */
const KEEP = 500

export class State {
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  /** Told after everything that was written by this process. */
  onChange: () => void = () => {}

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  /** Writes an opening down, with its nodes in order. False when this opening is known already. */
  open(record: Omit<OccurrenceRecord, 'closed_at'>, hosts: readonly string[], playbook: string): boolean {
    return this.#write(() => {
      if (this.#one('SELECT id FROM occurrences WHERE window = ? AND opens = ?', record.window, record.opens))
        return false
      const closed = record.status === 'running' ? null : record.opened_at
      this.#run(
        'INSERT INTO occurrences VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
        ...[record.id, record.window, record.opens, record.starts, record.ends, record.status, record.reason],
        ...[record.actor, record.plan, record.opened_at, closed],
      )
      for (const [i, host] of hosts.entries())
        this.#run(
          `INSERT INTO nodes VALUES (?, ?, ?, 'waiting', '', 0, NULL, ?, NULL, NULL, '', '')`,
          ...[record.id, host, i, playbook],
        )
      this.#run(
        'DELETE FROM occurrences WHERE id IN (SELECT id FROM occurrences ORDER BY opened_at DESC LIMIT -1 OFFSET ?)',
        KEEP,
      )
      return true
    })
  }

  close(id: string, status: OccurrenceStatus, reason: string, at: number): void {
    this.#write(() =>
      this.#run('UPDATE occurrences SET status = ?, reason = ?, closed_at = ? WHERE id = ?', status, reason, at, id),
    )
  }

  node(occurrence: string, host: string, change: Partial<Omit<NodeRecord, 'occurrence' | 'host' | 'position'>>): void {
    const keys = Object.keys(change)
    const values = Object.values(change) as SQLInputValue[]
    this.#write(() =>
      this.#run(
        `UPDATE nodes SET ${keys.map((key) => `${key} = ?`).join(', ')} WHERE occurrence = ? AND host = ?`,
        ...values,
        occurrence,
        host,
      ),
    )
  }

  occurrence(id: string): OccurrenceRecord | undefined {
    return this.#one('SELECT * FROM occurrences WHERE id = ?', id)
  }

  knows(window: string, opens: number): boolean {
    return this.#one('SELECT id FROM occurrences WHERE window = ? AND opens = ?', window, opens) !== undefined
  }

  running(): readonly OccurrenceRecord[] {
    return this.#all("SELECT * FROM occurrences WHERE status = 'running' ORDER BY opened_at")
  }

  nodes(occurrence: string): readonly NodeRecord[] {
    return this.#all('SELECT * FROM nodes WHERE occurrence = ? ORDER BY position', occurrence)
  }

  /** All nodes of an opening when they are few; else those that are not done, failed ones first, at most so many. */
  someNodes(occurrence: string, most: number): readonly NodeRecord[] {
    return this.#all(
      `SELECT * FROM nodes WHERE occurrence = ?1 AND
         (status <> 'done' OR (SELECT count(*) FROM nodes WHERE occurrence = ?1) <= ?2)
       ORDER BY CASE WHEN (SELECT count(*) FROM nodes WHERE occurrence = ?1) <= ?2 THEN 0 ELSE status <> 'failed' END, position
       LIMIT ?2`,
      ...[occurrence, most],
    )
  }

  /** Newest first. */
  history(limit: number, window?: string): readonly OccurrenceRecord[] {
    return window === undefined
      ? this.#all('SELECT * FROM occurrences ORDER BY opened_at DESC, opens DESC LIMIT ?', limit)
      : this.#all(
          'SELECT * FROM occurrences WHERE window = ? ORDER BY opened_at DESC, opens DESC LIMIT ?',
          window,
          limit,
        )
  }

  /** Milliseconds that the newest whole cycles with a playbook took, newest first. */
  lengths(playbook: string, limit = 20): readonly number[] {
    const rows = this.#all<{ took: number }>(
      `SELECT ended_at - started_at AS took FROM nodes WHERE status = 'done' AND playbook = ? AND started_at IS NOT NULL
       ORDER BY ended_at DESC LIMIT ?`,
      ...[playbook, limit],
    )
    return rows.map(({ took }) => took)
  }

  /** When each host last went through a window, by its name. */
  lastDone(window: string): ReadonlyMap<string, number> {
    const rows = this.#all<{ host: string; at: number }>(
      `SELECT host, max(ended_at) AS at FROM nodes JOIN occurrences ON id = occurrence
       WHERE window = ? AND nodes.status = 'done' GROUP BY host`,
      window,
    )
    return new Map(rows.map(({ host, at }) => [host, at]))
  }

  /** The newest record of each host that ever was in a window. */
  hosts(): readonly (NodeRecord & { readonly window: string })[] {
    return this.#all(
      `SELECT nodes.*, occurrences.window AS window, max(occurrences.opened_at) FROM nodes
       JOIN occurrences ON id = occurrence GROUP BY host ORDER BY host`,
    )
  }

  pause(pause: Pause): void {
    this.#write(() =>
      this.#run(
        'INSERT OR REPLACE INTO pauses VALUES (?, ?, ?, ?, ?)',
        pause.window,
        pause.at,
        pause.until,
        pause.actor,
        pause.reason,
      ),
    )
  }

  /** False when it was not paused. */
  resume(window: string): boolean {
    return this.#write(() => this.#run('DELETE FROM pauses WHERE window = ?', window) > 0)
  }

  pauses(now: number): readonly Pause[] {
    return this.#all('SELECT * FROM pauses WHERE until IS NULL OR until > ? ORDER BY window', now)
  }

  pausedBy(window: string, now: number): Pause | undefined {
    return this.pauses(now).find((one) => one.window === window || one.window === '*')
  }

  request(window: string, actor: string, at: number): void {
    this.#write(() => this.#run('INSERT INTO requests (at, window, actor) VALUES (?, ?, ?)', at, window, actor))
  }

  /** Takes the requests that wait, so that they are carried out once. */
  takeRequests(): readonly { readonly at: number; readonly window: string; readonly actor: string }[] {
    if (!this.#one('SELECT id FROM requests LIMIT 1')) return []
    return this.#write(() => this.#all('DELETE FROM requests RETURNING at, window, actor'))
  }

  log({ at, kind, window, occurrence, host, text }: ScheduleEvent): void {
    this.#write(() =>
      this.#run(
        'INSERT INTO log (at, kind, window, occurrence, host, text) VALUES (?, ?, ?, ?, ?, ?)',
        ...[at, kind, window ?? null, occurrence ?? null, host ?? null, text],
      ),
    )
  }

  /** Newest first. */
  events(
    limit: number,
  ): readonly { at: number; kind: EventKind; window: string | null; host: string | null; text: string }[] {
    return this.#all('SELECT * FROM log ORDER BY id DESC LIMIT ?', limit)
  }

  fact(name: string): string | undefined {
    return this.#one<{ value: string }>('SELECT value FROM facts WHERE name = ?', name)?.value
  }

  setFact(name: string, value: string): void {
    this.#write(() => this.#run('INSERT OR REPLACE INTO facts VALUES (?, ?)', name, value), false)
  }

  [Symbol.dispose](): void {
    if (this.#db.isOpen) this.#db.close()
  }

  #write<T>(fn: () => T, tell = true): T {
    const result = transact(this.#db, fn)
    if (tell) this.onChange()
    return result
  }

  #run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#sql(sql).run(...values).changes)
  }

  #all<T>(sql: string, ...values: SQLInputValue[]): T[] {
    return this.#sql(sql).all(...values) as T[]
  }

  #one<T>(sql: string, ...values: SQLInputValue[]): T | undefined {
    return this.#sql(sql).get(...values) as T | undefined
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

/** `20261124-020000-workers`: sorts by time, names a folder. */
export function occurrenceId({ window, opens }: Pick<Occurrence, 'window' | 'opens'>): string {
  return `${new Date(opens).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}-${window}`
}
