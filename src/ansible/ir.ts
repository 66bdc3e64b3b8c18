/** What CEL and Handlebars have in common: expressions with types, made from Jinja, printed as either. */
import { Refused } from './refused.ts'
import { ANY, BOOL, INT, listOf, MAP, STRING, type Type } from './types.ts'

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
  if (of.op === 'bin' && isSized(of)) return { ...of, sign: '==' }
  return { op: 'not', of, type: BOOL }
}

/** Whether Python takes a value, whose type nobody knows, for false. */
export function isEmpty(ir: Ir): Ir {
  const list: Ir = { op: 'list', items: [], type: listOf(ANY) }
  const items: Ir[] = [lit(''), lit(false), lit(0), list, { op: 'map', items: [], type: MAP }]
  return bin('in', ir, { op: 'list', items, type: listOf(ANY) })
}

/** `size(x) > 0`. */
export function isSized(ir: Ir): ir is Ir & { op: 'bin'; left: Ir & { op: 'call' } } {
  if (ir.op !== 'bin' || ir.left.op !== 'call' || ir.left.name !== 'size') return false
  return ir.sign === '>' && ir.right.op === 'lit' && ir.right.value === 0
}

/** A path that is written in the playbook: a variable and its entries. */
export function isPath(ir: Ir): boolean {
  return ir.op === 'var' || (ir.op === 'get' && isPath(ir.of))
}

/** The variable that a path begins with. */
export function rootOf(ir: Ir): string | undefined {
  return ir.op === 'var' ? ir.name : ir.op === 'get' ? rootOf(ir.of) : undefined
}

/** What Ansible's filter "bool" takes for true, in small letters (ansible-core: plugins/filter/core.py, to_bool). */
export const TRUE_WORDS = '^(yes|on|1|true)$'

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
      // Python's truth of what nobody knows.
      if (ir.name === 'truthy') return cel(not(isEmpty(first!)), level)
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
      if (ir.of.op === 'call' && ir.of.name === 'truthy') return cel(isEmpty(ir.of.args[0]!), level)
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
