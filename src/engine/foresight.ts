/** Check mode: what a task can tell though changes of tasks before it were not made. */
import { TaskFailure } from '../module/define.ts'
import { ReadError } from '../module/read.ts'
import { SessionError } from '../session/session.ts'
import type { ActionEntry, ModuleEntry } from './entry.ts'
import { NOTHING, type Outcome } from './outcome.ts'

/** What decides, beside the user, whether one can be become. */
const BECOME = ['package:sudo', 'package:doas', 'file:/etc/sudoers', 'file:/etc/sudoers.d/*', 'file:/etc/doas.conf']

/**
 * The end of a task that failed where a change that was not made may be why; undefined where it is a failure. Nobody knows
 * what an action looks at, so with one any change may be.
 */
export function excused(entry: ModuleEntry | ActionEntry, error: unknown): Outcome | undefined {
  const { check, actor, become } = entry
  const { unapplied } = actor
  let affected: boolean
  if (!check) return undefined
  else if (error instanceof SessionError && error.kind === 'become' && become)
    affected = unapplied.affects([`user:${become.user}`, ...BECOME])
  else if (error instanceof TaskFailure || error instanceof ReadError)
    affected = entry.kind === 'action' ? !unapplied.empty : unapplied.affects(entry.resources)
  else return undefined
  if (!affected) return undefined
  const msg = `check mode cannot tell: it depends on changes that were not made (${error.message})`
  return { ...NOTHING, status: 'skipped', msg, unknown: true, unsure: true }
}

/**
 * Words for a task that reads what a task before it would have changed. What it wants was found out from the state as it is.
 * Commands are left out: they may change anything, and mostly change nothing that others read.
 */
export function unsure({ check, actor, resources }: ModuleEntry): string | undefined {
  if (!check || !actor.unapplied.affectsByName(resources)) return undefined
  return 'check mode cannot tell for sure: it depends on changes that were not made'
}
