import { type Context, createContext, Script } from 'node:vm'
import { UserError } from './errors.ts'

/**
 * JavaScript's regular expressions backtrack: `^(a+)+$` against forty letters takes hours, and meanwhile nothing else in
 * the process happens on any host. A library without that (RE2) has no look-ahead and no back-references, which playbooks
 * for Ansible use. V8 looks for a request to stop while it backtracks, so its own time limit (`node:vm`) ends such a match.
 */
const LIMIT_MS = 5000

let made: Context | undefined
const script = new Script('work()')
/** What is at work, where something is. */
let running: { what: string } | undefined
/** What took too long once is not tried again on a thousand other hosts. */
const slow = new Set<string>()

const REPETITION = 'a repetition within a repetition, as in (a+)+, tries every way to cut a text up: write it without'

interface Limit {
  readonly hint?: string
  readonly ms?: number
}

/** Runs something short that matches texts with patterns of the user's, or repeats what the user says. Throws UserError when its time is over. */
export function withinTime<T>(what: string, work: () => T, { hint, ms = limit.ms }: Limit = {}): T {
  if (slow.has(what)) throw tooSlow(what, ms, hint)
  if (running) {
    // Inside of another one its limit holds; the message names the part.
    running.what = what
    return work()
  }
  running = { what }
  made ??= createContext()
  const context = made
  context.work = work
  try {
    return script.runInContext(context, { timeout: ms }) as T
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
    slow.add(running.what)
    throw tooSlow(running.what, ms, running.what === what ? hint : undefined)
  } finally {
    running = undefined
    context.work = undefined
  }
}

/** For tests. */
export const limit = { ms: LIMIT_MS }

function tooSlow(what: string, ms: number, hint = REPETITION): UserError {
  return new UserError({
    message: `${what} takes more than ${ms / 1000} s`,
    hint,
  })
}

/**
 * Whether a pattern takes time in proportion to its text: without repetition, choice and groups nothing is tried in several
 * ways. A time limit costs more than to look for such a one in a whole file.
 */
export function isSwift({ source }: RegExp): boolean {
  return !/[*+?{(|]/.test(source)
}

/** A pattern of the user's: whoever matches a text with it cannot block the process. */
export class Pattern extends RegExp {
  override exec(text: string): RegExpExecArray | null {
    return isSwift(this)
      ? super.exec(text)
      : withinTime(`the regular expression ${this.source}`, () => super.exec(text))
  }
}
