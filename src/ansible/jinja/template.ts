/** Reads Jinja2 templates into nodes whose texts are exactly what Jinja would print (its white space rules applied). */
import { Refused } from '../refused.ts'
import type { Expr, Node } from './ast.ts'
import { withEnding } from './ending.ts'
import { parseExpression, parseFor, parseSet } from './expression.ts'

export interface TemplateOptions {
  /** A newline behind a block or comment is dropped. Ansible's default is true, Jinja's own false. */
  readonly trimBlocks: boolean
  /** White space before a block that stands first on its line is dropped. */
  readonly lstripBlocks: boolean
  /** Backslashes in the texts of outputs stay: Ansible's way in playbooks, not in template files. */
  readonly rawStrings?: boolean
}

export const ANSIBLE_DEFAULTS: TemplateOptions = { trimBlocks: true, lstripBlocks: false }

/** A text of a playbook. */
export const IN_PLAYBOOK: TemplateOptions = { ...ANSIBLE_DEFAULTS, rawStrings: true }

/** Blocks in blocks. */
const MAX_DEPTH = 60

interface Piece {
  readonly kind: 'text' | 'output' | 'block' | 'comment'
  readonly text: string
  readonly offset: number
}

/** Whether Jinja would do anything with the text. */
export function isTemplate(text: string): boolean {
  return /\{[{%#]/.test(text)
}

/** Throws Refused. */
export function parseTemplate(source: string, options: TemplateOptions = ANSIBLE_DEFAULTS): Node[] {
  const pieces = split(source, options)
  const reader = new Reader(pieces, options.rawStrings === true)
  const nodes = reader.nodes([])
  if (reader.word !== undefined) throw new Refused(`"{% ${reader.word} %}" without its beginning`, 'mend the template')
  return withEnding(nodes, source)
}

/** Cuts a template at its tags and applies `-`, `+`, trim_blocks and lstrip_blocks to the texts between. */
function split(source: string, options: TemplateOptions): Piece[] {
  const pieces: Piece[] = []
  let at = 0
  let stripNext = false
  let trimNewline = false
  const push = (end: number, stripEnd: boolean, lstrip: boolean): void => {
    let text = source.slice(at, end)
    if (stripNext) text = text.trimStart()
    else if (trimNewline) text = text.replace(/^\r?\n/, '')
    const startsLine = at === 0 || trimNewline
    if (stripEnd) text = text.trimEnd()
    else if (lstrip && (/\n[ \t]*$/.test(text) || (startsLine && /^[ \t]*$/.test(text))))
      text = text.replace(/[ \t]+$/, '')
    if (text !== '') pieces.push({ kind: 'text', text, offset: at })
  }
  for (;;) {
    const open = source.slice(at).search(/\{[{%#]/)
    if (open === -1) break
    const start = at + open
    const kind = source[start + 1] === '{' ? 'output' : source[start + 1] === '%' ? 'block' : 'comment'
    const mark = source[start + 2]
    push(start, mark === '-', kind !== 'output' && mark !== '+' && options.lstripBlocks)
    const inner = start + 2 + (mark === '-' || (mark === '+' && kind !== 'output') ? 1 : 0)
    const close = closing(source, inner, kind)
    const raw = source.slice(inner, close)
    const before = kind === 'output' ? /-$/.exec(raw) : /[-+]$/.exec(raw)
    const text = before ? raw.slice(0, -1) : raw
    at = close + 2
    stripNext = before?.[0] === '-'
    trimNewline = kind !== 'output' && options.trimBlocks && before?.[0] !== '+'
    if (kind === 'block' && /^\s*raw\s*$/.test(text)) {
      const end = /\{%-?\s*endraw\s*-?%\}/.exec(source.slice(at))
      if (!end || /-/.test(end[0])) throw new Refused('a "raw" block that strips white space', 'write the text by hand')
      push(at + end.index, false, false)
      at += end.index + end[0].length
      stripNext = false
      trimNewline = options.trimBlocks
    } else pieces.push({ kind, text: text.trim(), offset: start })
  }
  push(source.length, false, false)
  return pieces
}

/** The end of a tag; quotes are respected inside outputs and blocks. */
function closing(source: string, from: number, kind: Piece['kind']): number {
  const end = kind === 'output' ? '}}' : kind === 'block' ? '%}' : '#}'
  let quote = ''
  let depth = 0
  for (let i = from; i < source.length; i++) {
    const c = source[i]!
    if (quote) {
      if (c === '\\') i++
      else if (c === quote) quote = ''
    } else if (kind !== 'comment' && (c === '"' || c === "'")) quote = c
    else if (depth === 0 && source.startsWith(end, i)) return i
    else if (kind !== 'comment' && c === '{') depth++
    else if (kind !== 'comment' && c === '}' && depth > 0) depth--
  }
  throw new Refused(`a tag is not closed with "${end}"`, 'mend the template')
}

class Reader {
  readonly #pieces: readonly Piece[]
  readonly #rawStrings: boolean
  #depth = 0
  #at = 0
  /** The word of the block at which `nodes` stopped, and what stands behind it. */
  word: string | undefined
  #rest = ''

  constructor(pieces: readonly Piece[], rawStrings: boolean) {
    this.#pieces = pieces
    this.#rawStrings = rawStrings
  }

  nodes(until: readonly string[]): Node[] {
    if (++this.#depth > MAX_DEPTH) throw new Refused('blocks that are nested too deeply', 'split the template')
    const list = this.#list(until)
    this.#depth--
    return list
  }

  #list(until: readonly string[]): Node[] {
    const list: Node[] = []
    this.word = undefined
    while (this.#at < this.#pieces.length) {
      const piece = this.#pieces[this.#at++]!
      const { text, offset } = piece
      if (piece.kind === 'text') list.push({ op: 'text', text })
      else if (piece.kind === 'comment') list.push({ op: 'comment', text })
      else if (piece.kind === 'output')
        list.push({ op: 'output', expr: parseExpression(text, this.#rawStrings), source: text, offset })
      else {
        const [, word = '', rest = ''] = /^(\w*)\s*([\s\S]*)$/.exec(text)!
        if (until.includes(word) || /^(end\w+|elif|else)$/.test(word)) {
          this.word = word
          this.#rest = rest
          if (!until.includes(word)) throw new Refused(`"{% ${word} %}" without its beginning`, 'mend the template')
          return list
        }
        list.push(this.#block(word, rest, text, offset))
        this.word = undefined
      }
    }
    this.word = undefined
    if (until.length > 0) throw new Refused(`"{% ${until.at(-1)} %}" is missing`, 'mend the template')
    return list
  }

  #block(word: string, rest: string, source: string, offset: number): Node {
    if (word === 'if') return this.#if(rest, source, offset)
    if (word === 'for') {
      const head = parseFor(rest)
      const body = this.nodes(['else', 'endfor'])
      const otherwise = this.word === 'else' ? this.nodes(['endfor']) : []
      return { op: 'for', ...head, body, otherwise, source, offset }
    }
    if (word === 'set' && /=/.test(rest)) return { op: 'set', ...parseSet(rest), source, offset }
    throw new Refused(`Handlebars has no "{% ${word} %}"`, 'compute the value in vars: with !cel, or write it out')
  }

  #if(rest: string, source: string, offset: number): Node {
    const cases: { test: Expr; body: readonly Node[] }[] = []
    let test = parseExpression(rest)
    for (;;) {
      cases.push({ test, body: this.nodes(['elif', 'else', 'endif']) })
      if (this.word !== 'elif') break
      test = parseExpression(this.#rest)
    }
    const otherwise = this.word === 'else' ? this.nodes(['endif']) : []
    return { op: 'branch', cases, otherwise, source, offset }
  }
}
