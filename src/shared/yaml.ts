/**
 * YAML 1.2 (core schema) with places. Aliases and merge keys (`<<`) are resolved here, so that nobody else has to know
 * them: a document is scalars, lists and maps with string keys, each with the place where it stands. An anchor that is
 * used twice gives the same node twice, and no copy.
 */
import { readFileSync, statSync } from 'node:fs'
import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  type Node,
  parseDocument,
  type Scalar,
  type ScalarTag,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import { type Problem, Problems, UserError } from './errors.ts'
import { type Place, placeAt, type SourceFile } from './source.ts'

export type YamlNode = YamlScalar | YamlList | YamlMap

/** Tags with a meaning: `!cel` computes the value, `!unsafe` (Ansible's name) keeps a string as it is. */
export type YamlTag = '!cel' | '!unsafe'

/** Bytes. Parsing takes about 0.7 s and 100 MB of memory for each MB, so more than this is a mistake or an attack. */
export const MAX_YAML_BYTES = 4 * 1024 * 1024

/** Nodes of a document with every alias written out: what anchors may blow a document up to. */
const MAX_NODES = 1_000_000

/** Nesting; more than any tree that a person wrote, less than what ends the stack. */
const MAX_DEPTH = 100

abstract class Positioned {
  readonly file: SourceFile
  /** UTF-16 offsets of the value in the file, without its tag and anchor. */
  readonly offset: number
  readonly end: number

  constructor(file: SourceFile, offset: number, end: number) {
    this.file = file
    this.offset = offset
    this.end = end
  }

  get place(): Place {
    return placeAt(this.file, this.offset, this.end)
  }
}

export class YamlScalar extends Positioned {
  readonly kind = 'scalar'
  readonly value: string | number | boolean | null
  readonly tag: YamlTag | undefined

  constructor(file: SourceFile, offset: number, end: number, value: string | number | boolean | null, tag?: YamlTag) {
    super(file, offset, end)
    this.value = value
    this.tag = tag
  }

  /** As it is written, quotes included: tells `0644` from `644`. */
  get source(): string {
    return this.file.text.slice(this.offset, this.end)
  }
}

export class YamlList extends Positioned {
  readonly kind = 'list'
  readonly items: YamlNode[] = []
}

export interface YamlEntry {
  readonly key: string
  readonly keyPlace: Place
  readonly value: YamlNode
}

export class YamlMap extends Positioned {
  readonly kind = 'map'
  readonly entries = new Map<string, YamlEntry>()

  get(key: string): YamlNode | undefined {
    return this.entries.get(key)?.value
  }
}

/** Reads and parses a file. Throws UserError with all problems; an empty document is a null scalar. */
export function readYaml(path: string): YamlNode {
  return parseYaml(readSource(path))
}

/** Reads a text file of at most `MAX_YAML_BYTES`. Throws UserError when it cannot be read. */
export function readSource(path: string, place?: Place): SourceFile {
  try {
    const { size } = statSync(path)
    if (size > MAX_YAML_BYTES) {
      throw new UserError({
        message: `${path} has ${(size / 2 ** 20).toFixed(1)} MiB, more than the ${MAX_YAML_BYTES / 2 ** 20} MiB that are read`,
        place,
        hint: 'give large data to a host with copy or get_url instead of variables',
      })
    }
    return { path, text: decode(readFileSync(path), path, place) }
  } catch (error) {
    if (error instanceof UserError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    const reasons: Record<string, string> = {
      ENOENT: 'it does not exist',
      EACCES: 'permission denied',
      EISDIR: 'it is a folder',
    }
    throw new UserError({ message: `cannot read ${path}: ${reasons[code ?? ''] ?? message}`, place })
  }
}

/** UTF-8 without its byte order mark. Throws UserError for any other encoding. */
function decode(bytes: Buffer, path: string, place?: Place): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new UserError({
      message: `cannot read ${path}: it is not UTF-8`,
      place,
      hint: 'convert it, e.g. with iconv -t UTF-8',
    })
  }
}

/** Parses one document. Throws UserError with all problems; an empty document is a null scalar. */
export function parseYaml(file: SourceFile): YamlNode {
  if (file.text.length > MAX_YAML_BYTES)
    throw new UserError(`${file.path}: more than ${MAX_YAML_BYTES / 2 ** 20} MiB of YAML`)
  try {
    const document = parseDocument(file.text, {
      version: '1.2',
      merge: true,
      stringKeys: true,
      // Checked by the resolver: the parser compares each key with every other one.
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'error',
      customTags: [plainTag('!cel'), plainTag('!unsafe')],
    })
    const problems = [...document.errors, ...document.warnings].map((error) => explain(file, error))
    if (problems.length > 0) throw new UserError(withoutEchoes(problems))
    return new Resolver(file).resolve(document.contents)
  } catch (error) {
    // The parser is recursive; so deep a nesting cannot be shown at a place.
    if (error instanceof RangeError) throw new UserError(`${file.path}: nested too deeply`)
    throw error
  }
}

/** Plain data from a node: no templates, tags ignored. Aliased parts are shared. */
export function toPlain(node: YamlNode): unknown {
  switch (node.kind) {
    case 'scalar':
      return node.value
    case 'list':
      return node.items.map(toPlain)
    case 'map':
      return Object.fromEntries([...node.entries.values()].map(({ key, value }) => [key, toPlain(value)]))
  }
}

function plainTag(tag: YamlTag): ScalarTag {
  return { tag, resolve: (text) => text }
}

class Resolver {
  readonly file: SourceFile
  readonly problems = new Problems()
  readonly anchors = new Map<string, YamlNode>()
  readonly sizes = new Map<YamlNode, number>()

  constructor(file: SourceFile) {
    this.file = file
  }

  resolve(root: Node | null): YamlNode {
    const node = root ? this.node(root, 0) : new YamlScalar(this.file, 0, 0, null)
    if (this.sizes.get(node)! > MAX_NODES) {
      this.problems.add(`the anchors of ${this.file.path} write out to more than ${MAX_NODES} values`)
    }
    this.problems.throwIfAny()
    return node
  }

  node(node: Node, depth: number): YamlNode {
    if (depth > MAX_DEPTH)
      throw new UserError({ message: `nested deeper than ${MAX_DEPTH} levels`, place: this.place(node) })
    if (isAlias(node)) return this.alias(node)
    const made = isMap(node)
      ? this.map(node, depth)
      : isScalar(node)
        ? this.scalar(node)
        : this.list(node as YAMLSeq, depth)
    // Known under its name only when it is complete: an alias inside its own anchor is refused, so there are no cycles.
    if ('anchor' in node && node.anchor) this.anchors.set(node.anchor as string, made)
    return made
  }

  alias(node: Alias): YamlNode {
    const found = this.anchors.get(node.source)
    if (found) return found
    this.problems.add(`no anchor &${node.source} stands before this alias`, this.place(node))
    return new YamlScalar(this.file, ...this.range(node), null)
  }

  scalar(node: Scalar): YamlScalar {
    const [offset, end] = this.range(node)
    const value = node.value as YamlScalar['value']
    if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
      this.problems.add('this integer is too large to be kept exactly', this.place(node), 'put it in quotes')
    }
    if (typeof value === 'object' && value !== null) {
      this.problems.add(`a value of the type ${node.tag} cannot be used`, this.place(node))
    }
    const tag = node.tag === '!cel' || node.tag === '!unsafe' ? node.tag : undefined
    return this.sized(new YamlScalar(this.file, offset, end, value, tag), 1)
  }

  list(node: YAMLSeq, depth: number): YamlList {
    const list = new YamlList(this.file, ...this.range(node))
    let size = 1
    for (const item of node.items) {
      const made = this.node(item as Node, depth + 1)
      list.items.push(made)
      size += this.sizes.get(made) ?? 1
    }
    return this.sized(list, size)
  }

  map(node: YAMLMap, depth: number): YamlMap {
    const map = new YamlMap(this.file, ...this.range(node))
    const merged: YamlNode[] = []
    let size = 1
    for (const pair of node.items) {
      const keyNode = pair.key as Scalar
      const key = String(keyNode.value ?? '')
      const keyPlace = this.place(keyNode)
      const value = pair.value
        ? this.node(pair.value as Node, depth + 1)
        : new YamlScalar(this.file, keyPlace.end, keyPlace.end, null)
      size += this.sizes.get(value) ?? 1
      // Only the plain key merges; a quoted "<<" is a key like any other.
      if (key === '<<' && keyNode.type === 'PLAIN') merged.push(value)
      else if (key === '__proto__') this.problems.add('the key "__proto__" cannot be used', keyPlace)
      else if (map.entries.has(key)) this.problems.add('this key stands twice in the same map', keyPlace)
      else map.entries.set(key, { key, keyPlace, value })
    }
    for (const value of merged.flatMap((one) => (one.kind === 'list' ? one.items : [one]))) {
      if (value.kind === 'map') {
        for (const entry of value.entries.values()) if (!map.entries.has(entry.key)) map.entries.set(entry.key, entry)
      } else this.problems.add('only maps can be merged with "<<"', value.place)
    }
    return this.sized(map, size)
  }

  sized<T extends YamlNode>(node: T, size: number): T {
    this.sizes.set(node, size)
    return node
  }

  range(node: Node): [number, number] {
    return [node.range?.[0] ?? 0, node.range?.[1] ?? 0]
  }

  place(node: Node): Place {
    return placeAt(this.file, ...this.range(node))
  }
}

/** The parser's error in our words, with a hint for the mistakes that everybody makes. */
function explain(file: SourceFile, error: { code: string; message: string; pos: [number, number] }): Problem {
  const { text } = file
  let [offset, end] = error.pos
  const lineStart = text.lastIndexOf('\n', offset - 1) + 1
  const mustache = /(?:[:-][ \t]+|^[ \t]*)(\{\{)/.exec(text.slice(lineStart, text.indexOf('\n', lineStart) >>> 0))
  if (mustache) {
    offset = lineStart + mustache.index + mustache[0].length - 2
    end = offset + 2
    return {
      message: 'a value that starts with "{{" must stand in quotes',
      place: placeAt(file, offset, end),
      hint: 'write "{{ name }}": without quotes YAML reads a map',
    }
  }
  const tag = text.slice(offset, end)
  // The parser's position for a key after an empty value is the end of that value.
  if (error.code === 'DUPLICATE_KEY' && /\s/.test(text[offset] ?? '')) {
    offset += /^(\s|#.*)*/.exec(text.slice(offset))![0].length
    end = offset + 1
  }
  const place = placeAt(file, offset, end)
  switch (error.code) {
    case 'RESOURCE_EXHAUSTION':
      return { message: 'nested too deeply', place }
    case 'TAB_AS_INDENT':
      return { message: 'a tab cannot indent YAML', place, hint: 'use spaces' }
    case 'NON_STRING_KEY':
      return { message: 'a key must be a plain word or a string', place }
    case 'MULTIPLE_DOCS':
      return { message: 'only one YAML document can stand in this file', place, hint: 'remove the second "---"' }
    case 'TAG_RESOLVE_FAILED':
      if (tag === '!vault') {
        return {
          message: 'Ansible Vault is not read',
          place,
          hint: 'decrypt it with ansible-vault and encrypt it with SOPS',
        }
      }
      return {
        message: `the tag ${tag} is not known or does not fit here`,
        place,
        hint: 'known: !cel EXPRESSION, !unsafe STRING',
      }
    case 'BAD_SCALAR_START':
      return { message: `a value cannot start with ${tag.slice(0, 1)}`, place, hint: 'put it in quotes' }
    case 'BLOCK_AS_IMPLICIT_KEY':
      return {
        message: 'a map cannot start inside this value',
        place,
        hint: 'put a value that contains ": " in quotes',
      }
    default: {
      const message = error.message.replace(/\.$/, '')
      return { message: message.charAt(0).toLowerCase() + message.slice(1), place }
    }
  }
}

/** The parser stumbles on after an error; what it then says about the same line only confuses. */
function withoutEchoes(problems: Problem[]): Problem[] {
  const lines = new Set<number>()
  return problems.filter(({ place }) => {
    const line = place?.line ?? 0
    if (lines.has(line)) return false
    lines.add(line)
    return true
  })
}
