/** Everything in the imported files that gives variables values, for their types. */

import { keyValues } from './call.ts'
import { shortModule } from './modules.ts'
import type { VariableTypes } from './scope.ts'
import { resultType, STRING } from './types.ts'

type Plain = Readonly<Record<string, unknown>>

export interface TemplateArguments {
  readonly src: string
  readonly trimBlocks?: boolean | undefined
  readonly lstripBlocks?: boolean | undefined
}

export interface Gathered {
  readonly templates: TemplateArguments[]
  /** Roles, files of tasks, playbooks and variables that are named. */
  readonly roles: Set<string>
  readonly taskFiles: Set<string>
  readonly playbooks: Set<string>
  readonly varsFiles: Set<string>
}

export function noneGathered(): Gathered {
  return { templates: [], roles: new Set(), taskFiles: new Set(), playbooks: new Set(), varsFiles: new Set() }
}

function isMap(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function gatherVars(types: VariableTypes, vars: unknown): void {
  if (isMap(vars)) for (const [name, value] of Object.entries(vars)) types.value(name, value)
}

export function gatherPlaybook(types: VariableTypes, plays: unknown, into: Gathered): void {
  for (const play of Array.isArray(plays) ? plays : []) {
    if (!isMap(play)) continue
    for (const [key, value] of Object.entries(play)) {
      if (shortModule(key) === 'import_playbook' && typeof value === 'string') into.playbooks.add(value)
      if (/^(pre_tasks|tasks|post_tasks|handlers)$/.test(key)) gatherTasks(types, value, into)
    }
    gatherVars(types, play.vars)
    gatherRoles(types, play.roles, into)
    for (const file of Array.isArray(play.vars_files) ? play.vars_files.flat() : [])
      if (typeof file === 'string') into.varsFiles.add(file)
    for (const prompt of [play.vars_prompt].flat()) if (isMap(prompt)) types.type(String(prompt.name), STRING)
  }
}

const NO_VARIABLES = /^(role|name|src|tags|when|vars|become\w*|version|scm|environment|no_log|delegate_\w+)$/

export function gatherRoles(types: VariableTypes, list: unknown, into: Gathered): void {
  for (const role of Array.isArray(list) ? list : []) {
    if (typeof role === 'string') into.roles.add(role)
    if (!isMap(role)) continue
    const name = role.role ?? role.name
    if (typeof name === 'string') into.roles.add(name)
    gatherVars(types, role.vars)
    gatherVars(types, Object.fromEntries(Object.entries(role).filter(([key]) => !NO_VARIABLES.test(key))))
  }
}

export function gatherTasks(types: VariableTypes, tasks: unknown, into: Gathered): void {
  for (const task of Array.isArray(tasks) ? tasks : []) {
    if (!isMap(task)) continue
    gatherVars(types, task.vars)
    for (const key of ['block', 'rescue', 'always']) gatherTasks(types, task[key], into)
    for (const [key, value] of Object.entries(task)) gatherModule(types, task, shortModule(key), value, into)
  }
}

function gatherModule(types: VariableTypes, task: Plain, name: string, value: unknown, into: Gathered): void {
  const args: Plain = isMap(value) ? value : (typeof value === 'string' && keyValues(value)) || {}
  const file = typeof value === 'string' ? value : (args.file ?? args._raw_params)
  switch (name) {
    case 'set_fact':
      gatherVars(types, Object.fromEntries(Object.entries(args).filter(([key]) => key !== 'cacheable')))
      return
    case 'include':
    case 'import_tasks':
    case 'include_tasks':
      gatherLoop(types, task)
      if (typeof file === 'string') into.taskFiles.add(file)
      return
    case 'import_role':
    case 'include_role':
      if (typeof args.name === 'string') into.roles.add(args.name)
      return
    case 'template':
      if (typeof args.src === 'string')
        into.templates.push({
          src: args.src,
          trimBlocks: flag(args.trim_blocks),
          lstripBlocks: flag(args.lstrip_blocks),
        })
      return
    case 'register': {
      const module = Object.keys(task)
        .map(shortModule)
        .find(
          (key) =>
            !/^(name|when|register|with_\w+|loop|tags|become\w*|vars|args|notify|changed_when|failed_when|until|retries|delay|environment|no_log|delegate_to|run_once|ignore_errors|check_mode)$/.test(
              key,
            ),
        )
      const looped = Object.keys(task).some((key) => key === 'loop' || key.startsWith('with_'))
      if (typeof value === 'string') types.type(value, resultType(module ?? '', looped))
      return
    }
    default:
  }
}

/** The item of a loop, as the files that it includes see it. */
function gatherLoop(types: VariableTypes, task: Plain): void {
  const loop = task.loop ?? task.with_items
  const name =
    isMap(task.loop_control) && typeof task.loop_control.loop_var === 'string' ? task.loop_control.loop_var : 'item'
  if (Array.isArray(loop)) for (const item of loop) types.value(name, item)
  const inner = typeof loop === 'string' ? /^\{\{([\s\S]*)\}\}$/.exec(loop.trim())?.[1] : undefined
  if (inner !== undefined) types.value(name, `{{ (${inner}) | first }}`)
}

function flag(value: unknown): boolean | undefined {
  return value === undefined ? undefined : /^(true|yes|on|1)$/i.test(String(value))
}
