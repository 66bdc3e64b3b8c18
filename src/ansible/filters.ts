/** Jinja's and Ansible's filters. The names of collections are taken off; what is not here is refused. */
import { IPV6, ipaddr, ipaddrOfIpaddr } from './addresses.ts'
import { comment, lineOf, toBool, toInt, toYaml } from './conversions.ts'
import { checkArguments } from './filter-arguments.ts'
import { bin, call, get, type Ir, isEmpty, isPath, lit, not } from './ir.ts'
import type { Args, Expr } from './jinja/ast.ts'
import { type Filter, filtered, isTrue, LIST_FILTERS, one } from './list-filters.ts'
import { refuseMessage } from './operands.ts'
import { Refused } from './refused.ts'
import { pythonRegex, pythonReplacement } from './regex.ts'
import { compareVersion, testOf } from './tests.ts'
import type { Translator } from './translate.ts'
import { ANY, BOOL, entryOf, FLOAT, INT, itemOf, join, listOf, MAP, STRING, STRINGS, type Type } from './types.ts'

const FILTERS: Readonly<Record<string, Filter>> = {
  ...LIST_FILTERS,
  default: defaultFilter,
  d: defaultFilter,
  mandatory: (_t, of) => of,
  bool: (_t, of) => toBool(of),
  int: (_t, of, args) => toInt(of, args),
  string: (t, of) => t.text(of),
  float: (_t, of) => {
    if (!/^(string|int|any)$/.test(of.type.kind)) throw new Refused(`float of a ${of.type.kind}`, 'write the number')
    return call('double', FLOAT, of)
  },
  length: sizeOf,
  count: sizeOf,
  lower: (t, of) => lowered(t, of),
  upper: (t, of) => call('upper', STRING, t.text(of)),
  trim: (t, of, args) => {
    if (args.list.length > 0) throw new Refused('trim of other characters', 'use regex_replace')
    return call('trim', STRING, t.text(lineOf(of) ?? of))
  },
  replace: (t, of, args) => {
    const [from, to, count] = args.list
    if (count || !from || !to) throw new Refused('replace with a count', 'use regex_replace')
    return call('replace', STRING, t.text(of), t.text(t.value(from)), t.text(t.value(to)))
  },
  split: (t, of, args) => splitBy(t, of, args.list[0], args.list.length),
  join: (t, of, args) => joined(t, of, args.list[0] ?? args.named.d),
  first: (_t, of) => {
    if (of.type.kind === 'list' || of.type.kind === 'any') return call('first', itemOf(of.type), of)
    throw new Refused('the first of what is no list', 'use a list')
  },
  last: (_t, of) => {
    if (of.type.kind === 'list' || of.type.kind === 'any') return call('last', itemOf(of.type), of)
    throw new Refused('the last of what is no list', 'use a list')
  },
  list: (_t, of) => {
    if (of.type.kind === 'list') return of
    if (of.type.kind === 'map') return call('keys', STRINGS, of)
    // Of `any` it is a list nearly always; CEL's operations on lists refuse all else when they run.
    if (of.type.kind === 'any' && isPath(of))
      throw new Refused('a list of nobody knows what', 'write the name alone if it is a list')
    return of
  },
  map: mapFilter,
  select: (t, of, args) => selecting(t, of, args, false, false),
  reject: (t, of, args) => selecting(t, of, args, true, false),
  selectattr: (t, of, args) => selecting(t, of, args, false, true),
  rejectattr: (t, of, args) => selecting(t, of, args, true, true),
  ternary: (t, _of, args, expr) => {
    const [yes, no] = args.list.map((arg) => t.value(arg))
    if (!yes || !no || args.list.length > 2) throw new Refused('ternary with a third value', 'write a ? b : c')
    return { op: 'cond', test: t.choice(expr.of), yes, no, type: join(yes.type, no.type) }
  },
  b64encode: (t, of) => call('b64encode', STRING, t.text(of)),
  b64decode: (t, of) => call('b64decode', STRING, t.text(of)),
  hash: (t, of, args) =>
    call('hash', STRING, t.text(of), lit(args.list[0] ? t.constText(args.list[0], 'hash') : 'sha1')),
  md5: (t, of) => call('hash', STRING, t.text(of), lit('md5')),
  sha1: (t, of) => call('hash', STRING, t.text(of), lit('sha1')),
  checksum: (t, of) => call('hash', STRING, t.text(of), lit('sha1')),
  quote: (t, of) => {
    if (of.type.kind !== 'string' && of.type.kind !== 'any')
      throw new Refused('quote of what may be no text', 'convert it with string(…)')
    t.env.note({ kind: 'layout' })
    return call('quote', STRING, t.text(of))
  },
  basename: (t, of) => call('last', STRING, call('split', STRINGS, t.text(of), lit('/'))),
  dirname: (t, of) => call('regex_replace', STRING, t.text(of), lit('^(/*)(?:([^]*[^/])/+)?[^/]*$'), lit('$1$2')),
  regex_replace: (t, of, args) => {
    const pattern = t.constText(args.list[0], 'regex_replace')
    const to = args.list[1] ? t.constText(args.list[1], 'regex_replace') : ''
    if (args.list.length > 2 || Object.keys(args.named).length > 0)
      throw new Refused('regex_replace with flags', 'use (?:…)')
    // Where the pattern can match nothing at all, both languages find other places.
    if (new RegExp(pythonRegex(pattern)).test(''))
      throw new Refused('a pattern that matches the empty text', 'anchor the pattern')
    return call(
      'regex_replace',
      STRING,
      t.text(of),
      lit(pythonRegex(pattern, of.type.result)),
      lit(pythonReplacement(to)),
    )
  },
  to_json: (t, of) => {
    if (of.type.kind !== 'string' && of.type.kind !== 'int' && of.type.kind !== 'bool') t.env.note({ kind: 'layout' })
    return call('json', STRING, of)
  },
  to_nice_json: (t, of) => {
    t.env.note({ kind: 'layout' })
    return call('json', STRING, of, lit(4))
  },
  to_yaml: toYaml,
  to_nice_yaml: toYaml,
  from_json: (t, of) => call('from_json', ANY, t.text(of)),
  from_yaml: (t, of) => call('from_yaml', ANY, t.text(of)),
  indent: (t, of, args) => {
    const width = args.list[0] ? t.value(args.list[0]) : lit(4)
    const line = lineOf(of)
    const indented = call('indent', STRING, t.text(line ?? of), width)
    const rest = line ? bin('+', indented, lit('\n'), STRING) : indented
    const first = args.list[1] ?? args.named.first
    if (!first || (first.op === 'const' && first.value === false)) return rest
    if (!isTrue(first) || width.op !== 'lit' || typeof width.value !== 'number')
      throw new Refused('indent with a computed "first"', 'indent in the template')
    return bin('+', lit(' '.repeat(width.value)), rest, STRING)
  },
  regex_search: (t, of, args) => {
    const [pattern, ...groups] = args.list
    const made = lit(pythonRegex(t.constText(pattern, 'regex_search'), of.type.result))
    const found = (...group: Ir[]): Ir => call('regex_find', STRING, t.text(of), made, ...group)
    if (groups.length === 0) return found()
    // A list of the groups that are named.
    const items = groups.map((group) => {
      const number = /^\\+(\d)$/.exec(t.constText(group, 'regex_search'))?.[1]
      if (number === undefined) throw new Refused('regex_search with other than numbers of groups', 'use regex_find')
      return found(lit(Number(number)))
    })
    return { op: 'list', items, type: STRINGS }
  },
  regex_findall: (t, of, args) => {
    const [pattern, ...more] = args.list
    const { multiline, ignorecase, ...others } = args.named
    const flags = [
      [multiline, 'm'],
      [ignorecase, 'i'],
    ] as const
    if (more.length > 0 || Object.keys(others).length > 0 || flags.some(([one]) => one && !isTrue(one)))
      throw new Refused('regex_findall with computed flags', 'use regex_find_all(text, pattern)')
    const words = flags.flatMap(([one, letter]) => (one ? [letter] : [])).join('')
    const given = t.constText(pattern, 'regex_findall')
    const made = pythonRegex(words === '' ? given : `(?${words})${given}`, multiline !== undefined || of.type.result)
    if (new RegExp(made).test('')) throw new Refused('a pattern that matches the empty text', 'anchor the pattern')
    const groups = new RegExp(`${made}|`).exec('')!.length - 1
    return call('regex_find_all', listOf(groups > 1 ? STRINGS : STRING), t.text(of), lit(made))
  },
  comment: (t, of, args) => comment(t, of, args),
  ipwrap: (t, of) => call('regex_replace', STRING, t.text(of), lit(IPV6), lit('[$1]$2')),
  ipaddr: (t, of, args) => ipaddr(t, of, args),
  nthhost: (t, of, args) => call('cidr_ip', STRING, of, one(t, args)),
}

/** Filters that look into a text. */
const TEXT_FILTERS = /^(regex_\w+|length|count|split|bool|int|from_json|from_yaml|ternary)$/

/** Throws Refused. */
export function applyFilter(t: Translator, expr: Expr & { op: 'filter' }): Ir {
  const name = expr.name.replace(/^(ansible\.(builtin|utils|netcommon)|community\.general)\./, '')
  const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name]! : undefined
  if (name === 'version' || name === 'version_compare') return compareVersion(t, t.value(expr.of), expr.args)
  if (TEXT_FILTERS.test(name)) refuseMessage(t.value(expr.of))
  if (!filter) throw new Refused(`the filter "${expr.name}"`, 'see docs/helpers.md for what there is')
  checkArguments(name, expr.args)
  const cidr = ipaddrOfIpaddr(t, expr)
  return cidr ?? filter(t, t.value(expr.of), expr.args, expr)
}

/** `default`: Jinja's is for what is not defined; with a second `true`, for all that counts as false. */
function defaultFilter(t: Translator, of: Ir, args: Args): Ir {
  const fallback = args.list[0] ? t.value(args.list[0]) : lit('')
  const isBoolean = args.list[1] ?? args.named.boolean
  if (Object.keys(args.named).some((name) => name !== 'boolean') || args.list.length > 2)
    throw new Refused('default with other arguments', 'write default(a, b)')
  // `a | default(b | default(c))` and `(a | default(b)).x` are what they say; all else is always defined.
  const isDefault = of.op === 'call' && of.name === 'default'
  if (!isPath(of) && !isDefault && of.op !== 'cond') return isBoolean ? orElse(t, of, of, fallback) : of
  if (isOutput(of)) return orDefault(of, fallback)
  const { nullable: _, ...plain } = of.type
  const type = join(plain, fallback.type)
  if (isBoolean && !(isBoolean.op === 'const' && isBoolean.value === false)) {
    const given = isPath(of) ? call('default', type, of, emptyLike(of.type)) : of
    return orElse(t, given, of, fallback)
  }
  // Python's None is a value; null here counts as not there.
  if (of.type.nullable || of.type.kind === 'null')
    throw new Refused(
      'default of what may be null, which stays null in Python',
      'write default(a, b) if null should get the default too',
    )
  if (of.op === 'cond') return of
  return isDefault ? chained(of, fallback) : orDefault(of, fallback)
}

/** `a | default(b) | default(c)`: the last one counts where b, too, is not there. */
function chained(of: Ir & { op: 'call' }, fallback: Ir): Ir {
  const [first, second] = of.args as [Ir, Ir]
  const isDefault = second.op === 'call' && second.name === 'default'
  if (!isDefault && !isPath(second)) return of
  const rest = isDefault ? chained(second, fallback) : orDefault(second, fallback)
  return call('default', join(of.type, rest.type), first, rest)
}

/** What a command gave, not the whole of its result. A skipped one gave nothing in Ansible, and empty texts here. */
function isOutput(of: Ir): of is Ir & { op: 'get' } {
  return of.op === 'get' && of.type.result === true && of.type.kind !== 'map'
}

/** A path, or what counts where it is not there. */
export function orDefault(of: Ir, fallback: Ir): Ir {
  const { nullable: _, ...plain } = of.type
  const type = join(plain, fallback.type)
  if (isOutput(of)) return { op: 'cond', test: get(of.of, 'skipped', BOOL), yes: fallback, no: of, type }
  return call('default', type, of, fallback)
}

function emptyLike({ kind }: Type): Ir {
  if (kind === 'list') return { op: 'list', items: [], type: listOf(ANY) }
  if (kind === 'map') return { op: 'map', items: [], type: MAP }
  return lit(kind === 'int' ? 0 : kind === 'bool' ? false : '')
}

function orElse(t: Translator, given: Ir, of: Ir, fallback: Ir): Ir {
  if (of.type.kind === 'any' || (isPath(of) && !of.type.result)) {
    // Everything that Python takes for false, of whatever type the default is.
    const given = isPath(of) ? call('default', ANY, of, lit('')) : of
    const { nullable: _, ...plain } = of.type
    return { op: 'cond', test: isEmpty(given), yes: fallback, no: of, type: join(plain, fallback.type) }
  }
  const { nullable: _, ...plain } = given.type
  return {
    op: 'cond',
    test: t.truth({ ...given, type: plain } as Ir),
    yes: isPath(of) ? of : given,
    no: fallback,
    type: join(plain, fallback.type),
  }
}

function sizeOf(_t: Translator, of: Ir): Ir {
  if (!['string', 'list', 'map', 'any'].includes(of.type.kind))
    throw new Refused(`length of a ${of.type.kind}`, 'mend the expression')
  return call('size', INT, of)
}

function lowered(t: Translator, of: Ir): Ir {
  if (of.op === 'mapped') {
    const table = Object.fromEntries(
      Object.entries(of.table).map(([ours, theirs]) => [ours, theirs.map((one) => one.toLowerCase())]),
    )
    return { ...of, table }
  }
  // Python prints True, then small letters: the same as ours.
  if (of.type.kind === 'bool') return call('string', STRING, of)
  return call('lower', STRING, t.text(of))
}

export function splitBy(t: Translator, of: Ir, by: Expr | undefined, count: number): Ir {
  if (count > 1) throw new Refused('split with a limit', 'use regex_find')
  return by ? call('split', STRINGS, t.text(of), t.value(by)) : call('split', STRINGS, t.text(of))
}

export function joined(t: Translator, of: Ir, by: Expr | undefined): Ir {
  const separator = by ? t.value(by) : lit('')
  // Where a variable may be a text or a list, it is joined where it is a list; join of a text is an error.
  if (of.type.kind === 'string' && !isPath(of))
    throw new Refused('join of a text, letter by letter', 'mend the expression')
  const { kind } = itemOf(of.type)
  if (kind === 'string' || kind === 'int' || kind === 'any') return call('join', STRING, of, separator)
  throw new Refused(`join of a list of ${kind}`, 'make texts of them first')
}

function selecting(t: Translator, of: Ir, args: Args, reject: boolean, byAttribute: boolean): Ir {
  const [first, ...rest] = args.list
  const attribute = byAttribute ? t.constText(first, 'selectattr') : undefined
  const [name, ...more] = byAttribute ? rest : args.list
  return filtered(t, of, (item) => {
    const path = attribute?.split('.') ?? []
    const subject = path.reduce<Ir>(known, item)
    const inner = t.with([['item of select', item]])
    const test = name
      ? testOf(inner, subject, t.constText(name, 'a test'), { list: more, named: {} })
      : t.truth(subject)
    return reject ? not(test) : test
  })
}

function mapFilter(t: Translator, of: Ir, args: Args): Ir {
  const item = t.freshName()
  const self: Ir = { op: 'var', name: item, local: true, type: itemOf(of.type) }
  const make = (body: Ir): Ir => ({ op: 'macro', name: 'map', of, item, body, type: listOf(body.type) })
  if (args.named.attribute) {
    const path = t.constText(args.named.attribute, 'map').split('.')
    if (path.some((key) => /^\d/.test(key))) throw new Refused('map of an index', 'write list.map(i, i[0])')
    const value = path.reduce<Ir>(known, self)
    return make(args.named.default ? call('default', ANY, value, t.value(args.named.default)) : value)
  }
  const [name, ...rest] = args.list
  const filter = t.constText(name, 'map')
  const inner = t.with([[item, self]])
  if (filter !== 'extract')
    return make(
      applyFilter(inner, {
        op: 'filter',
        of: { op: 'name', name: item },
        name: filter,
        args: { list: rest, named: args.named },
      }),
    )
  const [container, path = args.named.morekeys, ...more] = rest
  if (!container || more.length > 0) throw new Refused('extract with other arguments', 'write list.map(i, x[i])')
  let value: Expr = { op: 'item', of: container, key: { op: 'name', name: item } }
  const keys = path ? (path.op === 'list' || path.op === 'tuple' ? path.items : [path]) : []
  for (const key of keys) value = { op: 'item', of: value, key }
  return make(inner.value(value))
}

/** An entry of an item. Throws Refused for one that is not here. */
function known(at: Ir, key: string): Ir {
  if (at.type.closed && !at.type.entries?.[key])
    throw new Refused(`"${key}" of ${at.type.closed}`, 'read it with command')
  return get(at, key, entryOf(at.type, key))
}
