import none from '../module/none.ts'
import { type Include, selectSteps, type Task } from '../playbook/index.ts'
import type { Opened } from './cursor.ts'
import type { Entry } from './entry.ts'
import type { HostState } from './host.ts'
import { ownTask } from './own-task.ts'
import type { PlayRun } from './play.ts'
import { isTrouble } from './prepare.ts'
import { itemsOf } from './progress.ts'
import { taskScope } from './vars.ts'

/** What became of an include on a host: what it holds, or an entry that says why there is nothing to run. */
export type OpenedInclude = { readonly opened: readonly Opened[] } | { readonly entry: Entry }

/**
 * Evaluates an include for a host. Throws PendingError when its condition, loop or name needs a value that is not known
 * yet; other troubles come back as a broken entry.
 */
export async function openInclude(
  play: PlayRun,
  state: HostState,
  include: Include,
  overlay: ReadonlyMap<string, unknown>,
  outer: ReadonlyMap<string, unknown> | undefined,
): Promise<OpenedInclude> {
  const task = asTask(include)
  const scope = taskScope(play, state, task, overlay, outer)
  const common = { task, item: undefined, vars: outer, scope, name: '', noLog: false }
  try {
    const name = String(include.name.evaluate(scope))
    const opened: Opened[] = []
    const said = new Set<string>()
    for (const item of itemsOf(task, scope)) {
      const inner = scope.with(item.vars, 'loop item')
      const no = include.when.find((condition) => !condition.test(inner))
      if (no) {
        said.add(`when: ${no.source} is false`)
        continue
      }
      const from = include.tasksFrom === undefined ? undefined : String(include.tasksFrom.evaluate(inner))
      const included = await include.load(String(include.target.evaluate(inner)), from)
      play.addIncluded(included)
      const vars = new Map([...(outer ?? []), ...item.vars])
      for (const handler of included.handlers) state.handlerVars.set(handler, vars)
      opened.push({
        steps: selectSteps(included.steps, play.run.input.tags),
        vars: vars.size > 0 ? vars : undefined,
        key: item.label === undefined ? '' : `[${item.index}]`,
      })
    }
    if (opened.length > 0) return { opened }
    return { entry: { ...common, name, kind: 'skip', msg: [...said][0] ?? 'the loop has no items' } }
  } catch (error) {
    if (!isTrouble(error)) throw error
    return { entry: { ...common, name: `include_${include.what}`, kind: 'broken', error } }
  }
}

const tasks = new WeakMap<Include, Task>()

/** An include as a task, for its scope and for reports. */
export function asTask(include: Include): Task {
  const known = tasks.get(include)
  if (known) return known
  const { id, name, place, vars, defaultVars, tags, loop, role, when } = include
  const moduleName = `include_${include.what}`
  const task = ownTask({ id, name, place, vars, defaultVars, tags, loop, role, when, moduleName, module: none })
  tasks.set(include, task)
  return task
}
