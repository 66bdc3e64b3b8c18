/** The first of several files that is there, which Ansible asks when it runs and we, by the names of the files, before. */
import { globSync } from 'node:fs'
import type { Env } from './env.ts'
import { equal } from './equality.ts'
import { bin, call, type Ir, lit, not, printCel } from './ir.ts'
import type { Expr } from './jinja/ast.ts'
import { IN_PLAYBOOK, isTemplate, parseTemplate } from './jinja/template.ts'
import { Refused } from './refused.ts'
import { Translator } from './translate.ts'
import { STRING } from './types.ts'

export interface FirstFound {
  /** Names of files, in the order in which they are looked for. */
  readonly files: readonly string[]
  readonly paths: readonly string[]
  /** Nothing is done when no file is there. */
  readonly skip: boolean
}

export interface Choice {
  /** Path of the file below the folder in which it was found. */
  readonly file: string
  readonly folder: string
  /** When it is the one; absent: always, as far as none before it is. */
  readonly condition: Ir | undefined
}

export interface Choices {
  readonly choices: readonly Choice[]
  /** When there is none; absent: never, or it does not matter. */
  readonly none: Ir | undefined
}

/** A part of a name: a text, or a value that only the host knows. */
type Part = string | { readonly ir: Ir } | { readonly refused: Refused }

interface Match {
  readonly file: string
  readonly folder: string
  /** What must hold, as CEL of the value and what it must be. */
  readonly equals: ReadonlyMap<string, { readonly ir: Ir; readonly word: string }>
}

/** `with_first_found` in any of its forms; undefined when it is computed. */
export function readFirstFound(data: unknown): FirstFound | undefined {
  const list = Array.isArray(data) ? data : [data]
  const maps = list.filter((one) => typeof one === 'object' && one !== null)
  if (maps.length > 1 || (maps.length === 1 && list.length > 1)) return undefined
  if (maps.length === 0)
    return list.every((one) => typeof one === 'string') ? { files: list, paths: [''], skip: false } : undefined
  const { files, paths, skip, ...others } = maps[0] as Record<string, unknown>
  const names = [files].flat()
  const folders = paths === undefined || (Array.isArray(paths) && paths.length === 0) ? [''] : [paths].flat()
  if (Object.keys(others).length > 0 || ![...names, ...folders].every((one) => typeof one === 'string'))
    return undefined
  return {
    files: names as string[],
    paths: folders as string[],
    skip: skip === true || /^(yes|true)$/i.test(`${skip}`),
  }
}

/** Looks for the files in the folders, the first folder first. Throws Refused when only the host knows which it is. */
export function choose({ files, paths, skip }: FirstFound, folders: readonly string[], env: Env): Choices {
  const matches: Match[] = []
  for (const path of paths) {
    for (const file of files) {
      const source = path === '' ? file : `${path.replace(/\/+$/, '')}/${file}`
      // What holds wherever this one does has taken its place.
      for (const match of matching(source, folders, env))
        if (!matches.some(({ equals }) => isWithin(equals, match.equals))) matches.push(match)
      if (matches.some(({ equals }) => equals.size === 0)) return { choices: chain(matches), none: undefined }
    }
  }
  const all = matches.map(({ equals }) => conditionOf(equals))
  const none = skip || all.length === 0 ? undefined : not(all.reduce((a, b) => bin('||', a, b)))
  if (!skip && all.length === 0) throw new Refused('none of these files was found', 'name the file')
  return { choices: chain(matches), none }
}

/** Each with its own condition, and that none before it is the one. */
function chain(matches: readonly Match[]): Choice[] {
  return matches.map(({ file, folder, equals }, i) => {
    const before = matches.slice(0, i).filter((one) => !excludes(one.equals, equals))
    const parts = [
      ...before.map((one) => not(conditionOf(one.equals))),
      ...(equals.size > 0 ? [conditionOf(equals)] : []),
    ]
    return { file, folder, condition: parts.length === 0 ? undefined : parts.reduce((a, b) => bin('&&', a, b)) }
  })
}

function conditionOf(equals: Match['equals']): Ir {
  return [...equals.values()].map(({ ir, word }) => equal(ir, lit(word))).reduce((a, b) => bin('&&', a, b))
}

/** Whether all that one wants is wanted by the other, too. */
function isWithin(a: Match['equals'], b: Match['equals']): boolean {
  return [...a].every(([key, { word }]) => b.get(key)?.word === word)
}

/** Whether both can never hold on one host: they want different words for the same value. */
function excludes(a: Match['equals'], b: Match['equals']): boolean {
  return [...a].some(([key, { word }]) => b.has(key) && b.get(key)!.word !== word)
}

function matching(source: string, folders: readonly string[], env: Env): Match[] {
  const parts = partsOf(source, env)
  const pattern = (any: string): RegExp =>
    new RegExp(`^${parts.map((part) => (typeof part === 'string' ? escaped(part) : wordOf(part, any))).join('')}$`)
  const [lazy, greedy] = [pattern('[^/]+?'), pattern('[^/]+')]
  const wild = parts.map((part) => (typeof part === 'string' ? part : '*')).join('')
  const found: Match[] = []
  for (const folder of folders) {
    for (const file of globSync(wild, { cwd: folder }).sort()) {
      // The name as it is written: the glob takes dots away.
      const plain = parts.every((part) => typeof part === 'string') ? source : withDots(source, file)
      const [one, other] = [lazy.exec(plain), greedy.exec(plain)]
      if (!one) continue
      if (one.join('\n') !== other?.join('\n'))
        throw new Refused(`a name that can be read in two ways: ${file}`, 'name it')
      if (found.some((match) => match.file === plain)) continue
      const values = parts.filter((part) => typeof part !== 'string')
      const equals = new Map<string, { ir: Ir; word: string }>()
      let isPossible = true
      for (const [i, part] of values.entries()) {
        if ('refused' in part) throw part.refused
        const word = one[i + 1]!
        const ir = part.ir.type.kind === 'string' ? part.ir : call('string', STRING, part.ir)
        if (ir.op === 'lit') isPossible &&= ir.value === word
        else equals.set(printCel(ir), { ir, word })
      }
      if (isPossible) found.push({ file: plain, folder, equals })
    }
  }
  return found
}

/** `../vars/a.yml` of a pattern `../vars/*.yml`, whose glob gives the path with or without its beginning. */
function withDots(source: string, file: string): string {
  const [before] = /^[^{]*\//.exec(source) ?? ['']
  const name = file.slice(file.lastIndexOf('/') + 1)
  return /\}\}[^{]*\//.test(source) ? file : before + name
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** Ansible's words for a value that has few, anything else for others. */
function wordOf(part: Exclude<Part, string>, any: string): string {
  if ('ir' in part && part.ir.op === 'mapped') return `(${Object.values(part.ir.table).flat().map(escaped).join('|')})`
  return `(${any})`
}

function partsOf(source: string, env: Env): Part[] {
  if (!isTemplate(source)) return [source]
  const t = new Translator(env)
  return parseTemplate(source, IN_PLAYBOOK).flatMap((node) => {
    if (node.op === 'text') return [node.text]
    if (node.op !== 'output') throw new Refused('a name that a template computes', 'name the file')
    return leaves(node.expr).map((expr): Part => {
      if (expr.op === 'const') return String(expr.value)
      try {
        return { ir: t.value(expr) }
      } catch (error) {
        if (error instanceof Refused) return { refused: error }
        throw error
      }
    })
  })
}

/** What `+` and `~` put together. */
function leaves(expr: Expr): Expr[] {
  if (expr.op === 'concat') return expr.parts.flatMap(leaves)
  if (expr.op === 'binary' && expr.sign === '+') return [...leaves(expr.left), ...leaves(expr.right)]
  return [expr]
}
