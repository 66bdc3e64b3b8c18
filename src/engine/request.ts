/**
 * One request to a host: changes in order, stopping at the first that fails, then questions. It is one script; sections
 * of its output are told apart by lines that hold a nonce.
 *
 *     stdout: <out of change 1> RS N c 0 \n <out of change 2> RS N c 1 \n            stops here
 *     stdout: <answer 1> RS N r 0 \n <answer 2> RS N r 2 \n …
 *     stderr: <err of change 1> RS N \n …
 */
import { randomBytes } from 'node:crypto'
import { CHANGE_PRELUDE, type Change, type ChangeOutput } from '../module/change.ts'
import { type Ask, ReadError, type Section } from '../module/read.ts'
import { cutAtMarkers } from '../session/framing.ts'
import type { RunOptions, ScriptResult, Shell } from '../session/session.ts'

/** The answer to an ask, or why there is none. */
export type Answer = { readonly value: unknown } | { readonly error: ReadError }
export type Answers = ReadonlyMap<string, Answer>

export interface Reply {
  /** One for each change that was started; the last may have failed, those behind it did not run. */
  readonly outputs: readonly ChangeOutput[]
  /** Answers by ask id; empty when a change failed. */
  readonly answers: Answers
}

/** Asks without repetitions, grouped by kind in order of first use. */
interface Group {
  readonly kind: Ask['kind']
  readonly ids: string[]
  readonly keys: unknown[]
}

/** Groups asks by kind and asks each question once; questions that can be merged are. */
export function groupAsks(asks: Iterable<Ask>): Group[] {
  const groups = new Map<string, { kind: Ask['kind']; keys: Map<string, unknown> }>()
  for (const { kind, key, id } of asks) {
    const group = groups.get(kind.name) ?? { kind, keys: new Map<string, unknown>() }
    groups.set(kind.name, group)
    const before = group.keys.get(id)
    group.keys.set(id, before !== undefined && kind.merge ? kind.merge(before, key) : key)
  }
  return [...groups.values()].map(({ kind, keys }) => ({ kind, ids: [...keys.keys()], keys: [...keys.values()] }))
}

const MARKS = `
rb_mark() { rb_r=$?; printf '\\036%s r %s\\n' "$RB_N" "$rb_r"; }
`

export interface RequestOptions {
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Output of the changes as it comes; `index` counts the changes. */
  readonly onOutput?: ((index: number, stream: 'stdout' | 'stderr', chunk: Buffer) => void) | undefined
  /** A change has ended; the next one, if any, begins. */
  readonly onEnd?: ((index: number) => void) | undefined
  /** What a change's script is put into: its environment, for one. */
  readonly wrap?: ((index: number, script: string) => string) | undefined
}

/** Runs changes and asks questions in one round trip. Throws SessionError when the connection or the time is over. */
export async function request(
  shell: Shell,
  changes: readonly Change[],
  asks: readonly Ask[],
  options: RequestOptions = {},
): Promise<Reply> {
  const nonce = randomBytes(9).toString('hex')
  const groups = groupAsks(asks)
  const script = compile(nonce, changes, groups, options.wrap)
  const { timeoutMs, signal } = options
  const watch = changes.length > 0 ? watchChanges(nonce, changes.length, options) : undefined
  const result = await shell.run(script, { timeoutMs, signal, onOutput: watch?.onOutput })
  return parse(nonce, changes, groups, result, watch?.elapsed ?? [])
}

/** Tells live which change prints what, and how long each took. */
function watchChanges(
  nonce: string,
  count: number,
  { onOutput, onEnd }: RequestOptions,
): { onOutput: NonNullable<RunOptions['onOutput']>; elapsed: number[] } {
  const elapsed: number[] = []
  let since = performance.now()
  const cutter = (stream: 'stdout' | 'stderr') => {
    let index = 0
    return cutAtMarkers(
      nonce,
      (chunk) => {
        if (index < count) onOutput?.(index, stream, chunk)
      },
      () => {
        index++
        if (stream === 'stderr' || index > count) return
        onEnd?.(index - 1)
        const now = performance.now()
        elapsed.push(now - since)
        since = now
      },
    )
  }
  const cut = { stdout: cutter('stdout'), stderr: cutter('stderr') }
  return { onOutput: (stream, chunk) => cut[stream](chunk), elapsed }
}

function compile(
  nonce: string,
  changes: readonly Change[],
  groups: readonly Group[],
  wrap: NonNullable<RequestOptions['wrap']> = (_index, script) => script,
): string {
  const parts = [`RB_N=${nonce}`, MARKS]
  if (changes.length > 0) parts.push(CHANGE_PRELUDE)
  for (const { kind } of groups) if (kind.prelude) parts.push(kind.prelude)
  for (const [i, change] of changes.entries()) {
    const ok = (change.okCodes ?? [0]).join('|')
    parts.push(
      `( ${wrap(i, change.script ?? ':')}\n)`,
      `rb_r=$?; printf '\\036%s c %s\\n' "$RB_N" "$rb_r"; printf '\\036%s\\n' "$RB_N" >&2`,
      `case $rb_r in ${ok}) ;; *) exit 0 ;; esac`,
    )
  }
  for (const { kind, keys } of groups) parts.push(kind.script(keys))
  return parts.join('\n')
}

function parse(
  nonce: string,
  changes: readonly Change[],
  groups: readonly Group[],
  result: ScriptResult,
  elapsed: readonly number[],
): Reply {
  const marks = splitMarks(result.stdout, nonce)
  const errors = splitMarks(result.stderr, nonce)
  const outputs: ChangeOutput[] = []
  const sections: Section[] = []
  for (const { body, words } of marks) {
    if (words[0] === 'c') {
      const stderr = errors[outputs.length]?.body ?? Buffer.alloc(0)
      outputs.push({ rc: Number(words[1]), stdout: body, stderr, elapsedMs: elapsed[outputs.length] ?? 0 })
    } else if (words[0] === 'r') sections.push({ out: body, rc: Number(words[1]) })
  }
  const failed = outputs.some((o, i) => !(changes[i]?.okCodes ?? [0]).includes(o.rc))
  const answers = new Map<string, Answer>()
  if (failed) return { outputs, answers }
  if (outputs.length < changes.length)
    throw brokenOff(result, `${outputs.length} of ${changes.length} changes reported`)
  let at = 0
  for (const { kind, ids, keys } of groups) {
    const count = kind.sections(keys)
    const mine = sections.slice(at, at + count)
    at += count
    if (mine.length < count) throw brokenOff(result, `no answer to ${kind.name}`)
    answerAll(kind, ids, keys, mine, answers)
  }
  return { outputs, answers }
}

/** Parses a group's answers; when one key's answer is an error, each key is parsed alone to find out whose it is. */
function answerAll(
  kind: Ask['kind'],
  ids: readonly string[],
  keys: readonly unknown[],
  sections: readonly Section[],
  answers: Map<string, Answer>,
): void {
  try {
    kind.parse(sections, keys).forEach((value, i) => {
      answers.set(ids[i]!, { value })
    })
  } catch (error) {
    if (!(error instanceof ReadError)) throw error
    ids.forEach((id, i) => {
      try {
        const own = sections.length === keys.length ? [sections[i]!] : sections
        answers.set(id, { value: kind.parse(own, [keys[i]])[0] })
      } catch (e) {
        if (!(e instanceof ReadError)) throw e
        answers.set(id, { error: e })
      }
    })
  }
}

function brokenOff(result: ScriptResult, what: string): ReadError {
  const said = result.stderr.toString('utf8').trim().split('\n').slice(-5).join('\n')
  return new ReadError(`the host's sh ended the request early (${what}; status ${result.rc})${said ? `: ${said}` : ''}`)
}

interface Mark {
  readonly body: Buffer
  readonly words: readonly string[]
}

/** Cuts output at the marks of a request; what follows the last mark is dropped. */
function splitMarks(bytes: Buffer, nonce: string): Mark[] {
  const marks: Mark[] = []
  let parts: Buffer[] = []
  const cut = cutAtMarkers(
    nonce,
    (chunk) => {
      parts.push(chunk)
    },
    (rest) => {
      marks.push({ body: parts.length === 1 ? parts[0]! : Buffer.concat(parts), words: rest.split(' ') })
      parts = []
    },
  )
  cut(bytes)
  return marks
}
