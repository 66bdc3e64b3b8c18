/** Jinja's and Ansible's tests: `is defined`, `is changed`, `is version(…)`. */
import { bin, call, get, type Ir, isPath, lit, not } from './ir.ts'
import type { Args, CompareSign, Expr } from './jinja/ast.ts'
import { foundBy, refuseMessage } from './operands.ts'
import { Refused } from './refused.ts'
import { pythonRegex } from './regex.ts'
import type { Translator } from './translate.ts'
import { BOOL, INT, itemOf, listOf, STRING } from './types.ts'

/** Throws Refused. */
export function applyTest(t: Translator, expr: Expr & { op: 'test' }): Ir {
  const name = shortName(expr.name)
  if (name === 'defined' || name === 'undefined') {
    const test = isDefined(pathOf(t, expr.of))
    return (name === 'undefined') !== expr.negated ? not(test) : test
  }
  const test = testOf(t, t.value(expr.of), name, expr.args)
  return expr.negated ? not(test) : test
}

function pathOf(t: Translator, of: Expr): Ir {
  // What the inventory may leave out is asked for by its own name.
  if (of.op === 'name' && of.name === 'ansible_host') return lit(true)
  const ir = t.value(of)
  if (!isPath(ir)) throw new Refused('"is defined" of something computed', 'ask defined(a.b) of a name')
  return ir
}

function isDefined(path: Ir): Ir {
  if (path.op === 'lit') return path
  // None is defined in Python; here null counts as not there.
  if (path.type.nullable || path.type.kind === 'null')
    throw new Refused(
      '"is defined" of what may be null, which is defined in Python',
      'write defined(x) if null should count as not defined',
    )
  // Ansible says it of skipped tasks alone.
  if (path.op === 'get' && path.of.type.entries?.changed && path.key.op === 'lit' && path.key.value === 'skipped')
    return path
  if (path.type.result && path.type.kind !== 'map' && path.op === 'get') {
    // A skipped command has empty output here and none in Ansible.
    return bin('&&', call('defined', BOOL, path.of), not(get(path.of, 'skipped', BOOL)))
  }
  return call('defined', BOOL, path)
}

const SIGNS: Readonly<Record<string, CompareSign>> = {
  equalto: '==',
  eq: '==',
  '==': '==',
  ne: '!=',
  '!=': '!=',
  lt: '<',
  lessthan: '<',
  '<': '<',
  le: '<=',
  '<=': '<=',
  gt: '>',
  greaterthan: '>',
  '>': '>',
  ge: '>=',
  '>=': '>=',
  in: 'in',
}

export function testOf(t: Translator, of: Ir, given: string, args: Args): Ir {
  const name = shortName(given)
  const argument = (): Ir => {
    if (args.list.length !== 1) throw new Refused(`the test "${name}" with other arguments`, 'write it by hand')
    return t.value(args.list[0]!)
  }
  const sign = Object.hasOwn(SIGNS, name) ? SIGNS[name] : undefined
  if (sign) return t.compare(sign, of, argument())
  switch (name) {
    case 'defined':
      return isDefined(of)
    case 'undefined':
      return not(isDefined(of))
    case 'none': {
      const found = foundBy(of)
      if (found) return not(found)
      // What a variable is, its type here does not say for sure: who asks expects that it may be something else.
      if (!isPath(of) && of.type.kind !== 'any' && of.type.kind !== 'null' && !of.type.nullable) return lit(false)
      return bin('==', of, lit(null))
    }
    case 'changed':
    case 'change':
      return get(of, 'changed', BOOL)
    case 'failed':
    case 'failure':
      return get(of, 'failed', BOOL)
    case 'succeeded':
    case 'success':
    case 'successful':
      return not(get(of, 'failed', BOOL))
    case 'skipped':
    case 'skip':
      return get(of, 'skipped', BOOL)
    case 'unreachable':
      return get(of, 'unreachable', BOOL)
    case 'all':
    case 'any': {
      if (of.type.kind !== 'list' && of.type.kind !== 'any')
        throw new Refused(`"is ${name}" of what is no list`, 'use a list')
      const item = t.freshName()
      const body = t.truth({ op: 'var', name: item, local: true, type: itemOf(of.type) })
      return { op: 'macro', name: name === 'all' ? 'all' : 'exists', of, item, body, type: BOOL }
    }
    case 'contains':
      return t.compare('in', argument(), of)
    case 'match':
      return matches(t, of, args, (pattern) => `^(?:${pattern})`)
    case 'search':
    case 'regex':
      return matches(t, of, args, (pattern) => pattern)
    case 'version':
    case 'version_compare':
      return compareVersion(t, of, args)
    case 'true':
    case 'false':
      if (of.type.kind !== 'bool') throw new Refused(`"is ${name}" of what may be no boolean`, 'write x == true')
      return name === 'true' ? of : not(of)
    case 'sameas': {
      const other = argument()
      if (other.op !== 'lit' || (typeof other.value !== 'boolean' && other.value !== null))
        throw new Refused('"is sameas" of other things than true, false and none', 'compare with ==')
      return bin('==', of, other)
    }
    case 'string':
    case 'mapping':
    case 'number':
    case 'integer':
    case 'boolean':
    case 'sequence':
    case 'iterable':
      return isOfType(of, name)
    case 'truthy':
      return t.truth(of)
    case 'falsy':
      return not(t.truth(of))
    case 'subset':
    case 'superset': {
      const [small, large] = name === 'subset' ? [of, argument()] : [argument(), of]
      const item = t.freshName()
      const body = bin('in', { op: 'var', name: item, local: true, type: { kind: 'any' } }, large)
      return { op: 'macro', name: 'all', of: small, item, body, type: BOOL }
    }
    case 'divisibleby':
    case 'even':
    case 'odd': {
      const by = name === 'divisibleby' ? argument() : lit(2)
      if (of.type.kind !== 'int') throw new Refused(`"is ${name}" of what may be no number`, 'convert it with int(…)')
      return bin(name === 'odd' ? '!=' : '==', bin('%', of, by, INT), lit(0))
    }
    default:
      throw new Refused(`the test "${given}"`, 'write a condition in CEL')
  }
}

function shortName(name: string): string {
  return name.replace(/^(ansible\.(builtin|utils|netcommon)|community\.general)\./, '')
}

function matches(t: Translator, of: Ir, args: Args, shape: (pattern: string) => string): Ir {
  if (args.list.length !== 1 || Object.keys(args.named).length > 0)
    throw new Refused('a pattern with flags', 'use regex_match')
  refuseMessage(of)
  if (of.type.kind !== 'string' && of.type.kind !== 'any')
    throw new Refused('a pattern for what is no text', 'mend the expression')
  const pattern = pythonRegex(t.constText(args.list[0], 'a pattern'), of.type.result)
  return call('regex_match', BOOL, of, lit(shape(pattern)))
}

const OPERATORS: Readonly<Record<string, string>> = {
  '==': '==',
  '=': '==',
  eq: '==',
  '<': '<',
  lt: '<',
  '<=': '<=',
  le: '<=',
  '>': '>',
  gt: '>',
  '>=': '>=',
  ge: '>=',
  '!=': '!=',
  '<>': '!=',
  ne: '!=',
}

/** Numbers by number in both; what differs (1.0 and 1.0.0, release candidates) is told to the user. */
export function compareVersion(t: Translator, of: Ir, args: Args): Ir {
  const operator =
    OPERATORS[t.constText(args.list[1] ?? args.named.operator ?? { op: 'const', value: '==' }, 'version')]
  if (!operator || !args.list[0] || args.named.strict || args.list.length > 2)
    throw new Refused('version with other arguments', 'use version_compare')
  const type = args.named.version_type
  if (type && !(type.op === 'const' && type.value === 'loose'))
    throw new Refused('a special order of versions', 'use version_compare')
  const wanted = t.value(args.list[0])
  t.env.note({ kind: 'versions' })
  return call('version_compare', BOOL, t.text(of), lit(operator), t.text(wanted))
}

function isOfType(of: Ir, name: string): Ir {
  const { kind } = of.type
  // Defaults say what a variable mostly is; a playbook that asks expects that inventories give it another type, too.
  if (of.op === 'lit' && kind !== 'null') {
    const fits: Record<string, readonly string[]> = {
      string: ['string'],
      mapping: ['map'],
      number: ['int', 'float', 'bool'],
      integer: ['int'],
      boolean: ['bool'],
      sequence: ['string', 'list', 'map'],
      iterable: ['string', 'list', 'map'],
    }
    return lit(fits[name]!.includes(kind))
  }
  // Compared with the type of a value: a variable may be called "map".
  const empty: Readonly<Record<string, Ir>> = {
    string: lit(''),
    list: { op: 'list', items: [], type: { kind: 'list' } },
    map: { op: 'map', items: [], type: { kind: 'map' } },
    int: lit(0),
    double: lit(0.5),
    bool: lit(false),
  }
  const types: Readonly<Record<string, readonly string[]>> = {
    string: ['string'],
    mapping: ['map'],
    // True is a number in Python.
    number: ['int', 'double', 'bool'],
    integer: ['int'],
    boolean: ['bool'],
    sequence: ['string', 'list', 'map'],
    iterable: ['string', 'list', 'map'],
  }
  const wanted = types[name]
  if (!wanted) throw new Refused(`"is ${name}"`, 'compare type(x) == int')
  const typeOf = (value: Ir): Ir => call('type', STRING, value)
  const [only, ...more] = wanted.map((type) => typeOf(empty[type]!))
  if (more.length === 0) return bin('==', typeOf(of), only!)
  return bin('in', typeOf(of), { op: 'list', items: [only!, ...more], type: listOf(STRING) })
}
