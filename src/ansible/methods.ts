/** Python's methods that playbooks call on texts and maps, and Ansible's lookups. */
import { joined, splitBy } from './filters.ts'
import { call, type Ir, isPath, lit } from './ir.ts'
import type { Expr } from './jinja/ast.ts'
import { Refused } from './refused.ts'
import type { Translator } from './translate.ts'
import { BOOL, entryOf, join, STRING, STRINGS } from './types.ts'

/** Throws Refused. */
export function callMethod(t: Translator, { of, args }: Expr & { op: 'call' }): Ir {
  if (of.op === 'name') return lookup(t, of.name, args.list, args.named)
  if (of.op !== 'attr' || Object.keys(args.named).length > 0) throw unknown('this call')
  const self = t.value(of.of)
  const list = args.list
  if (self.type.kind === 'map' || (self.type.kind === 'any' && /^(get|keys|values|items)$/.test(of.name)))
    return ofMap(t, of.name, self, list)
  if (self.type.kind !== 'string' && self.type.kind !== 'any') throw unknown(`the method "${of.name}"`)
  const texts = (count: number): Ir[] => {
    if (list.length !== count) throw unknown(`the method "${of.name}" with these arguments`)
    return list.map((arg) => t.value(arg))
  }
  switch (of.name) {
    case 'split':
      return splitBy(t, self, list[0], list.length)
    case 'startswith':
      return call('startsWith', BOOL, self, ...texts(1))
    case 'endswith':
      return call('endsWith', BOOL, self, ...texts(1))
    case 'lower':
    case 'upper':
      texts(0)
      return call(of.name, STRING, self)
    case 'strip':
      texts(0)
      return call('trim', STRING, self)
    case 'replace':
      return call('replace', STRING, self, ...texts(2))
    case 'join':
      if (list.length !== 1) throw unknown('join with these arguments')
      return joined(t, t.value(list[0]!), of.of)
    default:
      throw unknown(`the method "${of.name}"`)
  }
}

function ofMap(t: Translator, name: string, self: Ir, list: readonly Expr[]): Ir {
  if (name === 'keys' && list.length === 0) return call('keys', STRINGS, self)
  if (name === 'values' && list.length === 0) return call('values', { kind: 'list' }, self)
  const [key, fallback] = list
  if (name === 'get' && key?.op === 'const' && typeof key.value === 'string' && fallback && isPath(self)) {
    const type = entryOf(self.type, key.value)
    if (type.nullable) throw unknown('get of what may be null')
    const value = t.value(fallback)
    return call('default', join(type, value.type), { op: 'get', of: self, key: lit(key.value), type }, value)
  }
  throw unknown(`the method "${name}" of a map`)
}

function lookup(t: Translator, name: string, list: readonly Expr[], named: Readonly<Record<string, Expr>>): Ir {
  if (name !== 'lookup' && name !== 'query' && name !== 'q') throw unknown(`the function "${name}"`)
  const plugin = t.constText(list[0], 'lookup').replace(/^ansible\.builtin\./, '')
  if (name === 'lookup' && list.length === 2 && Object.keys(named).length === 0) {
    const argument = t.value(list[1]!)
    // A variable that is not set is an empty text in Ansible.
    if (plugin === 'env') return call('env', STRING, argument, lit(''))
    if (plugin === 'vars' && argument.op === 'lit' && typeof argument.value === 'string')
      return t.value({ op: 'name', name: argument.value })
  }
  throw new Refused(
    `the lookup "${plugin}"`,
    plugin === 'file'
      ? 'use file("path") with a path from the working folder, or copy: src'
      : 'give the value as a variable',
  )
}

function unknown(what: string): Refused {
  return new Refused(what, 'write it with the functions of docs/helpers.md')
}
