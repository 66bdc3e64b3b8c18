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
import { Keep } from '../session/keep.ts'
import { type RunOptions, SessionError, type Shell } from '../session/session.ts'

/** The answer to an ask, or why there is none. */
export type Answer = { readonly value: unknown } | { readonly error: ReadError }
export type Answers = ReadonlyMap<string, Answer>

export interface Reply {
  /** One for each change that was started; the last may have failed, those behind it did not run. */
  readonly outputs: readonly ChangeOutput[]
  /** Answers by ask id; empty when a change failed. */
  readonly answers: Answers
  /** The changes were made, and then the questions took too long. */
  readonly unanswered?: boolean
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
  /** Milliseconds for the questions behind changes, which may take as long as they like. */
  readonly asksTimeoutMs?: number | undefined
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
  const { timeoutMs, signal, asksTimeoutMs } = options
  const late = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const onEnd = (index: number): void => {
    if (index === changes.length - 1 && asks.length > 0 && asksTimeoutMs !== undefined)
      timer = setTimeout(() => late.abort(), asksTimeoutMs)
    options.onEnd?.(index)
  }
  const expected = changes.length + groups.reduce((n, { kind, keys }) => n + kind.sections(keys), 0)
  const output = collect(nonce, changes.length, expected, { ...options, onEnd })
  // Nothing is kept below: a command may print more than anybody keeps, and the marks behind it must still be seen.
  const either = asksTimeoutMs === undefined ? signal : AbortSignal.any([late.signal, ...(signal ? [signal] : [])])
  try {
    const { rc } = await shell.run(script, { timeoutMs, signal: either, maxOutput: 0, onOutput: output.take })
    return parse(changes, groups, output, rc)
  } catch (error) {
    if (error !== late.signal.reason) {
      if (error instanceof SessionError && error.kind === 'timeout' && output.stdout.length < changes.length)
        error.said = output.unfinished()
      throw error
    }
    return { outputs: outputsOf(output), answers: new Map(), unanswered: true }
  } finally {
    clearTimeout(timer)
  }
}

/** Bytes of each stream that are kept of a change, and of an answer. */
const KEPT = 16 * 1024 * 1024

/** What stood before a mark, and the words of the mark. */
interface Mark {
  readonly body: Buffer
  readonly truncated: boolean
  readonly words: readonly string[]
}

interface Output {
  readonly stdout: readonly Mark[]
  readonly stderr: readonly Mark[]
  /** What stands behind the last mark of the error stream. */
  rest(): Buffer
  /** What the change that is under way has printed. */
  unfinished(): { stdout: string; stderr: string }
  /** Milliseconds of each change. */
  readonly elapsed: readonly number[]
  readonly take: NonNullable<RunOptions['onOutput']>
}

/**
 * Cuts output at the marks as it comes, and tells live which change prints what. A host that makes up more marks than are
 * expected is not listened to any longer.
 */
function collect(nonce: string, changes: number, expected: number, { onOutput, onEnd }: RequestOptions): Output {
  const elapsed: number[] = []
  let since = performance.now()
  const cutter = (stream: 'stdout' | 'stderr', marks: Mark[], keep = { now: new Keep(KEPT) }) => ({
    keep,
    cut: cutAtMarkers(
      nonce,
      (chunk) => {
        if (marks.length >= expected && stream === 'stdout') return
        keep.now.add(chunk)
        if (marks.length < changes) onOutput?.(marks.length, stream, chunk)
      },
      (rest) => {
        if (marks.length >= expected) return
        marks.push({ body: keep.now.take(), truncated: keep.now.truncated, words: rest.split(' ') })
        keep.now = new Keep(KEPT)
        if (stream === 'stderr' || marks.length > changes) return
        onEnd?.(marks.length - 1)
        const now = performance.now()
        elapsed.push(now - since)
        since = now
      },
    ),
  })
  const marks = { stdout: [] as Mark[], stderr: [] as Mark[] }
  const stdout = cutter('stdout', marks.stdout)
  const stderr = cutter('stderr', marks.stderr)
  const cut = { stdout: stdout.cut, stderr: stderr.cut }
  const unfinished = () => ({
    stdout: stdout.keep.now.take().toString('utf8'),
    stderr: stderr.keep.now.take().toString('utf8'),
  })
  const rest = () => stderr.keep.now.take()
  return { ...marks, rest, unfinished, elapsed, take: (stream, chunk) => cut[stream](chunk) }
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

function parse(changes: readonly Change[], groups: readonly Group[], output: Output, rc: number): Reply {
  const outputs = outputsOf(output)
  const sections = output.stdout.flatMap(({ body, words }): Section[] =>
    words[0] === 'r' ? [{ out: body, rc: Number(words[1]) }] : [],
  )
  const failed = outputs.some((o, i) => !(changes[i]?.okCodes ?? [0]).includes(o.rc))
  const answers = new Map<string, Answer>()
  if (failed) return { outputs, answers }
  if (outputs.length < changes.length)
    throw brokenOff(output, rc, `${outputs.length} of ${changes.length} changes reported`)
  let at = 0
  for (const { kind, ids, keys } of groups) {
    const count = kind.sections(keys)
    const mine = sections.slice(at, at + count)
    at += count
    if (mine.length < count) throw brokenOff(output, rc, `no answer to ${kind.name}`)
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

function outputsOf(output: Output): ChangeOutput[] {
  return output.stdout
    .filter(({ words }) => words[0] === 'c')
    .map(({ body, words, truncated }, i) => changeOutput(Number(words[1]), body, truncated, i, output))
}

function changeOutput(rc: number, stdout: Buffer, truncated: boolean, index: number, output: Output): ChangeOutput {
  const error = output.stderr[index]
  const cut = truncated || error?.truncated
  const note = cut ? `\nrunbook: of each stream the first ${KEPT / 2 ** 20} MiB were kept\n` : ''
  const stderr = Buffer.concat([error?.body ?? Buffer.alloc(0), Buffer.from(note)])
  return { rc, stdout, stderr, elapsedMs: output.elapsed[index] ?? 0 }
}

function brokenOff(output: Output, rc: number, what: string): ReadError {
  const said = output.rest().toString('utf8').trim().split('\n').slice(-5).join('\n')
  return new ReadError(`the host's sh ended the request early (${what}; status ${rc})${said ? `: ${said}` : ''}`)
}
