import type { RunEvent, Status } from '../shared/events.ts'

/**
 * The memory of runs, in `.runbook/journal.db` beside the playbook. Holds nothing secret: it is given redacted events.
 * Readable by its owner only.
 */

export interface RunRecord {
  readonly id: string
  /** What was asked for: playbooks and options, enough to do it again. */
  readonly command: readonly string[]
  /** SHA-256 over the playbooks' content as parsed, and over the variables of the command line; resume refuses another one. */
  readonly playbookHash: string
  readonly startedAt: number
  readonly endedAt: number | undefined
  readonly exitCode: number | undefined
  readonly check: boolean
  readonly user: string
  /** The run that it goes on with. */
  readonly resumes?: string | undefined
}

/** What an earlier run left of a host in a play. */
export interface HostProgress {
  /** Results of tasks that came to an end, in order. */
  readonly results: readonly { taskId: string; status: Status; result: Record<string, unknown> | undefined }[]
}

export interface Journal extends Disposable {
  begin(run: Omit<RunRecord, 'endedAt' | 'exitCode'>): void
  /** Records an event; cheap, written in groups. */
  record(event: RunEvent): void
  /** Makes all that was recorded durable. */
  flush(): void
  end(run: string, exitCode: number): void

  /** Handlers owed to a host by earlier runs of this play (key: playbook path and play name). */
  owed(playKey: string, host: string): readonly { handler: string; by: string; run: string }[]
  owe(playKey: string, host: string, handler: string, by: string, run: string): void
  paid(playKey: string, host: string, handler: string): void

  /** Durable before it returns: a step that must not be repeated blindly is about to be done. */
  intent(run: string, host: string, name: string, data: Record<string, unknown>): Record<string, unknown> | undefined
  intentDone(host: string, name: string): void
  /** What stands under a name, and which run wrote it when; undefined when there is nothing. */
  recall(
    host: string,
    name: string,
  ): { readonly run: string; readonly at: number; readonly data: Record<string, unknown> } | undefined

  runs(limit: number): readonly RunRecord[]
  run(id: string): RunRecord | undefined
  /** The newest run that did not end, of the same playbooks. */
  unfinished(playbookHash: string): RunRecord | undefined
  /** The newest run of the playbooks that `ours` knows by their paths, under way in no process and not in check mode. */
  newest(ours: (playbooks: readonly string[]) => boolean): RunRecord | undefined
  /** The hosts that failed in a run or could not be reached. */
  failed(run: string): readonly string[]
  progress(run: string, playId: string, host: string): HostProgress
  events(run: string): Iterable<RunEvent>
}
