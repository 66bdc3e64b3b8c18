/** Files of tasks, roles and variables that a task brings in. */
import { isMap, type Node, type YAMLMap } from 'yaml'
import { keyValues } from './call.ts'
import { type Entry, entriesOf, entry, isText, pairOf, take } from './document.ts'
import { isTemplate } from './jinja/template.ts'
import { rewriteConditions, rewriteValue } from './nodes.ts'
import { Refused } from './refused.ts'
import { keywords, type TaskContext } from './task.ts'
import type { Env } from './translate.ts'

const ROLE_ARGUMENTS = /^(name|tasks_from|vars_from|defaults_from|handlers_from|apply)$/

/** Rewrites a step that brings in tasks; false when it is none. */
export function rewriteInclude(context: TaskContext, task: YAMLMap, pair: Entry, name: string, env: Env): boolean {
  const { doc } = context
  const { key } = pair
  const rename = (to: string): void => {
    key.value = to
    delete (key as { source?: string }).source
  }
  switch (name) {
    case 'include':
      rename(isStatic(task, pair) ? 'import_tasks' : 'include_tasks')
      return rewriteInclude(context, task, pair, key.value, env)
    case 'include_tasks':
    case 'import_tasks':
      rename(name)
      if (isText(pair.value) && keyValues(pair.value.value.replace(/^\S+\s*/, '')))
        doc.refuse(key, name, new Refused('arguments behind the name of a file', 'write them under vars'))
      if (isMap(pair.value)) {
        const apply = entry(pair.value, 'apply')?.value
        if (isMap(apply)) keywords(doc, apply, env)
        const file = entry(pair.value, 'file')
        if (file) rewriteValue(doc, file.value, key, 'file', env)
      } else rewriteValue(doc, pair.value, key, name, env)
      return true
    case 'include_role':
    case 'import_role': {
      rename(name)
      if (isText(pair.value)) {
        const given = keyValues(pair.value.value)
        if (given) pair.value = doc.root.createNode(given) as unknown as Node
      }
      if (!isMap(pair.value)) return true
      for (const { key: argument, value } of [...entriesOf(pair.value)]) {
        if (/^(public|allow_duplicates|rolespec_validate)$/.test(argument.value)) take(pair.value, argument.value)
        else if (!ROLE_ARGUMENTS.test(argument.value))
          doc.refuse(argument, name, new Refused(`the argument "${argument.value}"`, 'write variables under vars'))
        else if (argument.value === 'apply' && isMap(value)) keywords(doc, value, env)
        else rewriteValue(doc, value, argument, argument.value, env)
      }
      return true
    }
    default:
      return false
  }
}

function isStatic(task: YAMLMap, { value }: Entry): boolean {
  return isText(value) && !isTemplate(value.value) && !entry(task, 'loop')
}

/**
 * `include_vars` of a file that is known, or one for each distribution: tasks that set its variables with the same precedence,
 * above the play's. Undefined when the task is something else.
 */
export function includeVars(context: TaskContext, task: YAMLMap): YAMLMap[] | undefined {
  const { doc, files, types, report } = context
  const pair = entriesOf(task).find(({ key }) => /^(ansible\.builtin\.)?include_vars$/.test(key.value))
  if (!pair) return undefined
  const refuse = (why: string): YAMLMap[] => {
    doc.refuse(pair.key, 'include_vars', new Refused(why, 'use vars_files on the play, or set_fact with a condition'))
    pair.key.value = 'unfinished_include_vars'
    return [task]
  }
  const value = isMap(pair.value) ? entry(pair.value, 'file')?.value : pair.value
  if (!isText(value) || (isMap(pair.value) && pair.value.items.length > 1))
    return refuse('a folder of variables, or one with a name')
  if (entriesOf(task).some(({ key }) => /^(with_|loop|register)/.test(key.value)))
    return refuse('a loop that looks for files of variables')
  const found = files.varsFiles(value.value, types.env(report))
  if (typeof found === 'string') return refuse(found)
  const made: YAMLMap[] = []
  for (const { condition, data, name } of found) {
    const one = doc.root.createNode(data ? { name, set_fact: data } : { name, fail: { msg: name } }) as YAMLMap
    const node = entry(one, 'set_fact')
    if (node) rewriteValue(doc, node.value, node.key, 'set_fact', types.env(report))
    for (const other of entriesOf(task)) {
      if (other === pair || /^(name|when)$/.test(other.key.value)) continue
      one.items.push(other as never)
    }
    const when = entry(task, 'when')?.value?.clone() as Node | undefined
    const conditions = doc.root.createNode([]) as unknown as { items: unknown[] }
    if (condition !== undefined) conditions.items.push(doc.root.createNode(condition))
    if (when) {
      const whenPair = pairOf(doc, 'when', null)
      whenPair.value = when
      rewriteConditions(doc, when, whenPair.key, 'when', types.env(report))
      conditions.items.push(...('items' in when ? (when as { items: unknown[] }).items : [when]))
    }
    if (conditions.items.length === 1) {
      const only = pairOf(doc, 'when', null)
      only.value = conditions.items[0] as Node
      one.items.push(only as never)
    } else if (conditions.items.length > 1) {
      const all = pairOf(doc, 'when', null)
      all.value = conditions as never
      one.items.push(all as never)
    }
    made.push(one)
  }
  if (made[0] && task.commentBefore) made[0].commentBefore = task.commentBefore
  return made
}
