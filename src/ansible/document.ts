/** A YAML file of Ansible's (YAML 1.1, as PyYAML reads it) that is rewritten in place: comments and order stay. */
import {
  type Document,
  isCollection,
  isMap,
  isPair,
  isScalar,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  Scalar,
  visit,
  YAMLMap,
  type YAMLSeq,
} from 'yaml'
import { UserError } from '../shared/errors.ts'
import { placeAt, type SourceFile } from '../shared/source.ts'
import type { Refused } from './refused.ts'
import type { Report } from './report.ts'

export type Key = Scalar<string>
export type Entry = Pair<Key, Node | null>

export class YamlDocument {
  readonly path: string
  readonly root: Document
  readonly #lines = new LineCounter()
  readonly #report: Report
  /** Whether the author writes `{ a: b }` or `{a: b}`. */
  readonly #padded: boolean
  /** Lines at which the task begins that is being read: its findings are counted together. */
  task: Node | undefined
  /** Whether the task, or a block around it, says as whom it runs. */
  becomes = false

  /** Throws UserError when it is no YAML. */
  constructor(source: SourceFile, name: string, report: Report) {
    this.path = name
    this.#padded = /[{[] \w/.test(source.text)
    this.#report = report
    this.root = parseDocument(asYaml(source.text), {
      version: '1.1',
      lineCounter: this.#lines,
      uniqueKeys: false,
      logLevel: 'silent',
      keepSourceTokens: true,
    })
    const [error] = this.root.errors
    if (error)
      throw new UserError({
        message: error.message.split('\n')[0]!,
        place: placeAt(source, error.pos[0], error.pos[1]),
      })
    toYaml12(this.root)
  }

  line(node: unknown): number {
    const range = (node as { range?: readonly number[] } | null)?.range
    return range ? this.#lines.linePos(range[0]!).line : 1
  }

  /** Something that a person must write. The mark stands above `at` in the output. */
  refuse(at: Node, what: string, { message, hint }: Pick<Refused, 'message' | 'hint'>): void {
    mark(at, `runbook: ${what}: ${message}; ${hint}`)
    this.#report.edit(this.path, this.line(this.task ?? at), what, message, hint)
  }

  check(at: Node, what: string, why: string, todo: string): void {
    mark(at, `runbook: ${what}: ${why}; ${todo}`)
    this.#report.check(this.path, this.line(this.task ?? at), what, why, todo)
  }

  toString(): string {
    const { directives } = this.root
    this.root.setSchema('1.2', { merge: true })
    if (directives) directives.yaml = { version: '1.2', explicit: false }
    return this.root.toString({ lineWidth: 0, flowCollectionPadding: this.#padded })
  }
}

/**
 * PyYAML lets the lines of a quoted text begin at the left margin, YAML does not: blanks there are no part of the text, so
 * they are added where a parser says that the quote is missing.
 */
export function asYaml(source: string): string {
  let text = source
  for (let tries = 0; tries < 200; tries++) {
    const [error] = parseDocument(text, { version: '1.1', uniqueKeys: false, logLevel: 'silent' }).errors
    if (error?.code !== 'MISSING_CHAR' || !/closing ["']/.test(error.message)) break
    const end = text.indexOf('\n', error.pos[0] - 1)
    if (end === -1 || text.slice(end + 1).trim() === '') return source
    text = `${text.slice(0, end + 1)} ${text.slice(end + 1)}`
  }
  return text
}

/** Adds a comment above a node of the output. */
export function mark(at: Node, text: string): void {
  const line = ` ${text.replace(/\s+/g, ' ').trim()}`
  if (at.commentBefore?.split('\n').includes(line)) return
  at.commentBefore = at.commentBefore ? `${at.commentBefore}\n${line}` : line
}

/** Numbers, booleans and dates that YAML 1.2 writes in another way. */
function toYaml12(doc: Document): void {
  visit(doc, {
    Scalar(key, node) {
      const { value, source } = node
      // PyYAML takes y and n for texts.
      if (typeof value === 'boolean' && source !== undefined && /^[yn]$/i.test(source)) node.value = source
      else if (value instanceof Date) {
        node.value = source ?? value.toISOString()
        node.type = Scalar.QUOTE_DOUBLE
      } else if (typeof value === 'number' && node.format !== undefined && node.format !== 'EXP') {
        octals.set(node, source ?? '')
        node.format = undefined as never
        delete (node as { source?: string }).source
      }
      if (typeof value === 'boolean') delete (node as { source?: string }).source
      if (key === 'key' && typeof node.value === 'string' && node.type === Scalar.PLAIN && node.tag === undefined)
        return
      return
    },
  })
}

/** How a number was written that stands for another one in YAML 1.2, such as 0644. */
const octals = new WeakMap<Scalar, string>()

/** The digits of a mode: 0644 in YAML is 420, and so is what Ansible is given. */
export function asOctal(node: Scalar): string {
  const text = octals.get(node)
  if (text !== undefined && /^0[0-7]+$/.test(text)) return text.padStart(4, '0')
  return `0${Number(node.value).toString(8)}`
}

export function isText(node: unknown): node is Scalar<string> {
  return isScalar(node) && typeof node.value === 'string'
}

export function entriesOf(map: YAMLMap): Entry[] {
  return map.items.filter((item): item is Entry => isPair(item) && isText(item.key))
}

export function entry(map: YAMLMap, key: string): Entry | undefined {
  return entriesOf(map).find((one) => one.key.value === key)
}

export function take(map: YAMLMap, key: string): Entry | undefined {
  const found = entry(map, key)
  if (found) {
    // What stood above the entry in the file belongs to the next one, or is lost with it.
    map.items.splice(map.items.indexOf(found as never), 1)
  }
  return found
}

export function textOf(map: YAMLMap, key: string): string | undefined {
  const value = entry(map, key)?.value
  return isScalar(value) && value.value !== null ? String(value.value) : undefined
}

export function scalar(value: string | number | boolean | null, tag?: string): Scalar {
  const made = new Scalar(value)
  if (tag !== undefined) made.tag = tag
  return made
}

export function pairOf(doc: YamlDocument, key: string, value: unknown): Entry {
  return doc.root.createPair(key, value) as unknown as Entry
}

/** Comments cannot stand inside `{a: b}`: collections that hold a mark are written over lines. */
export function openMarked(doc: Document): void {
  const opened = (node: unknown): boolean => {
    if (isScalar(node)) return Boolean(node.commentBefore)
    if (isPair(node)) return [opened(node.key), opened(node.value)].includes(true)
    if (!isCollection(node)) return false
    const inside = (node.items as unknown[]).map(opened).includes(true)
    if (inside) node.flow = false
    return inside || Boolean(node.commentBefore)
  }
  opened(doc.contents)
}

export function isSeqOfMaps(node: unknown): node is YAMLSeq<YAMLMap> {
  return isCollection(node) && (node.items as unknown[]).every((item) => isMap(item))
}

export { YAMLMap }
