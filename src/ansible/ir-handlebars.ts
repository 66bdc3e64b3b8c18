/** Expressions as Handlebars has them. What it cannot say is refused: CEL computes it, and the template gets a variable. */
import { call, type Ir, isPath, lit, not, printCel, type Sign, TRUE_WORDS } from './ir.ts'
import { Refused } from './refused.ts'
import { ANY, BOOL, STRING, type Type } from './types.ts'

/** Variables in a CEL macro, and the loops of a template, by the words that Handlebars has for them. */
export interface HandlebarsContext {
  /** Inside of a `{{#each}}` a plain name means an entry of its item. */
  readonly insideEach: boolean
  /** Numbers are added here; otherwise CEL does it, and the template gets a variable. */
  readonly arithmetic?: boolean
}

/** As a Handlebars expression: `path`, `"text"` or `(helper a b)`; `outer` leaves the parentheses away. Throws Refused. */
export function printHandlebars(ir: Ir, context: HandlebarsContext, outer = false): string {
  const inner = (one: Ir): string => printHandlebars(one, context)
  const helper = (name: string, ...args: readonly Ir[]): string => {
    const text = [name, ...args.map(inner)].join(' ')
    return outer ? text : `(${text})`
  }
  switch (ir.op) {
    case 'lit':
      if (ir.value === null) throw noHandlebars('null')
      return typeof ir.value === 'string' ? quoted(ir.value) : String(ir.value)
    case 'var':
      if (ir.local) return ir.name
      return context.insideEach || ir.name === 'this' ? `@root.${ir.name}` : ir.name
    case 'get': {
      const { key } = ir
      if (ir.of.op === 'var' && ir.of.local && ir.of.name === 'loop') return loopName(key, outer)
      const of = inner(ir.of)
      if (key.op === 'lit' && isPath(ir.of) && !of.startsWith('(')) return `${of}.${segment(String(key.value))}`
      return helper('lookup', ir.of, key)
    }
    case 'call':
      if (ir.name === 'string' && ir.args[0]!.type.kind !== 'any') return printHandlebars(ir.args[0]!, context, outer)
      if (ir.name === 'bool')
        return helper(
          'regex_match',
          call('lower', STRING, call('string', STRING, { ...ir.args[0]!, type: ANY } as Ir)),
          lit(TRUE_WORDS),
        )
      if (ir.name === 'size') return helper('length', ...ir.args)
      if (ir.name === 'type' && !isPath(ir.args[0]!)) return quoted(typeName(ir.args[0]!))
      if (ir.name === 'string' || ir.name === 'type') return helper(ir.name, ...ir.args)
      if (/^(default|defined)$/.test(ir.name) && isComputed(ir.args[0]!)) {
        const { of, key } = ir.args[0] as Ir & { op: 'get' }
        // Helpers look at what they get at once: what it stands in must be there.
        if (!isPlain(of)) throw noHandlebars('default for an entry of an entry whose key is computed')
        if (ir.name === 'default') return helper('lookup', of, key, ir.args[1]!)
        if (of.type.kind === 'map') return helper('contains', of, key)
      }
      if (/^(default|defined)$/.test(ir.name) && isPath(ir.args[0]!) && inner(ir.args[0]!).startsWith('('))
        throw noHandlebars('default for an entry whose key is computed')
      if (!HANDLEBARS.has(ir.name)) throw noHandlebars(`${ir.name}(…)`)
      return helper(ir.name, ...ir.args)
    case 'bin': {
      const names: Partial<Record<Sign, string>> = {
        '==': 'eq',
        '!=': 'ne',
        '<': 'lt',
        '<=': 'le',
        '>': 'gt',
        '>=': 'ge',
      }
      if (ir.sign === '&&' || ir.sign === '||') return logic(ir, helper)
      // Null counts as not there; what is not there at all is an error in Ansible.
      if (/^[!=]=$/.test(ir.sign) && ir.right.op === 'lit' && ir.right.value === null && isPath(ir.left)) {
        const there = call('defined', BOOL, ir.left)
        return printHandlebars(ir.sign === '!=' ? there : not(there), context, outer)
      }
      if (ir.sign === 'in') return helper('contains', ir.right, ir.left)
      const kinds = [ir.type.kind, ir.left.type.kind, ir.right.type.kind]
      if (ir.sign === '+' && kinds.every((kind) => kind === 'list')) return helper('concat', ir.left, ir.right)
      if (ir.sign === '+' && kinds.every((kind) => kind === 'string')) return helper('string', ...summands(ir))
      const name = names[ir.sign]
      if (context.arithmetic && (ir.sign === '+' || ir.sign === '-') && kinds.every((kind) => kind === 'int'))
        return helper(ir.sign === '+' ? 'add' : 'sub', ir.left, ir.right)
      if (!name) throw noHandlebars(`"${ir.sign}"`)
      return helper(name, ir.left, ir.right)
    }
    case 'not':
      return helper('not', ir.of)
    case 'list':
      if (ir.items.length === 0) throw noHandlebars('empty list')
      return helper('list', ...ir.items)
    default:
      throw noHandlebars(ir.op === 'cond' ? 'a condition inside an expression' : `a ${ir.op}`)
  }
}

/** What the helper `type` says of a value that is written out. Throws Refused. */
function typeName(ir: Ir): string {
  const names: Partial<Record<Type['kind'], string>> = {
    string: 'string',
    list: 'list',
    map: 'map',
    int: 'int',
    float: 'double',
    bool: 'bool',
  }
  const name = /^(lit|list|map)$/.test(ir.op) ? names[ir.type.kind] : undefined
  if (name === undefined) throw noHandlebars('type of something computed')
  return name
}

/** `map[key]` or `map[key].name`, which Handlebars cannot write as a path. */
function isComputed(ir: Ir): boolean {
  return ir.op === 'get' && isPath(ir.of) && !isPlain(ir)
}

function isPlain(ir: Ir): boolean {
  return ir.op === 'var' || (ir.op === 'get' && ir.key.op === 'lit' && isPlain(ir.of))
}

/** `a + b + c` as one. */
function summands(ir: Ir): readonly Ir[] {
  return ir.op === 'bin' && ir.sign === '+' ? [...summands(ir.left), ...summands(ir.right)] : [ir]
}

/** Helpers see all their arguments at once: what the left side guards must not be looked at on the right. */
function logic(ir: Ir & { op: 'bin' }, helper: (name: string, ...args: readonly Ir[]) => string): string {
  if (mayFail(ir.right) || asksFor(ir.left, ir.right)) throw noHandlebars(`"${ir.sign}" that protects its right side`)
  return helper(ir.sign === '&&' ? 'and' : 'or', ir.left, ir.right)
}

/** Whether the left side asks for the existence of something that the right side looks at. */
function asksFor(left: Ir, right: Ir): boolean {
  const paths = [...partsOf(left)].flatMap((one) =>
    one.op === 'call' && one.name === 'defined' ? [printCel(one.args[0]!)] : [],
  )
  const used = [...partsOf(right)].filter(isPath).map(printCel)
  return used.some((one) =>
    paths.some((path) => one === path || one.startsWith(`${path}.`) || one.startsWith(`${path}[`)),
  )
}

/** An expression and all in it. */
function* partsOf(ir: Ir): Generator<Ir> {
  yield ir
  for (const value of Object.values(ir))
    for (const one of Array.isArray(value) ? value : [value])
      if (typeof one === 'object' && one !== null && 'op' in one) yield* partsOf(one as Ir)
}

/** Whether looking at it can end in an error that the left side of `and` may be there to prevent. */
function mayFail(ir: Ir): boolean {
  switch (ir.op) {
    case 'lit':
      return false
    case 'var':
      return !ir.local && ir.type.kind === 'any'
    case 'get': {
      // What is not there has no more of stat than that it does not exist.
      const isPart = ir.of.type.entries?.islnk && !(ir.key.op === 'lit' && /^(exists|path)$/.test(String(ir.key.value)))
      return isPart || ir.type.kind === 'any' || mayFail(ir.of)
    }
    case 'call':
      if (ir.name === 'defined') return false
      if (ir.name === 'default') return mayFail(ir.args[1]!)
      return !/^(size|contains|lower|upper)$/.test(ir.name) || ir.args.some(mayFail)
    case 'bin':
      return (/^[<>]/.test(ir.sign) && ir.left.type.kind === 'any') || mayFail(ir.left) || mayFail(ir.right)
    case 'not':
      return mayFail(ir.of)
    default:
      return true
  }
}

const HANDLEBARS = new Set(
  (
    'default defined env file upper lower trim replace split join indent quote regex_match regex_replace b64encode b64decode ' +
    'hash json yaml from_json from_yaml first last keys values unique concat contains version_compare cidr_ip cidr_network ' +
    'cidr_netmask cidr_prefix cidr_contains sort flatten zip merge regex_find regex_find_all slice from_pairs'
  ).split(' '),
)

export function noHandlebars(what: string): Refused {
  return new Refused(
    `Handlebars has no ${what}`,
    'compute the value in vars: with !cel and use its name in the template',
  )
}

function quoted(text: string): string {
  if (!text.includes('"') && !text.endsWith('\\')) return `"${text}"`
  if (!text.includes("'") && !text.endsWith('\\')) return `'${text}'`
  throw noHandlebars('text with both kinds of quotes')
}

function segment(key: string): string {
  if (/^[A-Za-z_][\w-]*$/.test(key)) return key
  if (key.includes(']')) throw noHandlebars('key with a bracket')
  return `[${key}]`
}

/** `loop.index`, `loop.index0`, `loop.first` and `loop.last` of a template's loop. */
function loopName(key: Ir, outer: boolean): string {
  if (key.op === 'lit' && key.value === 'index') return outer ? 'add @index 1' : '(add @index 1)'
  const names: Record<string, string> = { index0: '@index', first: '@first', last: '@last' }
  const name = key.op === 'lit' ? names[String(key.value)] : undefined
  if (name === undefined) throw noHandlebars('such part of "loop"; it has @index, @first and @last')
  return name
}
