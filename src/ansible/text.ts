/** One string of a playbook: what it becomes when Jinja is taken out of it. */

import { UserError } from '../shared/errors.ts'
import { placeAt } from '../shared/source.ts'
import { compileExpression, compileText } from '../values/index.ts'
import { assemble } from './assemble.ts'
import { whole } from './blocks.ts'
import type { Env } from './env.ts'
import { HandlebarsWriter } from './handlebars.ts'
import { type Ir, printCel } from './ir.ts'
import { printHandlebars } from './ir-handlebars.ts'
import type { Expr, Node } from './jinja/ast.ts'
import { parseExpression } from './jinja/expression.ts'
import { IN_PLAYBOOK, isTemplate, parseTemplate } from './jinja/template.ts'
import { Refused } from './refused.ts'
import { Translator } from './translate.ts'
import { STRING, type Type } from './types.ts'

/** `text` may hold Handlebars; `cel` is for the tag `!cel`. */
export type Rewritten = { readonly kind: 'text' | 'cel'; readonly code: string; readonly type: Type }

const NOWHERE = placeAt({ path: 'import', text: '' }, 0, 0)

/** A condition as CEL. Throws Refused. */
export function rewriteCondition(source: string, env: Env): string {
  return checkedCel(printCel(new Translator(env).taskCondition(conditionOf(source))))
}

/** An expression as CEL, such as `debug: var:`. Throws Refused. */
export function rewriteExpression(source: string, env: Env): string {
  return checkedCel(printCel(new Translator(env).value(conditionOf(source))))
}

/** A condition may stand in braces, which Ansible takes with a warning. */
function conditionOf(source: string): Expr {
  const [node, ...more] = isTemplate(source) ? parseTemplate(source.trim()) : []
  if (!node) return parseExpression(source)
  if (node.op === 'output' && more.length === 0) return node.expr
  throw new Refused('a condition with a template inside', 'write a CEL expression')
}

/** A text. Throws Refused. */
export function rewriteText(source: string, env: Env): Rewritten {
  if (!isTemplate(source)) {
    if (source.includes('{{')) throw new Refused('braces that Handlebars would read', 'write \\{{')
    return { kind: 'text', code: source, type: STRING }
  }
  const t = new Translator(env)
  const nodes = parseTemplate(source, IN_PLAYBOOK)
  const [only] = nodes
  if (nodes.length === 1 && only?.op === 'output') {
    const value = t.value(only.expr)
    const parts = isConcatenation(value) ? asHandlebars(nodes, t) : undefined
    // One mustache alone would keep the type of what it has.
    if (parts === undefined || /^\{\{[^{}]*\}\}$/.test(parts)) return single(value)
    return { kind: 'text', code: checkedText(parts), type: STRING }
  }
  // Ansible keeps the type of one value that a block prints alone; a text is the same everywhere.
  const text = asHandlebars(nodes, t)
  if (text !== undefined) return { kind: 'text', code: checkedText(text), type: STRING }
  return single(whole(nodes, t))
}

function isConcatenation(ir: Ir): boolean {
  if (ir.op !== 'bin' || ir.sign !== '+') return false
  return [ir, ir.left, ir.right].every(({ type }) => type.kind === 'string')
}

/** One value alone keeps its type in both. */
function single(ir: Ir): Rewritten {
  if (ir.type.kind === 'null') throw new Refused('a null', 'leave the key out')
  if (ir.op === 'lit' && typeof ir.value === 'string' && !ir.value.includes('{{'))
    return { kind: 'text', code: ir.value, type: ir.type }
  try {
    const code = `{{ ${printHandlebars(ir, { insideEach: false }, true)} }}`
    return { kind: 'text', code: checkedText(code), type: ir.type }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return { kind: 'cel', code: checkedCel(printCel(ir)), type: ir.type }
  }
}

function asHandlebars(nodes: readonly Node[], t: Translator): string | undefined {
  let failed = false
  const writer = new HandlebarsWriter(() => {
    failed = true
  })
  try {
    writer.nodes(nodes, t)
    return failed ? undefined : assemble(writer.parts)
  } catch (error) {
    if (error instanceof Refused) return undefined
    throw error
  }
}

function checkedCel(code: string): string {
  try {
    compileExpression(code, NOWHERE)
    return code
  } catch (error) {
    if (error instanceof UserError)
      throw new Refused(`CEL does not take it (${error.problems[0]!.message})`, 'write it by hand')
    throw error
  }
}

function checkedText(code: string): string {
  try {
    compileText(code, NOWHERE)
    return code
  } catch (error) {
    if (error instanceof UserError)
      throw new Refused(`Handlebars does not take it (${error.problems[0]!.message})`, 'write it by hand')
    throw error
  }
}
