/** `loop` and all `with_…`. */
import { isScalar, isSeq, type Node, type YAMLMap } from 'yaml'
import { type Entry, entriesOf, entry, isText, scalar, take, type YamlDocument } from './document.ts'
import type { Env } from './env.ts'
import { IN_PLAYBOOK, isTemplate, parseTemplate } from './jinja/template.ts'
import { NESTED } from './nested-loops.ts'
import { rewriteValue, setText, unfinishedText } from './nodes.ts'
import { Refused } from './refused.ts'
import { rewriteText } from './text.ts'
import { Translator } from './translate.ts'
import { ANY, INT, itemOf, join, type Type, typeOfData } from './types.ts'

/** Rewrites the loop of a task and says which variables it gives, with their types. */
export function rewriteLoop(doc: YamlDocument, task: YAMLMap, env: Env): Map<string, Type> {
  const names = new Map<string, Type>()
  const pair = entriesOf(task).find(({ key }) => key.value === 'loop' || /^with_[\w.]+$/.test(key.value))
  // Ansible takes no notice of it.
  if (!pair && entry(task, 'loop_control')) take(task, 'loop_control')
  // What could not be told of include_vars has its mark there.
  if (!pair || (/first_found$/.test(pair.key.value) && entry(task, 'unfinished_include_vars'))) return names
  const control = entry(task, 'loop_control')?.value as YAMLMap | undefined
  const controls = control && 'items' in control ? control : undefined
  const loopVar = String(
    (controls && (entry(controls, 'loop_var')?.value as { value?: unknown } | undefined))?.value ?? 'item',
  )
  const indexVar = controls && (entry(controls, 'index_var')?.value as { value?: unknown } | undefined)?.value
  if (typeof indexVar === 'string') names.set(indexVar, INT)
  let type: Type = ANY
  try {
    const name = pair.key.value.replace(/^with_(ansible\.builtin\.|community\.general\.)?/, '')
    type = { ...LOOPS, ...NESTED }[name]?.(doc, pair, env) ?? unknownLoop(pair)
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    doc.refuse(pair.key, pair.key.value, error)
    const source = isText(pair.value) ? pair.value.value : JSON.stringify(pair.value)
    pair.value = scalar(unfinishedText(source)) as Node
  }
  pair.key.value = 'loop'
  delete (pair.key as { source?: string }).source
  names.set(loopVar, type)
  return names
}

function unknownLoop({ key }: Entry): never {
  throw new Refused(
    'this kind of loop',
    `${key.value === 'with_first_found' ? 'name the file, with a condition' : 'loop over one list'}, see docs/coming-from-ansible.md`,
  )
}

export type Loop = (doc: YamlDocument, pair: Entry, env: Env) => Type

const LOOPS: Readonly<Record<string, Loop>> = {
  loop: (doc, pair, env) => list(doc, pair, env, false),
  list: (doc, pair, env) => list(doc, pair, env, false),
  items: (doc, pair, env) => list(doc, pair, env, true),
  dict: (doc, pair, env) => overMap(doc, pair, env),
  sequence: (doc, pair) => sequence(doc, pair),
}

/** A list as it stands, or a template that gives one. `with_items` takes lists in the list apart. */
function list(doc: YamlDocument, pair: Entry, env: Env, flatten: boolean): Type {
  const node = pair.value
  if (isSeq(node)) {
    const types = node.items.map((item) => itemType(item as Node, env))
    const nested = types.findIndex((type) => type.kind === 'list')
    if (flatten && nested !== -1 && node.items.length === 1) {
      pair.value = node.items[0] as Node
      return list(doc, pair, env, false)
    }
    const mayBeLists = types.some((type, i) => type.kind === 'any' && isScalar(node.items[i]))
    if (flatten && (nested !== -1 || mayBeLists)) return NESTED.flattened!(doc, pair, env, 1)
    rewriteValue(doc, node, pair.key, 'loop', env)
    return types.length === 0 ? ANY : types.reduce(join)
  }
  if (!isText(node)) throw new Refused('a loop over nothing', 'write a list')
  if (!isTemplate(node.value)) {
    // A bare text is one item.
    if (!flatten) throw new Refused('a loop over a text', 'write a list')
    pair.value = doc.root.createNode([node.value]) as unknown as Node
    return { kind: 'string' }
  }
  const [only, ...more] = parseTemplate(node.value, IN_PLAYBOOK)
  if (only!.op !== 'output' || more.length > 0)
    throw new Refused('a loop over what a template prints', 'compute the list with !cel')
  // Maps can be looped over as they are: item.key and item.value.
  const { expr } = only!
  const isItems =
    expr.op === 'filter' &&
    /(^|\.)dict2items$/.test(expr.name) &&
    expr.args.list.length === 0 &&
    Object.keys(expr.args.named).length === 0
  const t = new Translator(env)
  const type = t.value(expr).type
  if (type.kind === 'map')
    throw new Refused('a loop over a map, which is an error in Ansible', 'write loop: "{{ map }}"')
  if (flatten && itemOf(type).kind === 'list')
    throw new Refused('lists inside the list, which with_items takes apart', 'write the list flat')
  if (flatten && itemOf(type).kind === 'any')
    doc.check(
      pair.key,
      'with_items',
      'lists inside the list are not taken apart here',
      'nothing, if the items are texts or maps',
    )
  const source = isItems
    ? node.value.replace(/\|\s*(ansible\.builtin\.)?dict2items\s*(\(\s*\))?\s*-?\}\}/, '}}')
    : node.value
  const { kind, code } = rewriteText(source, env)
  setText(node, code, kind === 'cel' ? '!cel' : undefined)
  return itemOf(type)
}

function itemType(node: Node, env: Env): Type {
  if (isText(node) && isTemplate(node.value)) {
    try {
      return rewriteText(node.value, env).type
    } catch (error) {
      if (error instanceof Refused) return ANY
      throw error
    }
  }
  return typeOfData((node as { toJSON(): unknown }).toJSON(), isTemplate)
}

function overMap(doc: YamlDocument, pair: Entry, env: Env): Type {
  if (isText(pair.value) && !isTemplate(pair.value.value))
    throw new Refused('a name without braces', 'write "{{ name }}"')
  let value: Type = ANY
  if (isText(pair.value)) {
    const { kind, code, type } = rewriteText(pair.value.value, env)
    const entries = type.entries ? Object.values(type.entries) : []
    if (entries.length > 0) value = entries.reduce(join)
    setText(pair.value, code, kind === 'cel' ? '!cel' : undefined)
  } else rewriteValue(doc, pair.value, pair.key, 'loop', env)
  return { kind: 'map', entries: { key: { kind: 'string' }, value } }
}

/** `start=1 end=3`: texts, as Ansible gives them. */
function sequence(doc: YamlDocument, pair: Entry): Type {
  const text = isText(pair.value) ? pair.value.value : ''
  const m = /^(?:start=(\d+)\s+)?(?:end=(\d+)|count=(\d+))$/.exec(text.trim())
  if (!m) throw new Refused('a sequence that is computed', 'write loop: !cel with a list')
  const start = Number(m[1] ?? 1)
  const end = m[2] === undefined ? start + Number(m[3]) - 1 : Number(m[2])
  if (end - start > 1000) throw new Refused('a very long sequence', 'write it in a shell')
  pair.value = doc.root.createNode(
    Array.from({ length: end - start + 1 }, (_, i) => String(start + i)),
  ) as unknown as Node
  return { kind: 'string' }
}
