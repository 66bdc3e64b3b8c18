/** Values in YAML: every text in them rewritten, in its place. */
import { isMap, isScalar, isSeq, type Node, Scalar } from 'yaml'
import { entriesOf, isText, type YamlDocument } from './document.ts'
import type { Env } from './env.ts'
import { isTemplate } from './jinja/template.ts'
import { Refused } from './refused.ts'
import { rewriteCondition, rewriteExpression, rewriteText } from './text.ts'

/** What stands for Jinja that a person must rewrite: no helper and no function has this name, so nothing runs with it. */
export function unfinishedText(source: string): string {
  const shown = source
    .replace(/\s+/g, ' ')
    .replaceAll('\\', '/')
    .replaceAll('"', "'")
    .replace(/\{[{%#]-?|-?[%#]\}/g, '')
    .replaceAll('}}', '')
    .trim()
  return `{{ unfinished "${shown}" }}`
}

export function unfinishedCondition(source: string): string {
  return `unfinished(${JSON.stringify(source.replace(/\s+/g, ' ').trim())})`
}

/** Rewrites a value to its depths; `at` is what gets the mark when something cannot be. */
export function rewriteValue(doc: YamlDocument, node: Node | null, at: Node, what: string, env: Env): void {
  if (isScalar(node)) rewriteScalar(doc, node, at, what, env)
  else if (isSeq(node))
    for (const item of node.items) rewriteValue(doc, item as Node, isScalar(item) ? (item as Node) : at, what, env)
  else if (isMap(node)) {
    for (const { key, value } of entriesOf(node)) {
      if (isTemplate(key.value)) doc.refuse(key, what, new Refused('a key with a template', 'write the key itself'))
      rewriteValue(doc, value, key, `${what}.${key.value}`, env)
    }
  }
}

export function rewriteScalar(doc: YamlDocument, node: Scalar, at: Node, what: string, env: Env): void {
  if (node.tag === '!vault') {
    doc.refuse(
      at,
      what,
      new Refused('a value that ansible-vault encrypted', 'decrypt it and keep it in a SOPS file (runbook secrets)'),
    )
    delete node.tag
    setText(node, unfinishedText('vault'))
    return
  }
  if (node.tag === '!unsafe' || !isText(node)) return
  try {
    const { kind, code } = rewriteText(node.value, env)
    if (kind === 'cel') setText(node, code, '!cel')
    else if (code !== node.value) setText(node, code)
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    doc.refuse(at, what, error)
    setText(node, unfinishedText(node.value))
  }
}

/** A text in the place of another: plain where YAML allows it, over lines where it had lines. */
export function setText(node: Scalar, text: string, tag?: string): void {
  node.value = text
  if (tag !== undefined) node.tag = tag
  const isBlock = node.type === Scalar.BLOCK_LITERAL || node.type === Scalar.BLOCK_FOLDED
  if (isBlock && (tag !== undefined || !text.includes('\n')))
    node.type = tag === undefined ? Scalar.QUOTE_DOUBLE : Scalar.PLAIN
  else if (isBlock) node.type = Scalar.BLOCK_LITERAL
  else if (tag !== undefined) node.type = Scalar.PLAIN
  else if (text.startsWith('{{') || text.startsWith('{%'))
    node.type = text.includes('"') && !text.includes("'") ? Scalar.QUOTE_SINGLE : Scalar.QUOTE_DOUBLE
  delete (node as { source?: string }).source
}

/** `when` and its like: one expression or a list of them. */
export function rewriteConditions(doc: YamlDocument, node: Node | null, at: Node, what: string, env: Env): void {
  if (isSeq(node)) {
    for (const item of node.items) rewriteConditions(doc, item as Node, isScalar(item) ? item : at, what, env)
    return
  }
  if (!isText(node)) return
  try {
    setCondition(node, rewriteCondition(node.value, env))
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    doc.refuse(at, what, error)
    setCondition(node, unfinishedCondition(node.value))
  }
}

/** One expression, as in `debug: var:`. */
export function rewriteVariable(doc: YamlDocument, node: Node | null, at: Node, what: string, env: Env): void {
  if (!isText(node)) return
  try {
    setCondition(node, rewriteExpression(node.value, env))
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    doc.refuse(at, what, error)
    setCondition(node, unfinishedCondition(node.value))
  }
}

function setCondition(node: Scalar, text: string): void {
  node.value = text === 'true' ? true : text === 'false' ? false : text
  node.type = Scalar.PLAIN
  delete (node as { source?: string }).source
}
