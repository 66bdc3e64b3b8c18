/** Jinja's blocks in a text of a playbook as one expression: what they print, and what they set. */
import { itemsCall, usesLoop, valuesType } from './handlebars.ts'
import { bin, call, get, type Ir, lit } from './ir.ts'
import type { Expr, Node } from './jinja/ast.ts'
import { either } from './operands.ts'
import { Refused } from './refused.ts'
import type { Translator } from './translate.ts'
import { itemOf, listOf, STRING, STRINGS } from './types.ts'

type For = Node & { op: 'for' }

/** What a template gives as one expression. A block that prints one value alone gives that value, as in Ansible. */
export function whole(nodes: readonly Node[], t: Translator): Ir {
  return printed(run(nodes, t).parts, t)
}

function printed(parts: readonly Ir[], t: Translator): Ir {
  if (parts.length === 0) return lit('')
  if (parts.length === 1) return parts[0]!
  return parts.map((part) => t.text(part)).reduce((a, b) => bin('+', a, b, STRING))
}

interface Ran {
  readonly parts: readonly Ir[]
  /** What is set at the end, by name. */
  readonly sets: ReadonlyMap<string, Ir>
}

function run(nodes: readonly Node[], outer: Translator): Ran {
  let t = outer
  const parts: Ir[] = []
  const sets = new Map<string, Ir>()
  const set = (name: string, value: Ir): void => {
    sets.set(name, value)
    t = t.with([[name, value]])
  }
  for (const node of nodes) {
    if (node.op === 'text') parts.push(lit(node.text))
    else if (node.op === 'output') parts.push(t.value(node.expr))
    else if (node.op === 'set') set(node.name, t.value(node.value))
    else if (node.op === 'branch') {
      const ran = branch(node, t)
      parts.push(...ran.parts)
      for (const [name, value] of ran.sets) set(name, value)
    } else if (node.op === 'for') {
      const gathered = gather(node, t)
      if (gathered) set(...gathered)
      else parts.push(loop(node, t))
    }
  }
  return { parts, sets }
}

/** Blocks of `if` have no scope of their own: what one of them sets counts behind it. */
function branch(node: Node & { op: 'branch' }, t: Translator): Ran {
  const [first, ...more] = node.cases
  const test = t.choice(first!.test)
  const yes = run(first!.body, t)
  const no = more.length > 0 ? branch({ ...node, cases: more }, t) : run(node.otherwise, t)
  const sets = [...new Set([...yes.sets.keys(), ...no.sets.keys()])].map((name): [string, Ir] => {
    const before = t.env.locals.get(name)
    const [a, b] = [yes.sets.get(name) ?? before, no.sets.get(name) ?? before]
    if (!a || !b) throw new Refused(`"${name}", which is set in one case only`, 'compute it in vars: with !cel')
    return [name, either(test, a, b)]
  })
  const silent = yes.parts.length === 0 && no.parts.length === 0
  return { parts: silent ? [] : [either(test, printed(yes.parts, t), printed(no.parts, t))], sets: new Map(sets) }
}

interface Items {
  readonly of: Ir
  /** The name of the macro's item. */
  readonly item: string
  /** As the body sees it. */
  readonly inner: Translator
}

/** The list of a loop, without what its condition leaves out. */
function itemsOf(node: For, t: Translator): Items {
  const pairs = itemsCall(node.of)
  const given = t.value(pairs ?? node.of)
  const [first, second, ...others] = node.names
  if (pairs ? !second || others.length > 0 : given.type.kind !== 'list' && given.type.kind !== 'any')
    throw new Refused(`a loop of Jinja over a ${given.type.kind}`, 'write list.map(i, …) with !cel, and join')
  const of = pairs ? call('keys', STRINGS, given) : given
  const item = node.names.length > 1 && !pairs ? t.freshName() : first!
  const self: Ir = { op: 'var', name: item, local: true, type: itemOf(of.type) }
  const names: [string, Ir][] = pairs
    ? [
        [first!, self],
        [second!, get(given, self, valuesType(given.type))],
      ]
    : node.names.length > 1
      ? node.names.map((name, i) => [name, get(self, lit(i), itemOf(self.type))])
      : [[first!, self]]
  const inner = t.with(names)
  if (!node.filter) return { of, item, inner }
  return {
    of: { op: 'macro', name: 'filter', of, item, body: inner.condition(node.filter), type: of.type },
    item,
    inner,
  }
}

/** What a loop prints. */
function loop(node: For, t: Translator): Ir {
  const { body, separator } = separated(node.body)
  if (usesLoop(body)) throw new Refused('a loop of Jinja that asks for its place', 'write list.map(i, …) with !cel')
  const { of, item, inner } = itemsOf(node, t)
  const value = whole(body, inner)
  // A single value keeps its type in Ansible, many are one text: only texts are the same either way.
  if (value.type.kind !== 'string' && value.type.kind !== 'any' && body.length === 1)
    throw new Refused('a loop of Jinja that prints values alone', 'write list.map(i, …) with !cel, and join')
  const texts: Ir = { op: 'macro', name: 'map', of, item, body: inner.text(value), type: listOf(STRING) }
  const joined = call('join', STRING, texts, lit(separator))
  if (node.otherwise.length === 0) return joined
  return either(bin('>', call('size', { kind: 'int' }, of), lit(0)), joined, whole(node.otherwise, t))
}

/** A text at the end of a loop's body that every item but the last one has. */
function separated(body: readonly Node[]): { readonly body: readonly Node[]; readonly separator: string } {
  const last = body.at(-1)
  const text = last && separatorOf(last)
  return text === undefined ? { body, separator: '' } : { body: body.slice(0, -1), separator: text }
}

function separatorOf(node: Node): string | undefined {
  if (node.op === 'branch') {
    const [only, ...more] = node.cases
    const [text, ...others] = only!.body
    const isText = text?.op === 'text' && others.length === 0
    return isText && more.length === 0 && node.otherwise.length === 0 && isNotLast(only!.test) ? text.text : undefined
  }
  if (node.op !== 'output' || node.expr.op !== 'if') return undefined
  const { test, yes, no } = node.expr
  const isEmpty = !no || (no.op === 'const' && no.value === '')
  return isEmpty && isNotLast(test) && yes.op === 'const' && typeof yes.value === 'string' ? yes.value : undefined
}

function isNotLast(test: Expr): boolean {
  if (test.op !== 'unary' || test.sign !== 'not') return false
  const { of } = test
  return of.op === 'attr' && of.name === 'last' && of.of.op === 'name' && of.of.name === 'loop'
}

/**
 * A loop that prints nothing and appends to a list, or updates a map, which was set before: the name, and what it is
 * afterwards.
 */
function gather(node: For, t: Translator): [name: string, value: Ir] | undefined {
  const test: Expr[] = node.filter ? [node.filter] : []
  let body = node.body
  for (let only = body[0]; body.length === 1 && only?.op === 'branch'; only = body[0]) {
    if (only.cases.length > 1 || only.otherwise.length > 0) return undefined
    test.push(only.cases[0]!.test)
    body = only.cases[0]!.body
  }
  const [set, ...more] = body
  if (set?.op !== 'set' || more.length > 0 || node.otherwise.length > 0) return undefined
  const { value } = set
  if (value.op !== 'call' || value.of.op !== 'attr' || value.of.of.op !== 'name') return undefined
  const [argument, ...others] = value.args.list
  const method = value.of.name
  const name = value.of.of.name
  const before = t.env.locals.get(name)
  if (!before || !argument || others.length > 0 || Object.keys(value.args.named).length > 0) return undefined
  const filter = test.length > 1 ? test.reduce((left, right) => ({ op: 'binary', sign: 'and', left, right })) : test[0]
  if (usesLoop(filter) || usesLoop(argument) || mentions(argument, name) || mentions(filter, name)) return undefined
  const { of, item, inner } = itemsOf({ ...node, filter }, t)
  const added = inner.value(argument)
  if (method === 'append') {
    const list: Ir = { op: 'macro', name: 'map', of, item, body: added, type: listOf(added.type) }
    const isEmpty = before.op === 'list' && before.items.length === 0
    return [name, isEmpty ? list : bin('+', before, list, listOf(added.type))]
  }
  if (method !== 'update' || argument.op !== 'dict' || argument.items.length !== 1) return undefined
  const [key, one] = argument.items[0]!
  const pair: Ir = { op: 'list', items: [inner.value(key), inner.value(one)], type: { kind: 'list' } }
  const map = call(
    'from_pairs',
    { kind: 'map' },
    { op: 'macro', name: 'map', of, item, body: pair, type: { kind: 'list' } },
  )
  const isEmpty = before.op === 'map' && before.items.length === 0
  return [name, isEmpty ? map : call('merge', { kind: 'map' }, before, map)]
}

function mentions(expr: unknown, name: string): boolean {
  if (typeof expr !== 'object' || expr === null) return false
  if ('op' in expr && expr.op === 'name' && 'name' in expr && expr.name === name) return true
  return Object.values(expr).some((one) => mentions(one, name))
}
