/** What CEL and Handlebars have in common: expressions with types, made from Jinja, printed as either. */
import { Refused } from './refused.ts'
import { ANY, BOOL, INT, STRING, type Type } from './types.ts'

export type Sign = '&&' | '||' | '==' | '!=' | '<' | '<=' | '>' | '>=' | '+' | '-' | '*' | '/' | '%' | 'in'

export type Ir = { readonly type: Type } & (
  | { readonly op: 'lit'; readonly value: string | number | boolean | null }
  /** A variable; `local` ones are declared by a loop of the template or a macro. */
  | { readonly op: 'var'; readonly name: string; readonly local?: boolean | undefined }
  | { readonly op: 'get'; readonly of: Ir; readonly key: Ir }
  | { readonly op: 'call'; readonly name: string; readonly args: readonly Ir[] }
  | { readonly op: 'bin'; readonly sign: Sign; readonly left: Ir; readonly right: Ir }
  | { readonly op: 'not'; readonly of: Ir }
  | { readonly op: 'cond'; readonly test: Ir; readonly yes: Ir; readonly no: Ir }
  | { readonly op: 'list'; readonly items: readonly Ir[] }
  | { readonly op: 'map'; readonly items: readonly (readonly [string, Ir])[] }
  | {
      readonly op: 'macro'
      readonly name: 'map' | 'filter' | 'exists' | 'all'
      readonly of: Ir
      readonly item: string
      readonly body: Ir
    }
  /** One of our names for what Ansible calls otherwise: `debian` for `Debian`. */
  | { readonly op: 'mapped'; readonly of: Ir; readonly table: Table }
)

/** Our word to Ansible's words for it, the usual one first. */
export type Table = Readonly<Record<string, readonly string[]>>

export const lit = (value: string | number | boolean | null): Ir => ({
  op: 'lit',
  value,
  type:
    typeof value === 'string'
      ? STRING
      : typeof value === 'boolean'
        ? BOOL
        : value === null
          ? { kind: 'null' }
          : Number.isInteger(value)
            ? INT
            : { kind: 'float' },
})
export const call = (name: string, type: Type, ...args: readonly Ir[]): Ir => ({ op: 'call', name, args, type })
export const bin = (sign: Sign, left: Ir, right: Ir, type: Type = BOOL): Ir => ({ op: 'bin', sign, left, right, type })
export const get = (of: Ir, key: Ir | string, type: Type = ANY): Ir => ({
  op: 'get',
  of,
  key: typeof key === 'string' ? lit(key) : key,
  type,
})
export const variable = (name: string, type: Type = ANY): Ir => ({ op: 'var', name, type })

export function not(of: Ir): Ir {
  if (of.op === 'not') return of.of
  if (of.op === 'lit' && typeof of.value === 'boolean') return lit(!of.value)
  if (of.op === 'bin' && (of.sign === '==' || of.sign === '!=')) return { ...of, sign: of.sign === '==' ? '!=' : '==' }
  return { op: 'not', of, type: BOOL }
}

/** A path that is written in the playbook: a variable and its entries. */
export function isPath(ir: Ir): boolean {
  return ir.op === 'var' || (ir.op === 'get' && isPath(ir.of))
}

/** The variable that a path begins with. */
export function rootOf(ir: Ir): string | undefined {
  return ir.op === 'var' ? ir.name : ir.op === 'get' ? rootOf(ir.of) : undefined
}

const LEVEL: Readonly<Record<Sign, number>> = {
  '||': 2,
  '&&': 3,
  '==': 4,
  '!=': 4,
  '<': 4,
  '<=': 4,
  '>': 4,
  '>=': 4,
  in: 4,
  '+': 5,
  '-': 5,
  '*': 6,
  '/': 6,
  '%': 6,
}

/** Methods of CEL itself: written `of.name(args)`. */
const METHODS = ['startsWith', 'endsWith']

/** Words that CEL keeps for itself; `a.in` must be written `a["in"]` (CEL's specification, lexis). */
const RESERVED =
  /^(as|break|const|continue|else|false|for|function|if|import|in|let|loop|package|namespace|null|return|true|var|void|while)$/

/** As a CEL expression. */
export function printCel(ir: Ir): string {
  return cel(ir, 0)
}

function cel(ir: Ir, level: number): string {
  const wrap = (own: number, text: string): string => (own < level ? `(${text})` : text)
  switch (ir.op) {
    case 'lit':
      return literal(ir.value)
    case 'var':
      if (RESERVED.test(ir.name)) throw new Refused(`"${ir.name}" cannot be a variable in CEL`, 'rename the variable')
      return ir.name
    case 'get': {
      const of = cel(ir.of, 8)
      const { key } = ir
      if (
        key.op === 'lit' &&
        typeof key.value === 'string' &&
        /^[A-Za-z_]\w*$/.test(key.value) &&
        !RESERVED.test(key.value)
      )
        return `${of}.${key.value}`
      return `${of}[${cel(key, 0)}]`
    }
    case 'call': {
      const [first, ...rest] = ir.args
      if (METHODS.includes(ir.name)) return `${cel(first!, 8)}.${ir.name}(${rest.map((arg) => cel(arg, 0)).join(', ')})`
      return `${ir.name}(${ir.args.map((arg) => cel(arg, 0)).join(', ')})`
    }
    case 'bin': {
      const own = LEVEL[ir.sign]
      // CEL's comparisons could be chained, which nobody reads right: parentheses on both sides.
      const both = own === 4 ? own + 1 : own
      return wrap(own, `${cel(ir.left, both)} ${ir.sign} ${cel(ir.right, own + 1)}`)
    }
    case 'not':
      return wrap(7, `!${cel(ir.of, 7)}`)
    case 'cond':
      // The checker wants one type of both, unless told that it cannot know.
      if (isUnlike(ir.yes.type, ir.no.type))
        return wrap(1, `${cel(ir.test, 2)} ? dyn(${cel(ir.yes, 0)}) : dyn(${cel(ir.no, 0)})`)
      return wrap(1, `${cel(ir.test, 2)} ? ${cel(ir.yes, 2)} : ${cel(ir.no, 1)}`)
    case 'list':
      return `[${ir.items.map((item) => cel(item, 0)).join(', ')}]`
    case 'map':
      return `{${ir.items.map(([key, value]) => `${literal(key)}: ${cel(value, 0)}`).join(', ')}}`
    case 'macro':
      return `${cel(ir.of, 8)}.${ir.name}(${ir.item}, ${cel(ir.body, 0)})`
    case 'mapped':
      return `{${Object.entries(ir.table)
        .map(([ours, [theirs]]) => `${literal(ours)}: ${literal(theirs!)}`)
        .join(', ')}}[${cel(ir.of, 0)}]`
  }
}

function isUnlike(a: Type, b: Type): boolean {
  return a.kind !== b.kind && a.kind !== 'any' && b.kind !== 'any'
}

function literal(value: string | number | boolean | null): string {
  if (typeof value !== 'string') return String(value)
  return JSON.stringify(value).replace(/\u007f/g, '\\u007f')
}

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
      if (ir.name === 'size') return helper('length', ...ir.args)
      if (ir.name === 'string' || ir.name === 'type') return helper(ir.name, ...ir.args)
      if (/^(default|defined)$/.test(ir.name) && isComputed(ir.args[0]!)) {
        const { of, key } = ir.args[0] as Ir & { op: 'get' }
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
