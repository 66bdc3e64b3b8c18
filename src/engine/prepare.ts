import type { Module } from '../module/define.ts'
import { TaskFailure } from '../module/define.ts'
import { resourcesOf } from '../module/read.ts'
import { parseArgs, writtenName } from '../playbook/index.ts'
import type { Task } from '../playbook/playbook.ts'
import { PowerError } from '../power/errors.ts'
import type { Become } from '../session/session.ts'
import { UserError } from '../shared/errors.ts'
import { PendingError, type Scope } from '../values/index.ts'
import { becomeOf, truth } from './become.ts'
import type { Entry, Item, ModuleEntry } from './entry.ts'
import type { HostState } from './host.ts'
import type { PlayRun } from './play.ts'
import { hostScope, taskScope } from './vars.ts'

/**
 * Renders one task (or one item of its loop) for a host. Throws PendingError when it needs a value that is not known yet;
 * every other trouble comes back as a `broken` entry, to be reported when its turn comes.
 */
export async function prepare(
  play: PlayRun,
  state: HostState,
  task: Task,
  item: Item | undefined,
  overlay: ReadonlyMap<string, unknown>,
  outer?: ReadonlyMap<string, unknown>,
): Promise<Entry> {
  const vars = outer && item ? new Map([...outer, ...item.vars]) : (outer ?? item?.vars)
  const scope = taskScope(play, state, task, overlay, vars)
  let name = task.moduleName
  let noLog = true
  const common = () => ({ task, item, vars, scope, name, noLog })
  try {
    name = taskName(task, scope)
    noLog = task.noLog !== undefined && truth(task.noLog.evaluate(scope), 'no_log')
    for (const condition of task.when) {
      if (!condition.test(scope)) return { ...common(), kind: 'skip', msg: `when: ${condition.source} is false` }
    }
    return await ready(play, state, task, scope, common())
  } catch (error) {
    if (error instanceof PendingError || !isTrouble(error)) throw error
    return { ...common(), kind: 'broken', error }
  }
}

async function ready(
  play: PlayRun,
  state: HostState,
  task: Task,
  scope: Scope,
  common: Pick<Entry, 'task' | 'item' | 'vars' | 'scope' | 'name' | 'noLog'>,
): Promise<Entry> {
  const check =
    task.checkMode === undefined ? play.run.input.check : truth(task.checkMode.evaluate(scope), 'check_mode')
  // Not used here: a wrong one makes the task fail before it begins.
  if (task.throttle) atLeast(1, task.throttle.evaluate(scope), 'throttle')
  if (task.loop?.pause) seconds(task.loop.pause.evaluate(scope), 'loop_control.pause')
  // 0 takes the limit off that a block or play has set.
  const timeout = task.timeout === undefined ? undefined : seconds(task.timeout.evaluate(scope), 'timeout') || undefined
  const actor = task.delegateTo === undefined ? state : play.run.delegate(String(task.delegateTo.evaluate(scope)), task)
  const base = {
    ...common,
    actor,
    check,
    timeout,
    become: becomeFor(play, task, scope, actor === state ? scope : hostScope(play, actor)),
    environment: environment(task, scope),
    args: parseArgs(task, scope),
  }
  const { module } = task
  if (module.type === 'action') return { ...base, kind: 'action', action: module }
  const args = await withFiles(play, module, base.args, task, scope)
  const read = module.probe(args)
  const entry: ModuleEntry = {
    ...base,
    args,
    kind: 'module',
    module,
    read,
    resources: resourcesOf(read),
    detach: detachOf(task, scope, timeout),
    harmless: isLiterallyFalse(task.changedWhen, scope) && task.checkMode !== undefined && !check,
  }
  return entry
}

/** Whom a task runs as. `ofActor`: the variables of the host that does the work say how to become somebody there. */
export function becomeFor(play: PlayRun, task: Task, scope: Scope, ofActor: Scope): Become | undefined {
  const become = becomeOf(task.become, scope, ofActor)
  return become && { ...become, password: become.password ?? play.run.input.becomePassword }
}

/** Milliseconds between looks at a detached command, where the task does not say. */
const POLL_MS = 5000

/** The smaller one of `async` and `timeout` is the limit. */
function detachOf({ detach }: Task, scope: Scope, timeout: number | undefined): ModuleEntry['detach'] {
  if (!detach) return undefined
  const own = detach.limit === undefined ? undefined : seconds(detach.limit.evaluate(scope), 'async')
  const limit = Math.min(own || Number.POSITIVE_INFINITY, timeout ?? Number.POSITIVE_INFINITY)
  const poll = detach.poll === undefined ? POLL_MS : seconds(detach.poll.evaluate(scope), 'poll')
  return { limit: Number.isFinite(limit) ? limit : undefined, poll }
}

async function withFiles(play: PlayRun, module: Module, args: unknown, task: Task, scope: Scope): Promise<unknown> {
  const wanted = module.files(args)
  if (wanted.length === 0) return args
  const files = await Promise.all(wanted.map((w) => play.run.files.load(w, task.searchPath, scope)))
  return module.withFiles(args, files.flat())
}

/** The name for reports. A name that cannot be rendered is shown as it stands in the playbook. */
export function taskName(task: Task, scope: Scope): string {
  try {
    return String(task.name.evaluate(scope))
  } catch (error) {
    if (!isTrouble(error) && !(error instanceof PendingError)) throw error
    return writtenName(task)
  }
}

function environment(task: Task, scope: Scope): Record<string, string> {
  const all: Record<string, string> = {}
  for (const layer of task.environment) {
    for (const [name, value] of Object.entries(layer.evaluate(scope) as object)) {
      // Names may come from what a host printed, and stand in a script without quotes (POSIX 8.1 has no others).
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
        throw new UserError({
          message: `environment: ${JSON.stringify(name)} is no name of a variable`,
          place: layer.place,
          hint: 'names hold letters, digits and _',
        })
      }
      if (value === null || typeof value === 'object') {
        throw new UserError({
          message: `environment: ${name} must be a text, not ${value === null ? 'null' : Array.isArray(value) ? 'a list' : 'a map'}`,
          place: layer.place,
          hint:
            value === null ? 'write "" for an empty one, or leave it out' : 'write {{ json x }} or {{ join x ":" }}',
        })
      }
      all[name] = String(value)
    }
  }
  return all
}

function isLiterallyFalse(conditions: Task['changedWhen'], scope: Scope): boolean {
  return conditions.length === 1 && conditions[0]!.source.trim() === 'false' && !conditions[0]!.test(scope)
}

/** A whole number of a keyword. Throws UserError. */
export function atLeast(least: number, value: unknown, keyword: string): number {
  const n = Number(value)
  if (Number.isInteger(n) && n >= least) return n
  throw new UserError(`${keyword} must be a whole number from ${least}, not ${JSON.stringify(value)}`)
}

/** Seconds of a keyword as milliseconds. */
export function seconds(value: unknown, keyword: string): number {
  const n = Number(value)
  if (!Number.isFinite(n) || n < 0)
    throw new UserError(`${keyword} must be a number of seconds, not ${JSON.stringify(value)}`)
  return n * 1000
}

/** An error that belongs to the user's input or the host, not to us. */
export function isTrouble(error: unknown): error is Error {
  return error instanceof UserError || error instanceof TaskFailure || error instanceof PowerError
}
