/** Files of tasks, roles and variables that a task brings in. */
import { isMap, isSeq, type Node, type YAMLMap } from 'yaml'
import { keyValues } from './call.ts'
import { type Entry, entriesOf, entry, isText, type Key, pairOf, take, textOf, type YamlDocument } from './document.ts'
import type { Env } from './env.ts'
import { inOrder, type VarsFile } from './files.ts'
import { type FirstFound, readFirstFound } from './first-found.ts'
import { IN_PLAYBOOK, isTemplate, parseTemplate } from './jinja/template.ts'
import { rewriteConditions, rewriteValue } from './nodes.ts'
import { Refused } from './refused.ts'
import { keywords, type TaskContext } from './task.ts'

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
      takeArguments(doc, task, pair, 'file')
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

/** What stands under `args`, beside the file or the role that it names. */
function takeArguments(doc: YamlDocument, task: YAMLMap, pair: Entry, name: string): void {
  const more = take(task, 'args')?.value
  if (!isMap(more)) return
  const value = pair.value
  if (!isMap(value)) {
    const own = pairOf(doc, name, null)
    own.value = value
    pair.value = doc.root.createNode({}) as unknown as Node
    ;(pair.value as YAMLMap).items.push(own as never)
  }
  ;(pair.value as YAMLMap).items.push(...(more.items as never[]))
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
  // The rest of the task is rewritten like that of any other.
  const refuse = (why: string): undefined => {
    doc.refuse(pair.key, 'include_vars', new Refused(why, 'use vars_files on the play, or set_fact with a condition'))
    pair.key.value = 'unfinished_include_vars'
    return undefined
  }
  const value = isMap(pair.value) ? entry(pair.value, 'file')?.value : pair.value
  const more = isMap(pair.value) ? entriesOf(pair.value).map(({ key }) => key.value) : []
  if (!isText(value) || more.some((name) => name !== 'file' && name !== 'name')) return refuse('a folder of variables')
  const into = isMap(pair.value) ? textOf(pair.value, 'name') : undefined
  const first = firstFoundOf(task, value.value)
  if (entriesOf(task).some(({ key }) => /^(with_|loop$|register)/.test(key.value) && key !== first?.key))
    return refuse('a loop over files of variables')
  let found: VarsFile[] | string
  try {
    found = first ? files.firstVars(first.wanted, types.env(report)) : files.varsFiles(value.value, types.env(report))
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return refuse(error.message)
  }
  if (typeof found === 'string') return refuse(found)
  if (into !== undefined) found = found.map((one) => ({ ...one, data: one.data && { [into]: one.data } }))
  const made: YAMLMap[] = []
  const steps = found.flatMap((one) => {
    const [first, ...more] = one.data ? inOrder(one.data) : [undefined]
    return [{ ...one, data: first }, ...more.map((data) => ({ ...one, name: `${one.name}, made of these`, data }))]
  })
  for (const { condition, data, name } of steps) {
    const one = doc.root.createNode(data ? { name, set_fact: data } : { name, fail: { msg: name } }) as YAMLMap
    const node = entry(one, 'set_fact')
    if (node) rewriteValue(doc, node.value, node.key, 'set_fact', types.env(report))
    for (const other of entriesOf(task)) {
      if (other === pair || other.key === first?.key || /^(name|when|loop_control)$/.test(other.key.value)) continue
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

/**
 * `include_tasks` of the first file that is there: one step for each file that can be meant, with its condition. Undefined
 * when the task is something else.
 */
export function includeFirst({ doc, files, types, report }: TaskContext, task: YAMLMap): YAMLMap[] | undefined {
  const pair = entriesOf(task).find(({ key }) => /^(ansible\.builtin\.)?include(_tasks)?$/.test(key.value))
  const value = isMap(pair?.value) ? entry(pair.value, 'file')?.value : pair?.value
  const first = isText(value) ? firstFoundOf(task, value.value) : undefined
  const key = first?.key
  const more = isMap(pair?.value) ? entriesOf(pair.value).filter((one) => !/^(file|apply)$/.test(one.key.value)) : []
  if (!pair || !first || !key || more.length > 0) return undefined
  try {
    return files.firstTasks(first.wanted, types.env(report)).map(({ name, condition }) => {
      const one = task.clone() as YAMLMap
      for (const name of [key.value, 'loop_control']) take(one, name)
      const own = entry(one, pair.key.value)!
      if (name === undefined) own.key.value = 'fail'
      const file =
        isMap(own.value) && own.value.items.length > 1 && name !== undefined ? entry(own.value, 'file') : undefined
      if (file) file.value = doc.root.createNode(name) as unknown as Node
      else own.value = doc.root.createNode(name ?? { msg: 'No file of tasks for this system' }) as Node
      // Not yet rewritten: Ansible's conditions and ours stand beside each other until then.
      if (condition !== undefined) conditions.set(one, condition)
      return one
    })
  } catch (error) {
    if (error instanceof Refused) return undefined
    throw error
  }
}

/** Conditions in CEL that a task gets beside its own. */
const conditions = new WeakMap<YAMLMap, string>()

/** Adds what `includeFirst` found; for a task that is rewritten already. */
export function addCondition(doc: YamlDocument, task: YAMLMap): void {
  const condition = conditions.get(task)
  if (condition === undefined) return
  const when = entry(task, 'when')
  if (!when) task.items.push(pairOf(doc, 'when', condition) as never)
  else {
    const own = isSeq(when.value) ? when.value.items : [when.value]
    const all = doc.root.createNode([condition]) as unknown as { items: unknown[] }
    all.items.push(...own)
    when.value = all as never
  }
}

/** The files of `with_first_found`, or of the lookup of that name. */
function firstFoundOf(task: YAMLMap, value: string): { key?: Key; wanted: FirstFound } | undefined {
  const loop = entriesOf(task).find(({ key }) => /^with_(ansible\.builtin\.)?first_found$/.test(key.value))
  const control = entry(task, 'loop_control')?.value
  const name = (isMap(control) && textOf(control, 'loop_var')) || 'item'
  if (loop) {
    if (value.replace(/\s/g, '') !== `{{${name}}}`) return undefined
    const wanted = readFirstFound((loop.value as { toJSON(): unknown }).toJSON())
    return wanted && { key: loop.key, wanted }
  }
  const [node, ...more] = isTemplate(value) ? parseTemplate(value, IN_PLAYBOOK) : []
  if (more.length > 0 || node?.op !== 'output' || node.expr.op !== 'call' || node.expr.of.op !== 'name')
    return undefined
  const [plugin, argument, ...others] = node.expr.args.list
  const isFirst = plugin?.op === 'const' && /^(ansible\.builtin\.)?first_found$/.test(String(plugin.value))
  if (!isFirst || argument?.op !== 'name' || others.length > 0) return undefined
  const vars = entry(task, 'vars')?.value
  const given = isMap(vars) ? entry(vars, argument.name)?.value : undefined
  const wanted = given ? readFirstFound((given as unknown as { toJSON(): unknown }).toJSON()) : undefined
  if (!wanted) return undefined
  take(vars as YAMLMap, argument.name)
  if ((vars as YAMLMap).items.length === 0) take(task, 'vars')
  return { wanted }
}
