import type { Flow } from '../module/action.ts'
import type { Change, ChangeOutput } from '../module/change.ts'
import { TaskFailure } from '../module/define.ts'
import { ReadError } from '../module/read.ts'
import { PowerError } from '../power/errors.ts'
import { SessionError } from '../session/session.ts'
import { UserError } from '../shared/errors.ts'
import type { ReportedChange } from '../shared/events.ts'

/**
 * How one task, or one item of its loop, ended, before `ignore_errors` and rescue are looked at. `data` is what `register`
 * gets besides changed, failed, skipped and msg.
 */
export interface Outcome {
  readonly status: 'ok' | 'changed' | 'skipped' | 'failed' | 'unreachable'
  readonly changes: readonly ReportedChange[]
  readonly msg: string
  readonly hint?: string | undefined
  readonly data: Readonly<Record<string, unknown>>
  readonly cmd?: string | undefined
  readonly rc?: number | undefined
  readonly stdout?: string | undefined
  readonly stderr?: string | undefined
  readonly elapsedMs: number
  /** Tasks of the same request that did not run because this one failed. */
  readonly notRun?: readonly string[] | undefined
  /** `data` is the whole register value, from the run that is resumed. */
  readonly resumed?: boolean | undefined
  /** What the run does next; the engine's own actions give it. */
  readonly flow?: Flow | undefined
  /** The request ended before the host said what it did: the changes of a failed task may have been made. */
  readonly uncertain?: boolean | undefined
  /** Check mode: what the task would give is not known. */
  readonly unknown?: boolean | undefined
  /** Check mode: not even whether it would change something is known for sure. */
  readonly unsure?: boolean | undefined
  /** Of a run_once task, for the other hosts: whether the one that ran it had to hide it (no_log). */
  readonly hidden?: boolean | undefined
  /** Values for the host: set_fact, gathered facts. */
  readonly sets?: Readonly<Record<string, unknown>> | undefined
  readonly facts?: Readonly<Record<string, unknown>> | undefined
}

export const NOTHING: Pick<Outcome, 'changes' | 'msg' | 'data' | 'elapsedMs'> = {
  changes: [],
  msg: '',
  data: {},
  elapsedMs: 0,
}

/** The register value of an outcome. A skipped one keeps the shape of a command's, so that `r.stdout` still is a text. */
export function registered(outcome: Outcome): Record<string, unknown> {
  const { status, msg, data } = outcome
  if (outcome.resumed) return { ...data }
  const shape = status === 'skipped' ? { rc: 0, stdout: '', stdout_lines: [], stderr: '', stderr_lines: [] } : {}
  return {
    ...shape,
    ...data,
    // One item of a loop may have failed, and others changed something.
    changed:
      status === 'changed' || (Array.isArray(data.results) && data.results.some(({ changed }) => changed === true)),
    failed: status === 'failed' || status === 'unreachable',
    skipped: status === 'skipped',
    unreachable: status === 'unreachable',
    msg: msg || (typeof data.msg === 'string' ? data.msg : ''),
  }
}

/** An error that a task met, as an outcome. Bugs are thrown on. */
export function failure(error: unknown, changes: readonly ReportedChange[] = []): Outcome {
  const base = { ...NOTHING, changes }
  if (error instanceof SessionError) {
    const status =
      error.kind === 'timeout' || error.kind === 'upload' || error.kind === 'become' ? 'failed' : 'unreachable'
    return { ...base, status, msg: error.message, hint: error.hint, ...error.said, data: { ...error.said } }
  }
  if (error instanceof TaskFailure) return { ...base, status: 'failed', msg: error.message, data: error.data }
  if (error instanceof PowerError) return { ...base, status: 'failed', msg: error.message, hint: error.hint }
  if (error instanceof ReadError) return { ...base, status: 'failed', msg: error.message }
  if (error instanceof UserError) return { ...base, status: 'failed', msg: error.message }
  throw error
}

/** A change that ended with a status that is no success. */
export function changeFailed(change: Change, output: ChangeOutput, done: readonly ReportedChange[]): Outcome {
  const stdout = output.stdout.toString('utf8')
  const stderr = output.stderr.toString('utf8')
  const why =
    change.explain?.[output.rc] ?? ownWords(change, stderr) ?? `exit status ${output.rc}${signalName(output.rc)}`
  return {
    status: 'failed',
    changes: done,
    msg: `${change.summary}: ${why}`,
    data: { rc: output.rc, stdout, stderr },
    cmd: change.cmd,
    rc: output.rc,
    stdout,
    stderr,
    elapsedMs: output.elapsedMs,
  }
}

/** Characters of a line that still belongs into a message: a URL and two digests of SHA-512 do. */
const LONGEST_WORDS = 500

/**
 * The last that the tool which made a change said; all of it stands in `stderr`. A command's own words stand apart: they
 * may be about anything.
 */
function ownWords(change: Change, stderr: string): string | undefined {
  const last = stderr.trim().split('\n').at(-1)!
  const text = last.replace(/^\/bin\/sh: (?:line )?(?:\d+: )?(?:eval: )?/, '').trim()
  return change.cmd === undefined && text !== '' && text.length <= LONGEST_WORDS ? text : undefined
}

/** 128 + n is how sh reports a process that died of signal n. */
function signalName(rc: number): string {
  const names: Record<number, string> = {
    130: 'SIGINT',
    134: 'SIGABRT',
    137: 'SIGKILL',
    139: 'SIGSEGV',
    143: 'SIGTERM',
  }
  if (rc === 127) return ' (command not found)'
  if (rc === 126) return ' (not executable)'
  return names[rc] ? ` (${names[rc]})` : ''
}

export function report(changes: readonly Change[]): ReportedChange[] {
  return changes.map(({ summary, diff }) => (diff ? { summary, diff } : { summary }))
}

/** What scripts of ours have to say of changes that were made: lines `note: …`. A command's output is its own. */
export function notesOf(changes: readonly Change[], outputs: readonly ChangeOutput[]): string {
  const said = outputs.flatMap(({ stderr }, i) =>
    changes[i]?.cmd === undefined ? stderr.toString('utf8').split('\n') : [],
  )
  return said.flatMap((line) => (line.startsWith('note: ') ? [line.slice(6)] : [])).join('; ')
}
