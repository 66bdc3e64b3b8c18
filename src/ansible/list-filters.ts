/** Filters for lists and maps. */
import { bin, call, get, type Ir, isPath, lit, not } from './ir.ts'
import type { Args, Expr } from './jinja/ast.ts'
import { Refused } from './refused.ts'
import type { Translator } from './translate.ts'
import { ANY, itemOf, join, listOf, MAP, STRING, STRINGS, type Type } from './types.ts'

export type Filter = (t: Translator, of: Ir, args: Args, expr: Expr & { op: 'filter' }) => Ir

export const LIST_FILTERS: Readonly<Record<string, Filter>> = {
  unique: (_t, of) => call('unique', onlyList(of).type, onlyList(of)),
  union: (t, of, args) => call('unique', of.type, call('concat', of.type, onlyList(of), onlyList(one(t, args)))),
  intersect: (t, of, args) =>
    call(
      'unique',
      of.type,
      filtered(t, onlyList(of), (item) => bin('in', item, one(t, args))),
    ),
  difference: (t, of, args) =>
    call(
      'unique',
      of.type,
      filtered(t, onlyList(of), (item) => not(bin('in', item, one(t, args)))),
    ),
  // Jinja sorts without regard to capitals, unless told.
  sort: (t, of, args) => {
    const { reverse, case_sensitive: caseSensitive, ...others } = args.named
    if (args.list.length > 0 || reverse || Object.keys(others).length > 0)
      throw new Refused('sort by an attribute or backwards', 'write it by hand')
    const list = of.type.kind === 'map' ? call('keys', STRINGS, of) : of
    const { kind } = itemOf(list.type)
    if (list.type.kind !== 'list' || (kind !== 'string' && kind !== 'int' && kind !== 'any'))
      throw new Refused('sort of what may be no list of texts or numbers', 'give the variable a list as default')
    if (kind === 'int' || (caseSensitive && t.condition(caseSensitive).op === 'lit' && isTrue(caseSensitive)))
      return call('sort', list.type, list)
    return call('sort', list.type, list, lit(true))
  },
  // Null is left out in both (ansible-core: plugins/filter/core.py, flatten).
  flatten: (_t, of, args) => {
    const { levels, ...others } = args.named
    const depth = args.list[0] ?? levels
    if (args.list.length > 1 || Object.keys(others).length > 0 || (depth && depth.op !== 'const'))
      throw new Refused('flatten with other arguments', 'use flatten(list, levels)')
    // Python goes through a map by its names.
    if (of.type.kind === 'map') return call('keys', STRINGS, of)
    if (of.type.kind !== 'list' && of.type.kind !== 'any') throw new Refused('flatten of what is no list', 'use a list')
    const wanted = depth?.op === 'const' ? Number(depth.value) : 100
    return call('flatten', flatType(of.type), of, lit(wanted))
  },
  zip: (t, of, args) => {
    const other = onlyList(one(t, args))
    return call('zip', listOf(listOf(join(itemOf(of.type), itemOf(other.type)))), onlyList(of), other)
  },
  combine: (t, of, args) => {
    const { recursive, ...others } = args.named
    if (Object.keys(others).length > 0) throw new Refused('combine with list_merge', 'write the map')
    if (recursive && recursive.op !== 'const') throw new Refused('combine with a computed "recursive"', 'write true')
    const deep = recursive?.op === 'const' && recursive.value === true
    return args.list.map((arg) => t.value(arg)).reduce((a, b) => merge(a, b, deep), of)
  },
  // Of pairs, which is what "zip" gives.
  dict: (_t, of) => call('from_pairs', MAP, onlyList(of)),
  items2dict: (_t, of, args) => {
    if (args.list.length > 0 || Object.keys(args.named).length > 0)
      throw new Refused('items2dict with other names', 'use from_pairs(list.map(i, [i.name, i.value]))')
    return call('from_pairs', MAP, onlyList(of))
  },
  dict2items: (t, of, args) => {
    if (args.list.length > 0 || Object.keys(args.named).length > 0)
      throw new Refused('dict2items with other names', 'use key and value')
    if (of.type.kind !== 'map' && of.type.kind !== 'any') throw new Refused('dict2items of what is no map', 'use a map')
    if (!isPath(of)) {
      const pairs = call('zip', listOf(listOf(ANY)), call('keys', STRINGS, of), call('values', listOf(ANY), of))
      return entriesOf(t, pairs, (one) => [get(one, lit(0), STRING), get(one, lit(1), entriesType(of.type))], of.type)
    }
    return entriesOf(t, call('keys', STRINGS, of), (one) => [one, get(of, one, entriesType(of.type))], of.type)
  },
}

/** `[{key, value}]` of what a list has. */
function entriesOf(t: Translator, of: Ir, parts: (one: Ir) => [key: Ir, value: Ir], map: Type): Ir {
  const item = t.freshName()
  const [key, value] = parts({ op: 'var', name: item, local: true, type: itemOf(of.type) })
  const body: Ir = {
    op: 'map',
    items: [
      ['key', key],
      ['value', value],
    ],
    type: MAP,
  }
  const type = listOf({ kind: 'map', entries: { key: STRING, value: entriesType(map) } })
  return { op: 'macro', name: 'map', of, item, body, type }
}

function entriesType(type: Type): Type {
  const entries = type.entries && Object.values(type.entries)
  return entries && entries.length > 0 ? entries.reduce(join) : ANY
}

function merge(a: Ir, b: Ir, deep: boolean): Ir {
  for (const { type } of [a, b])
    if (type.kind !== 'map' && type.kind !== 'any') throw new Refused('combine of what is no map', 'use maps')
  const entries = !deep && a.type.entries && b.type.entries ? { ...a.type.entries, ...b.type.entries } : undefined
  return call('merge', { kind: 'map', entries }, a, b, ...(deep ? [lit(true)] : []))
}

function flatType(type: Type): Type {
  const of = itemOf(type)
  return of.kind === 'list' ? flatType(of) : of.kind === 'any' ? listOf(ANY) : listOf(of)
}

export function isTrue(expr: Expr): boolean {
  return expr.op === 'const' && expr.value === true
}

export function one(t: Translator, args: Args): Ir {
  if (args.list.length !== 1) throw new Refused('a filter with more arguments than one', 'write it by hand')
  return t.value(args.list[0]!)
}

function onlyList(ir: Ir): Ir {
  if (ir.type.kind === 'list') return ir
  // What is no list is an error of CEL's when it runs.
  if (ir.type.kind === 'any' && isPath(ir)) return { ...ir, type: listOf(ANY) } as Ir
  throw new Refused('a filter for lists of what may be none', 'give the variable a list as default')
}

/** A list's items that pass a test. */
export function filtered(t: Translator, of: Ir, test: (item: Ir) => Ir): Ir {
  const item = t.freshName()
  const body = test({ op: 'var', name: item, local: true, type: itemOf(of.type) })
  return { op: 'macro', name: 'filter', of, item, body, type: of.type.kind === 'list' ? of.type : listOf(ANY) }
}
