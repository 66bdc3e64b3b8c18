/** Python's methods that playbooks call on texts and maps, and Ansible's lookups. */
import { joined, orDefault, splitBy } from './filters.ts'
import { bin, call, get, type Ir, isPath, lit, not, variable } from './ir.ts'
import type { CompareSign, Expr } from './jinja/ast.ts'
import { either, refuseMessage } from './operands.ts'
import { Refused } from './refused.ts'
import type { Translator } from './translate.ts'
import { BOOL, entryOf, itemOf, STRING, STRINGS } from './types.ts'

/** Of Python's `str`. */
export const PYTHON_METHODS =
  /^(capitalize|casefold|center|count|encode|endswith|expandtabs|find|format\w*|index|is\w+|join|ljust|lower|lstrip|maketrans|partition|remove\w+|replace|rfind|rindex|rjust|rpartition|rsplit|rstrip|split|splitlines|startswith|strip|swapcase|title|translate|upper|zfill)$/

/** Throws Refused. */
export function callMethod(t: Translator, { of, args }: Expr & { op: 'call' }): Ir {
  if (of.op === 'name') return lookup(t, of.name, args.list, args.named)
  if (of.op !== 'attr' || Object.keys(args.named).length > 0) throw unknown('this call')
  const self = t.value(of.of)
  const list = args.list
  refuseMessage(self)
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
      if (list.length === 0) return call('trim', STRING, self)
      return stripped(t, stripped(t, self, 'lstrip', list), 'rstrip', list)
    case 'lstrip':
    case 'rstrip':
      return stripped(t, self, of.name, list)
    case 'replace':
      return call('replace', STRING, self, ...texts(2))
    case 'join':
      if (list.length !== 1) throw unknown('join with these arguments')
      return joined(t, t.value(list[0]!), of.of)
    default:
      throw unknown(`the method "${of.name}"`)
  }
}

/** A text without certain characters at its beginning or end; without blanks when none are named. */
function stripped(t: Translator, self: Ir, side: 'lstrip' | 'rstrip', list: readonly Expr[]): Ir {
  if (list.length > 1) throw unknown(`the method "${side}" with these arguments`)
  const characters = list[0] ? t.constText(list[0], side).replace(/[\\\]^-]/g, '\\$&') : '\\s'
  if (characters === '') throw unknown(`the method "${side}" of nothing`)
  const pattern = side === 'lstrip' ? `^[${characters}]+` : `[${characters}]+$`
  return call('regex_replace', STRING, self, lit(pattern), lit(''))
}

/** `text.find(part) != -1` and its like: whether a text has a part; undefined when it is something else. Throws Refused. */
export function foundAt(
  t: Translator,
  first: Expr,
  { sign, right }: { sign: CompareSign; right: Expr },
): Ir | undefined {
  if (first.op !== 'call' || first.of.op !== 'attr' || first.of.name !== 'find') return undefined
  const [part, ...more] = first.args.list
  const place = t.value(right)
  if (!part || more.length > 0 || place.op !== 'lit' || typeof place.value !== 'number') return undefined
  const self = t.value(first.of.of)
  refuseMessage(self)
  if (self.type.kind !== 'string' && self.type.kind !== 'any') return undefined
  const has = call('contains', BOOL, self, t.value(part))
  const said = `${sign} ${place.value}`
  if (/^(!= -1|> -1|>= 0)$/.test(said)) return has
  if (/^(== -1|<= -1|< 0)$/.test(said)) return not(has)
  return undefined
}

function ofMap(t: Translator, name: string, self: Ir, list: readonly Expr[]): Ir {
  if (name === 'keys' && list.length === 0) return call('keys', STRINGS, self)
  if (name === 'values' && list.length === 0) return call('values', { kind: 'list' }, self)
  const [key, fallback] = list
  if (name === 'get' && key?.op === 'const' && typeof key.value === 'string' && fallback && isPath(self)) {
    const type = entryOf(self.type, key.value)
    if (type.nullable) throw unknown('get of what may be null')
    return orDefault({ op: 'get', of: self, key: lit(key.value), type }, t.value(fallback))
  }
  // A key that is computed: what a variable holds.
  if (name === 'get' && key && fallback && isPath(self)) {
    const computed = t.value(key)
    if (isPath(computed) && !itemOf(self.type).nullable)
      return orDefault(get(self, computed, itemOf(self.type)), t.value(fallback))
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
    if (plugin === 'vars') return variableOf(t, argument)
  }
  throw new Refused(
    `the lookup "${plugin}"`,
    plugin === 'file'
      ? 'use file("path") with a path from the working folder, or copy: src'
      : 'give the value as a variable',
  )
}

/** Variables that one name with a computed part in it may mean. */
const MAX_NAMES = 12

/** `lookup('vars', 'pull_' ~ tool)`: one of the variables of such names that the input has, each with its condition. */
function variableOf(t: Translator, argument: Ir): Ir {
  const parts = partsOf(argument)
  const computed = parts.filter(({ op }) => op !== 'lit')
  const at = parts.indexOf(computed[0]!)
  const text = (some: readonly Ir[]): string => some.map((one) => String((one as { value: unknown }).value)).join('')
  const [before, after] = [text(parts.slice(0, at)), text(parts.slice(at + 1))]
  if (computed.length !== 1 || (before === '' && after === ''))
    throw new Refused('a variable whose whole name is computed', 'use a map')
  const words = [...t.env.names()]
    .filter((name) => name.length > before.length + after.length && name.startsWith(before) && name.endsWith(after))
    .map((name) => name.slice(before.length, name.length - after.length))
    .sort()
  if (words.length === 0 || words.length > MAX_NAMES)
    throw new Refused(`one of ${words.length} variables ${before}…${after}`, 'use a map')
  // Nothing has this name: another word is an error, as in Ansible.
  const none = variable(`${before}OTHER${after}`)
  return words.reduceRight<Ir>((otherwise, word) => {
    const value = t.value({ op: 'name', name: `${before}${word}${after}` })
    return either(bin('==', computed[0]!, lit(word)), value, otherwise)
  }, none)
}

/** What is put together with `+` or `~`. */
function partsOf(ir: Ir): Ir[] {
  return ir.op === 'bin' && ir.sign === '+' ? [...partsOf(ir.left), ...partsOf(ir.right)] : [ir]
}

function unknown(what: string): Refused {
  return new Refused(what, 'write it with the functions of docs/helpers.md')
}
