/** Loops over more lists than one, as one list in CEL. */
import { isMap, isScalar, isSeq, type Node } from 'yaml'
import { type Entry, entriesOf, isText, scalar, type YamlDocument } from './document.ts'
import type { Env } from './env.ts'
import { call, get, type Ir, lit, not, printCel } from './ir.ts'
import type { Expr } from './jinja/ast.ts'
import { IN_PLAYBOOK, isTemplate, parseTemplate } from './jinja/template.ts'
import { Refused } from './refused.ts'
import { Translator } from './translate.ts'
import { ANY, BOOL, entryOf, itemOf, join, listOf, type Type } from './types.ts'

/** As in loops.ts; `levels` of lists that are taken apart, all of them if it is not given. */
type Loop = (doc: YamlDocument, pair: Entry, env: Env, levels?: number) => Type

export const NESTED: Readonly<Record<string, Loop>> = {
  flattened: (_doc, pair, env, levels = 100) => {
    const parts = partsOf(pair, env)
    const of = parts.map((part) => part.type).map((type) => (type.kind === 'list' ? itemOf(type) : type))
    const types = levels === 1 ? of : of.map(deepest)
    put(pair, call('flatten', listOf(ANY), { op: 'list', items: parts, type: listOf(ANY) }, lit(levels)))
    return types.length === 0 ? ANY : types.reduce(join)
  },
  nested: (_doc, pair, env) => product(pair, env),
  cartesian: (_doc, pair, env) => product(pair, env),
  subelements: (doc, pair, env) => {
    const type = subelements(pair, env)
    doc.check(
      pair.key,
      'with_subelements',
      'item.0 keeps the list itself, too',
      'nothing, unless it is printed as a whole',
    )
    return type
  },
}

function put(pair: Entry, ir: Ir): void {
  pair.value = scalar(printCel(ir), '!cel') as Node
}

function deepest(type: Type): Type {
  return type.kind === 'list' ? deepest(itemOf(type)) : type
}

/** The items of a list, or the one that stands for them. */
function partsOf({ value }: Entry, env: Env): Ir[] {
  const nodes = isSeq(value) ? value.items : [value]
  return nodes.map((node) => irOf(node as Node, env))
}

function irOf(node: Node | null, env: Env): Ir {
  if (isSeq(node)) {
    const items = node.items.map((item) => irOf(item as Node, env))
    return { op: 'list', items, type: listOf(items.length > 0 ? items.map(({ type }) => type).reduce(join) : ANY) }
  }
  if (isMap(node)) {
    const items = entriesOf(node).map(({ key, value }): [string, Ir] => [key.value, irOf(value, env)])
    return { op: 'map', items, type: { kind: 'map', entries: Object.fromEntries(items.map(([k, v]) => [k, v.type])) } }
  }
  if (!isScalar(node)) throw new Refused('a loop over nothing', 'write a list')
  if (!isText(node)) return lit(node.value as number | boolean | null)
  if (!isTemplate(node.value)) return lit(node.value)
  const nodes = parseTemplate(node.value, IN_PLAYBOOK)
  const t = new Translator(env)
  const [only] = nodes
  if (nodes.length === 1 && only!.op === 'output') return t.value(only!.expr)
  const parts = nodes.map((one): Expr => {
    if (one.op === 'text') return { op: 'const', value: one.text }
    if (one.op === 'output') return one.expr
    throw new Refused('a loop over what a template prints', 'compute the list with !cel')
  })
  return t.value({ op: 'concat', parts })
}

/** Each item of the first list beside each of the others; what is a list in them is taken apart (ansible-core: lookup/nested.py). */
function product(pair: Entry, env: Env): Type {
  const parts = partsOf(pair, env)
  const names = parts.map((_, i) => `part${i + 1}`)
  for (const { type } of parts) {
    if (type.kind !== 'list' && type.kind !== 'any') throw new Refused('a part that is no list', 'write lists')
    if (itemOf(type).kind === 'list') throw new Refused('lists inside the lists', 'write the lists flat')
  }
  if (parts.some((part) => names.some((name) => new RegExp(`\\b${name}\\b`).test(printCel(part)))))
    throw new Refused('a variable that is called like our own', 'rename the variable')
  const types = parts.map(({ type }) => itemOf(type))
  const tuple: Ir = {
    op: 'list',
    items: names.map((name, i): Ir => ({ op: 'var', name, local: true, type: types[i]! })),
    type: listOf(ANY),
  }
  const all = parts.reduceRight<Ir>(
    (body, of, i) => ({ op: 'macro', name: 'map', of, item: names[i]!, body, type: listOf(ANY) }),
    tuple,
  )
  put(pair, parts.length > 1 ? call('flatten', listOf(ANY), all, lit(parts.length - 1)) : all)
  return listOf(types.reduce(join))
}

/** Each map beside each item of a list in it; results that were skipped have none (ansible-core: lookup/subelements.py). */
function subelements(pair: Entry, env: Env): Type {
  if (!isSeq(pair.value)) throw new Refused('subelements in this form', 'write a list and a key')
  const [listNode, keyNode, flags, ...more] = pair.value.items as Node[]
  const key = isText(keyNode) && !isTemplate(keyNode.value) ? keyNode.value : undefined
  if (!listNode || key === undefined || more.length > 0)
    throw new Refused('subelements in this form', 'write a list and a key')
  const options = isMap(flags) ? (flags.toJSON() as Record<string, unknown>) : {}
  const skips = options.skip_missing === true
  if (Object.keys(options).some((name) => name !== 'skip_missing') || (flags && !isMap(flags)))
    throw new Refused('subelements with such flags', 'write skip_missing: true')
  const of = irOf(listNode, env)
  if (of.type.kind !== 'list' && of.type.kind !== 'any')
    throw new Refused('subelements of what is no list', 'use a list')
  const whole: Ir = { op: 'var', name: 'whole', local: true, type: itemOf(of.type) }
  const path = key.split('.').reduce<Ir>((at, name) => get(at, name, entryOf(at.type, name)), whole)
  const wanted: Ir = skips
    ? call('defined', BOOL, path)
    : not(call('default', BOOL, get(whole, 'skipped', BOOL), lit(false)))
  const given: Ir = { op: 'macro', name: 'filter', of, item: 'whole', body: wanted, type: listOf(whole.type) }
  const part: Ir = { op: 'var', name: 'part', local: true, type: itemOf(path.type) }
  const pairs: Ir = {
    op: 'macro',
    name: 'map',
    of: path,
    item: 'part',
    body: { op: 'list', items: [whole, part], type: listOf(ANY) },
    type: listOf(ANY),
  }
  put(
    pair,
    call(
      'flatten',
      listOf(ANY),
      { op: 'macro', name: 'map', of: given, item: 'whole', body: pairs, type: listOf(ANY) },
      lit(1),
    ),
  )
  return listOf(ANY)
}
