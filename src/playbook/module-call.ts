/** Which module a task runs and with which arguments: the map, the one-string form, `args:`, `action:`. */
import type { Action, Module } from '../module/registry.ts'
import { UserError } from '../shared/errors.ts'
import { type YamlEntry, YamlMap, YamlScalar } from '../shared/yaml.ts'
import { argumentNames } from './argument-names.ts'
import { addUnknown, asMap } from './keyword-reader.ts'
import { HANDLER, STEP_WORDS, TASK } from './keywords.ts'
import { describe, isNull, isString, isTemplate } from './kinds.ts'
import type { Loader } from './loader.ts'

export interface ModuleCall {
  readonly name: string
  readonly module: Module | Action
  /** A map, or a template of the whole map. */
  readonly args: YamlMap | YamlScalar
  /** The module's key. */
  readonly entry: YamlEntry
  /** `local_action`. */
  readonly local: boolean
}

/**
 * Finds the one module among the entries of a task that are no keywords; all others are unknown words. Problems go to the
 * loader; undefined when there is no module to go on with.
 */
export async function readModuleCall(
  task: YamlMap,
  rest: readonly YamlEntry[],
  more: YamlMap | undefined,
  level: 'task' | 'handler',
  loader: Loader,
): Promise<ModuleCall | undefined> {
  const calls: (Omit<ModuleCall, 'args'> & { readonly value: YamlEntry['value'] })[] = []
  const unknown: YamlEntry[] = []
  for (const entry of rest) {
    const opened = openAction(entry, loader)
    const found = opened && (await loader.module(opened.name))
    if (found) calls.push({ ...found, entry, value: opened.value, local: entry.key === 'local_action' })
    else if (opened !== undefined || !isAction(entry)) unknown.push(opened ? { ...entry, key: opened.name } : entry)
  }
  const [call, ...others] = calls
  const table = level === 'handler' ? HANDLER : TASK
  for (const entry of unknown) {
    if (call && argumentNames(call.module.args).includes(entry.key)) {
      const hint = `indent it under "${call.entry.key}:"`
      loader.problems.add(
        `"${entry.key}" is an argument of ${call.name}, not a keyword of the task`,
        entry.keyPlace,
        hint,
      )
    } else addUnknown(entry, table, level, loader.problems, [...(await loader.moduleNames()), ...STEP_WORDS])
  }
  for (const other of others) {
    const hint = 'start a new task with "- "'
    loader.problems.add(
      `a ${level} runs one module: it has "${call!.entry.key}" and "${other.entry.key}"`,
      other.entry.keyPlace,
      hint,
    )
  }
  if (!call) {
    if (unknown.length === 0 && !rest.some(isAction))
      loader.problems.add(`this ${level} has no module to run`, task.place, exampleFor(task))
    return undefined
  }
  const args = loader.problems.catch(() => readArgs(call, more))
  return args && others.length === 0 ? { ...call, args } : undefined
}

function exampleFor(task: YamlMap): string {
  const name = [...task.entries.values()].find(({ value }) => isNull(value))?.key
  return name === undefined ? 'e.g. command: uptime' : `"${name}" has no value; is the line below it indented?`
}

function isAction(entry: YamlEntry): boolean {
  return entry.key === 'action' || entry.key === 'local_action'
}

/** `action: module …` and `local_action: {module: …}` name the module in their value; undefined after a problem. */
function openAction(entry: YamlEntry, loader: Loader): { name: string; value: YamlEntry['value'] } | undefined {
  const { key, value } = entry
  if (!isAction(entry)) return { name: key, value }
  if (value.kind === 'map') {
    const module = value.get('module')
    if (module && isString(module) && !isTemplate(module)) {
      const args = new YamlMap(value.file, value.offset, value.end)
      for (const [name, one] of value.entries) if (name !== 'module') args.entries.set(name, one)
      return { name: module.value, value: args }
    }
  } else if (isString(value)) {
    const [, name, space, text] = /^\s*([\w.]+)(\s*)(.*)$/s.exec(value.value) ?? []
    if (name !== undefined) {
      const from = value.offset + Math.max(0, value.source.indexOf(name)) + name.length + space!.length
      return { name, value: new YamlScalar(value.file, text ? from : value.end, value.end, text || null) }
    }
  }
  loader.problems.add(
    `"${key}" must name a module`,
    value.place,
    `write the module as the key: copy: {src: a, dest: b}`,
  )
  return undefined
}

/** The arguments as one map: the one-string form gets its argument's name, `args:` joins in. Throws UserError. */
function readArgs(
  call: Pick<ModuleCall, 'name' | 'module' | 'entry'> & { readonly value: YamlEntry['value'] },
  more: YamlMap | undefined,
) {
  const { value, module, name, entry } = call
  const { freeForm } = module
  const args = new YamlMap(value.file, value.offset, value.end)
  if (value.kind === 'map') for (const [key, one] of value.entries) args.entries.set(key, one)
  else if (freeForm !== undefined && !isNull(value) && value.kind === 'scalar') {
    refuseOldArguments(name, module, freeForm, value)
    args.entries.set(freeForm, { key: freeForm, keyPlace: entry.keyPlace, value })
  } else if (isTemplate(value) && !more) return value as YamlScalar
  else if (!isNull(value)) {
    const hint = isString(value) ? mapForm(entry.key, value.value) : undefined
    const expects = freeForm === undefined ? 'must be a map' : 'must be a string or a map'
    throw new UserError({
      message: `the arguments of ${name} ${expects}, not ${describe(value)}`,
      place: value.place,
      hint,
    })
  }
  for (const one of more?.entries.values() ?? []) {
    if (args.entries.has(one.key)) {
      throw new UserError({
        message: `"${one.key}" is given twice: under "${entry.key}" and under "args"`,
        place: one.keyPlace,
      })
    }
    args.entries.set(one.key, one)
  }
  return args
}

/** `command: ls chdir=/tmp` gave arguments in Ansible; here it would run with the word `chdir=/tmp`. */
function refuseOldArguments(name: string, module: Module | Action, freeForm: string, value: YamlScalar): void {
  for (const m of String(value.value).matchAll(/(?:^|\s)(chdir|creates|removes|stdin|executable)=/g)) {
    if (m[1] === freeForm || !argumentNames(module.args).includes(m[1]!)) continue
    throw new UserError({
      message: `"${m[1]}=" inside the string of ${name} would be part of the command`,
      place: value.place,
      hint: `write it beside the command: args: {${m[1]}: …}`,
    })
  }
}

/** `src=a dest=b` as a map, for a hint. */
function mapForm(key: string, text: string): string | undefined {
  const pairs = [...text.matchAll(/(\w+)=("[^"]*"|'[^']*'|\S+)/g)]
  if (pairs.length === 0) return undefined
  const parts = pairs.map(
    ([, name, value]) => `${name}: ${/[:{}[\],#]/.test(value!) && !/^["']/.test(value!) ? `"${value}"` : value}`,
  )
  return `write ${key}: {${parts.join(', ')}}`
}

/** The task's keywords and modules, for messages that ask for a map. */
export function taskMap(node: YamlEntry['value'], level: string): YamlMap {
  return asMap(node, `a ${level}`, isString(node) ? `e.g. "- name: …" or "- command: …"` : undefined)
}
