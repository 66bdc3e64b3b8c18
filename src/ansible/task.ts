/** One task, handler or block. */
import { isMap, isScalar, isSeq, type Node, type YAMLMap, type YAMLSeq } from 'yaml'
import { nameArguments } from './argument-names.ts'
import { Call, freeForm, keyValues } from './call.ts'
import {
  type Entry,
  entriesOf,
  entry,
  isText,
  YAMLMap as Map_,
  pairOf,
  scalar,
  take,
  type YamlDocument,
} from './document.ts'
import type { Env } from './env.ts'
import type { Files } from './files.ts'
import { fromWorkingFolder, homePath, isHomePath } from './home-path.ts'
import { addCondition, includeFirst, includeVars, rewriteInclude } from './include.ts'
import { lit } from './ir.ts'
import { isTemplate } from './jinja/template.ts'
import { rewriteLoop } from './loops.ts'
import { moduleDefaults } from './module-defaults.ts'
import { INSTEAD, MODULES, shortModule } from './modules.ts'
import { rewriteConditions, rewriteValue, rewriteVariable } from './nodes.ts'
import { Refused } from './refused.ts'
import type { Report } from './report.ts'
import type { VariableTypes } from './scope.ts'
import { asynchronous, randomDelay, retries } from './tries.ts'
import { ANY } from './types.ts'

export interface TaskContext {
  readonly doc: YamlDocument
  readonly types: VariableTypes
  readonly report: Report
  readonly files: Files
}

const CONDITIONS = ['when', 'until', 'changed_when', 'failed_when']
const TEXTS = [
  'name',
  'delegate_to',
  'become_user',
  'environment',
  'vars',
  'notify',
  'timeout',
  'retries',
  'delay',
  'throttle',
  'loop_control',
  'become',
  'become_method',
  'no_log',
  'ignore_errors',
  'ignore_unreachable',
  'check_mode',
  'diff',
  'any_errors_fatal',
  'listen',
]
/** Ansible takes digits in quotes for a number. */
const NUMBERS = /^(retries|delay|throttle|timeout|async|poll)$/
const LITERAL = [
  'register',
  'tags',
  'run_once',
  'delegate_facts',
  'args',
  'module_defaults',
  'async',
  'poll',
  'loop',
  'action',
  'local_action',
  'block',
  'rescue',
  'always',
  'connection',
  'remote_user',
  'port',
  'become_flags',
  'become_exe',
  'debugger',
  'collections',
]
const KEYWORDS = new Set([...CONDITIONS, ...TEXTS, ...LITERAL])

/** Rewrites a list of tasks in its place. */
export function rewriteTasks(context: TaskContext, list: unknown): void {
  if (!isSeq(list)) return
  const tasks = list as YAMLSeq
  for (let i = 0; i < tasks.items.length; i++) {
    const task = tasks.items[i]
    if (!isMap(task)) continue
    const instead = includeVars(context, task)
    if (instead) {
      tasks.items.splice(i, 1, ...instead)
      i += instead.length - 1
      context.report.tasks++
      continue
    }
    const chosen = includeFirst(context, task)
    if (chosen) tasks.items.splice(i, 1, ...chosen)
    for (const one of chosen ?? [task]) {
      rewriteTask(context, one)
      addCondition(context.doc, one)
    }
    if (chosen) i += chosen.length - 1
  }
}

function rewriteTask(context: TaskContext, task: YAMLMap): void {
  const { doc, types, report } = context
  const outer = doc.task
  if (!entry(task, 'block')) {
    doc.task = task
    report.tasks++
  }
  const loopNames = rewriteLoop(doc, task, types.env(report))
  const own = new Map(loopNames)
  for (const name of varNames(task)) own.set(name, types.typeOf(name) ?? ANY)
  const env = types.env(report, own)
  keywords(doc, task, env)
  const becomes = doc.becomes
  if (['become', 'become_user'].some((name) => entry(task, name))) doc.becomes = true
  for (const name of ['block', 'rescue', 'always']) rewriteTasks(context, entry(task, name)?.value)
  if (!entry(task, 'block')) moduleOf(context, task, env)
  doc.task = outer
  doc.becomes = becomes
}

function varNames(task: YAMLMap): string[] {
  const vars = entry(task, 'vars')?.value
  return isMap(vars) ? entriesOf(vars).map(({ key }) => key.value) : []
}

/** The keywords that tasks, blocks, roles and plays share. */
export function keywords(doc: YamlDocument, task: YAMLMap, env: Env): void {
  for (const pair of [...entriesOf(task)]) {
    const { key, value } = pair
    const name = key.value
    if (name === 'delay') randomDelay(doc, pair)
    if (NUMBERS.test(name) && isText(value) && /^\d+$/.test(value.value))
      pair.value = scalar(Number(value.value)) as Node
    if (CONDITIONS.includes(name)) rewriteConditions(doc, value, key, name, env)
    else if (name === 'loop_control' && isMap(value)) {
      for (const one of entriesOf(value)) {
        if (one.key.value === 'break_when') rewriteConditions(doc, one.value, one.key, 'break_when', env)
        else rewriteValue(doc, one.value, one.key, `loop_control.${one.key.value}`, env)
      }
    } else if (name === 'notify') notify(doc, pair, env)
    else if (TEXTS.includes(name))
      rewriteValue(doc, value, key, name, name === 'name' ? { ...env, isMessage: true } : env)
    else if (name === 'module_defaults') moduleDefaults(doc, pair, task, env)
    else if (name === 'collections' || name === 'debugger') take(task, name)
    else if (/^(tags|run_once|delegate_facts)$/.test(name) && holdsTemplate(value))
      doc.refuse(key, name, new Refused('a template, which is needed before the run', 'write the value'))
    else if (/^(become_flags|become_exe)$/.test(name))
      doc.refuse(key, name, new Refused('become uses fixed, safe flags', 'take it away'))
    else if (name === 'remote_user' || name === 'port') {
      if (entry(task, 'hosts') === undefined)
        doc.refuse(
          key,
          name,
          new Refused(
            'only plays and inventories say how a host is reached',
            'write become_user, or ansible_user in the inventory',
          ),
        )
    } else if (name === 'connection' && entry(task, 'hosts') === undefined) {
      if (isText(value) && value.value === 'local') {
        take(task, 'connection')
        if (!entry(task, 'delegate_to')) task.items.push(pairOf(doc, 'delegate_to', 'localhost') as never)
      } else doc.refuse(key, name, new Refused('a connection of one task', 'write delegate_to'))
    }
  }
  asynchronous(doc, task, env)
  retries(doc, task)
}

/** `role : handler` names a handler of a role; here names are enough. */
function notify(doc: YamlDocument, { key, value }: Entry, env: Env): void {
  for (const item of isSeq(value) ? value.items : [value])
    if (isText(item)) item.value = item.value.replace(/^[\w.-]+ : /, '')
  rewriteValue(doc, value, key, 'notify', env)
}

function holdsTemplate(node: unknown): boolean {
  return isText(node) ? isTemplate(node.value) : isSeq(node) && node.items.some(holdsTemplate)
}

function moduleOf(context: TaskContext, task: YAMLMap, env: Env): void {
  const { doc } = context
  openAction(doc, task)
  const candidates = entriesOf(task).filter(({ key }) => !KEYWORDS.has(key.value) && !/^with_/.test(key.value))
  const pair = candidates.find(({ key }) => isKnown(shortModule(key.value))) ?? candidates[0]
  if (!pair || pair.key.value.startsWith('unfinished_')) return
  const name = shortModule(pair.key.value)
  if (rewriteInclude(context, task, pair, name, env)) return
  pair.key.value = name
  delete (pair.key as { source?: string }).source
  const rule = Object.hasOwn(MODULES, name) ? MODULES[name] : undefined
  if (!rule) {
    const why = Object.hasOwn(INSTEAD, name) ? 'there is no such module' : 'a module that runbook does not have'
    doc.refuse(pair.key, name, new Refused(why, INSTEAD[name] ?? 'see "runbook modules"'))
    pair.key.value = `unfinished_${name}`
    return
  }
  try {
    const args = readArguments(doc, task, pair, name)
    if (!args) return
    const call = new Call(doc, env, task, pair, args, name)
    nameArguments(call, rule.args)
    if (rule.to) call.become(rule.to)
    rule.fix?.(call)
    finish(context, call)
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    doc.refuse(pair.key, name, error)
    pair.key.value = `unfinished_${name}`
  }
}

function isKnown(name: string): boolean {
  return (
    Object.hasOwn(MODULES, name) || Object.hasOwn(INSTEAD, name) || /^(include|import)(_tasks|_role|_vars)?$/.test(name)
  )
}

/** `action: copy src=a` and `local_action`. */
function openAction(doc: YamlDocument, task: YAMLMap): void {
  for (const word of ['action', 'local_action']) {
    const pair = entry(task, word)
    if (!pair) continue
    if (isText(pair.value)) {
      const [, name = '', rest = ''] = /^\s*(\S+)\s*([\s\S]*)$/.exec(pair.value.value)!
      pair.key.value = name
      pair.value.value = rest
    } else if (isMap(pair.value)) {
      const name = take(pair.value, 'module')?.value
      if (isText(name)) pair.key.value = name.value
    }
    if (word === 'local_action' && !entry(task, 'delegate_to'))
      task.items.push(pairOf(doc, 'delegate_to', 'localhost') as never)
  }
}

const FREE_FORM: Readonly<Record<string, string>> = {
  command: 'cmd',
  shell: 'cmd',
  raw: 'cmd',
  script: 'cmd',
  meta: 'action',
}

/** The arguments as a map, whatever way they were given. */
function readArguments(doc: YamlDocument, task: YAMLMap, pair: Entry, name: string): YAMLMap | undefined {
  const free = FREE_FORM[name]
  const { value } = pair
  let args: YAMLMap
  if (isMap(value)) {
    args = value
    const raw = entry(args, '_raw_params')
    if (raw) raw.key.value = free ?? 'cmd'
  } else if (isText(value) && free !== undefined) {
    const { cmd, args: given } =
      name === 'meta' || name === 'raw' ? { cmd: value.value, args: {} } : freeForm(value.value)
    args = new Map_()
    value.value = cmd
    args.items.push(pairOf(doc, free, null) as never)
    entry(args, free)!.value = value
    for (const [key, one] of Object.entries(given)) args.items.push(pairOf(doc, key, one) as never)
  } else if (isText(value)) {
    const given = keyValues(value.value)
    if (!given) throw new Refused('arguments in one text', 'write them as a map')
    args = doc.root.createNode(given) as YAMLMap
  } else args = new Map_()
  pair.value = args as Node
  const more = take(task, 'args')?.value
  if (isMap(more)) args.items.push(...(more.items as never[]))
  else if (more) throw new Refused('computed arguments', 'write them as a map')
  return args
}

/** What is only shown to people. */
function isMessage(module: string, name: string): boolean {
  return /^(debug|fail|assert)$/.test(module) && /^(msg|fail_msg|success_msg)$/.test(name)
}

/** Rewrites the arguments' values, `default(omit)` included, and puts a command back into its short form. */
function finish(context: TaskContext, call: Call): void {
  const { doc, args, env } = call
  const module = call.pair.key.value
  // An argument that is null counts as not given.
  const omitting: Env = {
    ...env,
    typeOf: env.typeOf,
    names: env.names,
    locals: new Map([...env.locals, ['omit', lit(null)]]),
  }
  fromWorkingFolder(call)
  for (const { key, value } of entriesOf(args)) {
    if (module === 'debug' && key.value === 'var') rewriteVariable(doc, value, key, 'var', env)
    else if (module === 'assert' && key.value === 'that') rewriteConditions(doc, value, key, 'that', env)
    else if (isMessage(module, key.value)) rewriteValue(doc, value, key, key.value, { ...omitting, isMessage: true })
    else if (isHomePath(key.value, value)) homePath(call, key.value, value, env)
    else rewriteValue(doc, value, key, key.value, isScalar(value) ? omitting : env)
  }
  if (module === 'template') context.files.giveComputed(doc, call)
  const [only, ...more] = entriesOf(args)
  const free = { command: 'cmd', shell: 'cmd', script: 'cmd', meta: 'action' }[module]
  if (only && more.length === 0 && only.key.value === free && !only.key.commentBefore) call.pair.value = only.value
  else if (args.items.length === 0) call.pair.value = doc.root.createNode({}) as Node
}
