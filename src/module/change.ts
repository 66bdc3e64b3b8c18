import type { Diff } from '../shared/diff.ts'
import { quote, quoteAll } from '../shared/quote.ts'
import { FETCH_PRELUDE } from './changes/download.ts'
import { FILE_PRELUDE } from './changes/file-prelude.ts'
import { MANIFEST_PRELUDE } from './reads/archive.ts'
import { EVERYTHING } from './resources.ts'

export * from './changes/download.ts'
export { STALE } from './changes/file-prelude.ts'
export * from './changes/files.ts'
export * from './changes/packages.ts'
export * from './changes/units.ts'
export type { Diff }

/** sh functions that changes call; sent to a shell once a request. */
export const CHANGE_PRELUDE = FILE_PRELUDE + FETCH_PRELUDE + MANIFEST_PRELUDE

/** What one change printed and how it ended. */
export interface ChangeOutput {
  readonly rc: number
  readonly stdout: Buffer
  readonly stderr: Buffer
  readonly elapsedMs: number
}

/** One typed change. The engine does `upload`, if there is one, then runs `script`, and reads the state again. */
export interface Change {
  /** What is done, as it should stand in a report: `write /etc/hosts (0644 root:root)`. */
  readonly summary: string
  readonly diff?: Diff | undefined
  /** The resources that are touched; see resources.ts. */
  readonly touches: readonly string[]
  /** Done first, before `script`, over a channel of its own. */
  readonly upload?: Upload
  /** The command as people know it, to show when it fails. A script of ours is not shown: it can hold a file's content. */
  readonly cmd?: string
  /** POSIX sh; it runs in a subshell of its own, and a status other than 0 fails the task. */
  readonly script?: string
  /**
   * An event rather than a state (run a command, restart a unit): planned again by every plan, so it does not count when
   * the engine asks whether the change has converged.
   */
  readonly transient?: boolean
  /** Exit statuses that are a success; default 0. */
  readonly okCodes?: readonly number[]
  /** Words for a status that is known, added to the failure's message. */
  readonly explain?: Readonly<Record<number, string>>
}

/** A file too large or too binary for a script, or one that the controller fetches for the host; see Shell.upload. */
export interface Upload {
  readonly path: string
  readonly source:
    | { readonly file: string; readonly sha256: string; readonly size: number }
    | { readonly content: Buffer }
    | { readonly url: string; readonly headers: Readonly<Record<string, string>>; readonly timeoutMs: number }
  readonly mode?: number | undefined
  readonly owner?: string | undefined
  readonly group?: string | undefined
}

export interface ChangeOptions {
  summary?: string
  diff?: Diff | undefined
  touches?: readonly string[]
  transient?: boolean
  okCodes?: readonly number[]
  explain?: Readonly<Record<number, string>>
}

/** Runs a command. Without `touches` it can touch everything. */
export function run(argv: readonly string[], options: ChangeOptions = {}): Change {
  const line = quoteAll(argv)
  return { ...script(line, { summary: `run ${argv.join(' ')}`, ...options }), cmd: line }
}

/** Runs a piece of POSIX sh. Without `touches` it can touch everything. */
export function script(text: string, options: ChangeOptions & { summary: string }): Change {
  return { touches: [EVERYTHING], ...options, script: text }
}

export interface CommandOptions {
  chdir?: string | undefined
  stdin?: string | undefined
  stdin_add_newline?: boolean
  summary?: string
}

/** A command of the user's own: an event that can touch everything, with its output kept for `register`. */
export function command(line: string, options: CommandOptions): Change {
  const { chdir, stdin, stdin_add_newline = true, summary = `run ${line}` } = options
  const enter = chdir === undefined ? '' : `cd -- ${quote(chdir)} || exit 1\n`
  const end = stdin_add_newline && !stdin?.endsWith('\n') ? '\\n' : ''
  const input = stdin === undefined ? '' : `printf '%s${end}' ${quote(stdin)} | `
  return { summary, touches: [EVERYTHING], transient: true, cmd: line, script: `${enter}${input}${line}` }
}

/** The `register` value of a command: rc, stdout, stdout_lines, stderr, stderr_lines; empty ones when it did not run. */
export function commandResult(output: ChangeOutput | undefined, strip = true): Record<string, unknown> {
  const text = (bytes: Buffer | undefined): string => {
    const out = bytes?.toString('utf8') ?? ''
    return strip ? out.replace(/[\r\n]+$/, '') : out
  }
  const stdout = text(output?.stdout)
  const stderr = text(output?.stderr)
  const lines = (out: string): string[] => (out === '' ? [] : out.split(/\r?\n/))
  return { rc: output?.rc ?? 0, stdout, stdout_lines: lines(stdout), stderr, stderr_lines: lines(stderr) }
}
