import type { Diff } from './diff.ts'

/**
 * What a run tells the world. The engine yields these and prints nothing; reporters and the journal read them. Texts are
 * redacted already. Times are milliseconds since the epoch, durations milliseconds.
 */
export type RunEvent =
  | RunStarted
  | PlayStarted
  | HostStarted
  | TaskStarted
  | TaskOutput
  | TaskRetry
  | TaskResultEvent
  | Notified
  | HostNote
  | PlayEnded
  | Recap

/** `rescued` is a failure that a rescue section took; `ignored` one that ignore_errors did. */
export type Status = 'ok' | 'changed' | 'skipped' | 'failed' | 'ignored' | 'rescued' | 'unreachable'

export interface RunStarted {
  readonly type: 'run_started'
  readonly run: string
  readonly at: number
  readonly playbooks: readonly string[]
  readonly check: boolean
}

export interface PlayStarted {
  readonly type: 'play_started'
  readonly play: string
  readonly playId: string
  readonly hosts: readonly string[]
  /** How many tasks a host has in it, handlers left out; for progress. */
  readonly tasks: number
}

/** A host's work in a play has begun: it is being connected to. */
export interface HostStarted {
  readonly type: 'host_started'
  readonly host: string
  readonly playId: string
}

/** Changes of a task are being applied, or an action runs. Tasks with nothing to do have a result only. */
export interface TaskStarted {
  readonly type: 'task_started'
  readonly host: string
  readonly task: string
  readonly taskId: string
  readonly module: string
  /** It changes nothing, its author says (`changed_when: false` with `check_mode: false`), nor does what is sent with it. */
  readonly looks: boolean
}

export interface TaskOutput {
  readonly type: 'task_output'
  readonly host: string
  readonly task: string
  readonly taskId: string
  readonly stream: 'stdout' | 'stderr' | 'log'
  readonly text: string
}

export interface TaskRetry {
  readonly type: 'task_retry'
  readonly host: string
  readonly task: string
  readonly taskId: string
  readonly attempt: number
  readonly attempts: number
  readonly msg: string
}

export interface ReportedChange {
  readonly summary: string
  readonly diff?: Diff | undefined
}

export interface ItemResult {
  readonly label: string
  readonly status: Status
  readonly changes: readonly ReportedChange[]
  readonly msg: string
}

export interface TaskResultEvent {
  readonly type: 'task_result'
  readonly host: string
  readonly play: string
  readonly playId: string
  readonly task: string
  readonly taskId: string
  readonly module: string
  readonly handler: boolean
  readonly status: Status
  readonly changes: readonly ReportedChange[]
  /** The task's own `diff`: its diffs are shown, or not, whatever the command line says. */
  readonly diff?: boolean | undefined
  /** Why it failed or was skipped, or what a debug task says. */
  readonly msg: string
  /** Check mode: whether it would change something, nobody can tell before a real run; `msg` says why. */
  readonly unsure?: boolean | undefined
  /** What to do about a failure. */
  readonly hint?: string | undefined
  readonly items?: readonly ItemResult[] | undefined
  /** `site.yml:12:5` */
  readonly place: string
  /** The lines of the playbook around a failed task. */
  readonly frame?: string | undefined
  /** A failed command: what ran, how it ended and what it printed. */
  readonly cmd?: string | undefined
  readonly rc?: number | undefined
  readonly stdout?: string | undefined
  readonly stderr?: string | undefined
  /** Tasks that were sent in the same request and did not run because this one failed. */
  readonly notRun?: readonly string[] | undefined
  readonly at: number
  readonly elapsedMs: number
  /** What `register` got; for the journal (resume) and verbose output. Absent with no_log. */
  readonly result?: Readonly<Record<string, unknown>> | undefined
}

/** A handler was notified; it stays owed to the host until it ran, over the end of the run. */
export interface Notified {
  readonly type: 'notified'
  readonly host: string
  readonly playId: string
  readonly handler: string
  readonly by: string
}

/** Something about a host that is no task's result: connection lost and made again, a handler of an earlier run owed. */
export interface HostNote {
  readonly type: 'host_note'
  readonly host: string
  readonly level: 'info' | 'warning'
  readonly msg: string
}

export interface PlayEnded {
  readonly type: 'play_ended'
  readonly playId: string
  readonly elapsedMs: number
}

export interface HostRecap {
  ok: number
  changed: number
  skipped: number
  failed: number
  ignored: number
  rescued: number
  unreachable: number
  /** Scripts that were run on the host. */
  round_trips: number
}

export interface Recap {
  readonly type: 'recap'
  readonly run: string
  readonly hosts: Readonly<Record<string, HostRecap>>
  readonly elapsedMs: number
  readonly interrupted: boolean
  /** Exceptions in runbook itself; each has failed one host. Absent: none. */
  readonly bugs?: number | undefined
  /** Handlers that are still owed, by host. */
  readonly owed: Readonly<Record<string, readonly string[]>>
}
