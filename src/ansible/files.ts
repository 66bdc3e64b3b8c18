/** The folder of a role or playbook as its tasks see it: variables beside it, and what its templates need. */
import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parse } from 'yaml'
import type { Call } from './call.ts'
import { asYaml, entry, pairOf, scalar, type YamlDocument } from './document.ts'
import type { Env } from './env.ts'
import { equal, oursFor } from './equality.ts'
import { choose, type FirstFound } from './first-found.ts'
import { bin, lit, not, printCel } from './ir.ts'
import { IN_PLAYBOOK, isTemplate, parseTemplate } from './jinja/template.ts'
import { Refused } from './refused.ts'
import { Translator } from './translate.ts'

export interface VarsFile {
  readonly name: string
  /** CEL; absent: always. */
  readonly condition: string | undefined
  /** Absent: no file fits, which is an error in Ansible. */
  readonly data: Readonly<Record<string, unknown>> | undefined
}

export class Files {
  readonly folder: string
  /** Template (below templates/, by its new name) to variables that it needs: name and CEL. */
  readonly computed = new Map<string, [name: string, cel: string][]>()

  constructor(folder: string) {
    this.folder = folder
  }

  /** The files that a name of `include_vars` can mean, or why nobody knows. */
  varsFiles(source: string, env: Env): VarsFile[] | string {
    try {
      const nodes = isTemplate(source) ? parseTemplate(source, IN_PLAYBOOK) : [{ op: 'text' as const, text: source }]
      const outputs = nodes.filter((node) => node.op === 'output')
      if (outputs.length > 1 || nodes.some((node) => node.op !== 'text' && node.op !== 'output'))
        return 'a name of several variables'
      const [output] = outputs
      const nameWith = (value: string): string => nodes.map((node) => (node.op === 'text' ? node.text : value)).join('')
      if (!output) return this.#one(nameWith(''), undefined) ?? 'the file was not found'
      const ir = new Translator(env).value(output.expr)
      if (ir.op !== 'mapped') return 'a name that only the host knows'
      const found: VarsFile[] = []
      const names = new Set<string>()
      for (const theirs of new Set(Object.values(ir.table).flat())) {
        const ours = oursFor(ir.table, theirs).filter((one) => !names.has(one))
        const files = ours.length === 0 ? undefined : this.#one(nameWith(theirs), printCel(equal(ir, lit(theirs))))
        if (!files) continue
        for (const one of ours) names.add(one)
        found.push(...files)
      }
      const known = [...names].map(lit)
      if (found.length === 0) return 'no such file was found'
      const other = printCel(not(bin('in', ir.of, { op: 'list', items: known, type: { kind: 'list' } })))
      return [...found, { name: `No variables for this system: ${nameWith('…')}`, condition: other, data: undefined }]
    } catch (error) {
      if (error instanceof Refused) return error.message
      throw error
    }
  }

  #one(name: string, condition: string | undefined): VarsFile[] | undefined {
    const path = [join(this.folder, 'vars', name), join(this.folder, name), join(this.folder, 'tasks', name)].find(
      (one) => existsSync(one),
    )
    if (path === undefined) return undefined
    return [{ name: `Variables of ${name}`, condition, data: dataOf(path) }]
  }

  /** The file of variables that is the first of several. Throws Refused. */
  firstVars(wanted: FirstFound, env: Env): VarsFile[] {
    const folders = ['vars', '', 'tasks'].map((part) => join(this.folder, part))
    const { choices, none } = choose(wanted, folders, env)
    const found = choices.map(({ file, folder, condition }): VarsFile => {
      return {
        name: `Variables of ${file}`,
        condition: condition && printCel(condition),
        data: dataOf(join(folder, file)),
      }
    })
    if (none) found.push({ name: 'No variables for this system', condition: printCel(none), data: undefined })
    return found
  }

  /** The file of tasks that is the first of several, as `include_tasks` names it. Throws Refused. */
  firstTasks(wanted: FirstFound, env: Env): { name: string | undefined; condition: string | undefined }[] {
    const { choices, none } = choose(wanted, [join(this.folder, 'tasks'), this.folder], env)
    const found = choices.map(
      ({ file, folder, condition }): { name: string | undefined; condition: string | undefined } => {
        const name = folder === this.folder ? join('..', file) : file
        return { name, condition: condition && printCel(condition) }
      },
    )
    return none ? [...found, { name: undefined, condition: printCel(none) }] : found
  }

  /** Adds to a template's task what Handlebars cannot compute in it. */
  giveComputed(doc: YamlDocument, call: Call): void {
    const src = call.text('src')?.replace(/^(\.\/)?templates\//, '')
    const wanted =
      src === undefined || src.includes('{{') || call.node('src')?.tag === '!cel'
        ? [...this.computed.values()].flat()
        : (this.computed.get(src) ?? [])
    if (wanted.length === 0) return
    call.keyword('vars', {})
    const vars = entry(call.task, 'vars')!.value as unknown as { items: unknown[] }
    for (const [name, cel] of wanted) {
      const pair = pairOf(doc, name, null)
      pair.value = scalar(cel, '!cel')
      vars.items.push(pair)
    }
  }
}

/** Throws Refused for variables that would have to be set in a circle. */
function dataOf(path: string): Record<string, unknown> {
  const data = (parse(asYaml(readFileSync(path, 'utf8')), { version: '1.1' }) ?? {}) as Record<string, unknown>
  if (inOrder(data).length > 0 || Object.keys(data).length === 0) return data
  throw new Refused(`variables of ${basename(path)} that are made of each other`, 'use vars_files')
}

/** Variables in steps, each made of what those before have set; none when that cannot be. */
export function inOrder(data: Readonly<Record<string, unknown>>): Record<string, unknown>[] {
  const steps: Record<string, unknown>[] = []
  let left = Object.entries(data)
  while (left.length > 0) {
    const mentions = left.map(([key]) => new RegExp(`\\{[{%][^}]*\\b${key}\\b`))
    const isFree = ([, value]: [string, unknown]): boolean => {
      const text = JSON.stringify(value)
      return !mentions.some((one) => one.test(text))
    }
    const free = left.filter(isFree)
    if (free.length === 0) return []
    steps.push(Object.fromEntries(free))
    left = left.filter((one) => !isFree(one))
  }
  return steps
}
