/** Parts of lists and texts, maps, fractions, and values of Ansible's that mean something else here. */
import { isNatural, sum } from './equality.ts'
import { bin, call, get, type Ir, lit } from './ir.ts'
import type { Expr } from './jinja/ast.ts'
import { Refused } from './refused.ts'
import type { Translator } from './translate.ts'
import { ANY, BOOL, FLOAT, INT, itemOf, join, listOf, MAP } from './types.ts'

/** `list[0]`, `list[-1]`. Throws Refused. */
export function placeOf(of: Ir, place: number): Ir {
  if (of.type.kind === 'string') throw new Refused('a letter of a text', 'use slice(text, 0, 1)')
  if (place >= 0) return get(of, lit(place), itemOf(of.type))
  if (of.type.kind !== 'list') throw new Refused('an index from the end of what may be a text', 'use last')
  if (place === -1) return call('last', itemOf(of.type), of)
  return get(of, bin('-', call('size', INT, of), lit(-place), INT), itemOf(of.type))
}

/** `value[from:to]`: places that are not there are no error in both. Throws Refused. */
export function sliceOf(t: Translator, { of, from, to }: Expr & { op: 'slice' }): Ir {
  const value = t.value(of)
  const places = [from, to].map((one) => one && t.value(one))
  if (value.type.kind !== 'string' && value.type.kind !== 'list' && value.type.kind !== 'any')
    throw new Refused(`a slice of a ${value.type.kind}`, 'mend the expression')
  if (places.some((one) => one && one.type.kind !== 'int'))
    throw new Refused('a slice to what may be no number', 'convert it with int(…)')
  return call('slice', value.type, value, places[0] ?? lit(0), ...(places[1] ? [places[1]] : []))
}

/** A map that is written out. Throws Refused. */
export function mapOf(t: Translator, given: readonly (readonly [Expr, Expr])[]): Ir {
  if (given.every(([key]) => key.op === 'const' && typeof key.value === 'string')) {
    const items = given.map(([key, value]): [string, Ir] => [(key as { value: string }).value, t.value(value)])
    const entries = Object.fromEntries(items.map(([key, { type }]) => [key, type]))
    return { op: 'map', items, type: { kind: 'map', entries } }
  }
  const pairs = given.map(([key, value]): Ir => {
    const name = t.value(key)
    if (name.type.kind !== 'string' && name.type.kind !== 'any')
      throw new Refused('a map whose keys may be no texts', 'make them texts')
    return { op: 'list', items: [name, t.value(value)], type: listOf(ANY) }
  })
  return call('from_pairs', MAP, { op: 'list', items: pairs, type: listOf(listOf(ANY)) })
}

/** A number with a fraction that CEL has as such: `double(x)`. */
export function isDouble(ir: Ir): boolean {
  return ir.op === 'call' && ir.name === 'double'
}

export function isNumber(ir: Ir): boolean {
  return ir.type.kind === 'int' || ir.type.kind === 'float'
}

export function asDouble(ir: Ir): Ir {
  return ir.type.kind === 'float' ? ir : call('double', FLOAT, ir)
}

/** A message may be printed, but what it says is said in other words here. Throws Refused. */
export function refuseMessage({ type }: Ir): void {
  if (type.message)
    throw new Refused('the message of a result, which has other words here', 'ask for failed, changed, rc or status')
}

/** The types of both, for a chain of conditions. */
export function either(test: Ir, yes: Ir, no: Ir): Ir {
  return { op: 'cond', test, yes, no, type: join(yes.type, no.type) }
}

/** Whether `regex_search` finds anything: without that it gives None in Ansible, and is an error here. */
export function foundBy(ir: Ir): Ir | undefined {
  const searched = ir.op === 'list' ? ir.items[0] : ir
  if (searched?.op !== 'call' || searched.name !== 'regex_find') return undefined
  const [of, pattern, group] = searched.args
  // With groups it is a list of them or None; a list that the playbook writes has no group.
  if (ir.op === 'list' && !group) return undefined
  return call('regex_match', BOOL, of!, pattern!)
}

/** Parts of a stat beside those whose types are known. */
const STAT_PARTS = /^(type|atime|mtime|ctime|nlink|inode|dev)$/

/** Parts of a registered result that Ansible has and runbook has not. */
const NO_RESULT = /^(item|start|end|delta|invocation|ansible_facts|ansible_loop_var|diff|warnings)$/

/** Entries that Ansible has and runbook has not. Throws Refused. */
export function refuseEntry(of: Ir, key: string): void {
  if (of.type.entries?.islnk && !of.type.entries[key] && !STAT_PARTS.test(key))
    throw new Refused(`"${key}" of stat`, 'see docs/modules/stat.md for what there is')
  if (of.type.closed && !of.type.entries?.[key])
    throw new Refused(`"${key}" of ${of.type.closed}`, 'read it with command')
  if (of.type.entries?.changed && NO_RESULT.test(key) && !of.type.entries[key])
    throw new Refused(`"${key}" of a result`, 'loop over the same list again')
}

/** What `+ - * / // %` give. Throws Refused. */
export function calculated(sign: string, left: Ir, right: Ir): Ir {
  const kinds = [left.type.kind, right.type.kind]
  if (kinds.includes('bool') || kinds.includes('null'))
    throw new Refused('arithmetic with true, false or null', 'write the number')
  if (kinds.includes('float')) throw new Refused('arithmetic with fractions', 'compute it by hand with double(…)')
  switch (sign) {
    case '+':
      if (kinds.includes('any') || kinds[0] === kinds[1]) return bin('+', left, right, sum(left.type, right.type))
      throw new Refused(`${kinds[0]} + ${kinds[1]}`, 'convert one side with string(…) or int(…)')
    case '-':
      if (kinds.every((kind) => kind === 'int' || kind === 'any')) return bin('-', left, right, INT)
      break
    case '*':
      // With `any` it could be a text that Python repeats; CEL refuses that when it runs.
      if (kinds.every((kind) => kind === 'int' || kind === 'any')) return bin('*', left, right, INT)
      break
    case '//':
    case '%':
      // Python rounds down, CEL to zero: the same for what cannot be negative.
      if (isNatural(left) && right.op === 'lit' && Number(right.value) > 0)
        return bin(sign === '%' ? '%' : '/', left, right, INT)
      throw new Refused(
        `"${sign}", which rounds another way when it is negative`,
        'write a / b (whole numbers) if it never is',
      )
    default:
  }
  throw new Refused(`the operator "${sign}" between ${kinds.join(' and ')}`, 'compute it by hand: in CEL 7 / 2 is 3')
}
