/**
 * What is known of the types of variables before anything runs: from literals in defaults, vars and tasks. Truth, printing
 * and comparing differ between Python and CEL by type, so the rewriting needs them; `any` is what nobody has said.
 */

export interface Type {
  readonly kind: 'any' | 'bool' | 'int' | 'float' | 'string' | 'null' | 'list' | 'map'
  /** Of a list's items, or of a map's entries when all are alike. */
  readonly of?: Type | undefined
  /** Of a map's entries. */
  readonly entries?: Readonly<Record<string, Type>> | undefined
  /** Another source gives null. */
  readonly nullable?: boolean | undefined
  /** The result of a command that may have been skipped: Ansible leaves its output out then, runbook has "". */
  readonly result?: boolean | undefined
  /** A map that has no other entries here than those: whose it is. */
  readonly closed?: string | undefined
  /** `msg` of a result: Ansible's modules say it in other words than ours. */
  readonly message?: boolean | undefined
}

export const ANY: Type = { kind: 'any' }
export const BOOL: Type = { kind: 'bool' }
export const INT: Type = { kind: 'int' }
export const FLOAT: Type = { kind: 'float' }
export const STRING: Type = { kind: 'string' }
export const NULL: Type = { kind: 'null' }
export const MAP: Type = { kind: 'map' }
export const STRINGS: Type = { kind: 'list', of: STRING }

export function listOf(of: Type): Type {
  return { kind: 'list', of }
}

/** What both can be; null beside another type makes that one nullable. */
export function join(a: Type | undefined, b: Type | undefined): Type {
  if (!a || !b) return a ?? b ?? ANY
  if (a.kind === 'null' && b.kind !== 'any') return { ...b, nullable: true }
  if (b.kind === 'null' && a.kind !== 'any') return { ...a, nullable: true }
  if (a.kind !== b.kind) return ANY
  const nullable = a.nullable || b.nullable || undefined
  if (a.kind === 'list') return { kind: 'list', of: a.of && b.of ? join(a.of, b.of) : undefined, nullable }
  if (a.kind === 'map') {
    if (!a.entries || !b.entries) return { kind: 'map', nullable }
    const names = new Set([...Object.keys(a.entries), ...Object.keys(b.entries)])
    const entries = Object.fromEntries([...names].map((name) => [name, join(a.entries![name], b.entries![name])]))
    return { kind: 'map', entries, nullable }
  }
  return nullable ? { ...a, nullable } : a
}

/** The type of plain data; strings with Jinja in them are `any`. */
export function typeOfData(value: unknown, isTemplate: (text: string) => boolean): Type {
  switch (typeof value) {
    case 'string':
      return isTemplate(value) ? ANY : STRING
    case 'boolean':
      return BOOL
    case 'number':
    case 'bigint':
      return Number.isInteger(Number(value)) ? INT : FLOAT
    default:
  }
  if (value === null || value === undefined) return NULL
  if (Array.isArray(value)) {
    const types = value.map((item) => typeOfData(item, isTemplate))
    return { kind: 'list', of: types.length === 0 ? undefined : types.reduce(join) }
  }
  if (typeof value !== 'object') return ANY
  const entries = Object.entries(value).map(([name, one]) => [name, typeOfData(one, isTemplate)])
  return { kind: 'map', entries: Object.fromEntries(entries) }
}

export function entryOf(type: Type, key: string): Type {
  if (type.kind === 'map' && type.entries && Object.hasOwn(type.entries, key)) return orAnything(type.entries[key]!)
  return orAnything((type.kind === 'map' && type.of) || ANY)
}

export function itemOf(type: Type): Type {
  return (type.kind === 'list' || type.kind === 'map') && type.of ? orAnything(type.of) : ANY
}

/** A default of null says that an inventory may give a value, not of which type. */
export function orAnything(type: Type): Type {
  return type.kind === 'null' ? { ...ANY, nullable: true } : type
}

const RESULT = { changed: BOOL, failed: BOOL, skipped: BOOL, msg: { ...STRING, message: true } }

const COMMAND: Type = {
  kind: 'map',
  result: true,
  entries: {
    ...RESULT,
    rc: { ...INT, result: true },
    stdout: { ...STRING, result: true },
    stderr: { ...STRING, result: true },
    stdout_lines: { ...STRINGS, result: true },
    stderr_lines: { ...STRINGS, result: true },
  },
}

const STAT: Type = {
  kind: 'map',
  entries: {
    exists: BOOL,
    isdir: BOOL,
    isreg: BOOL,
    islnk: BOOL,
    mode: STRING,
    pw_name: STRING,
    gr_name: STRING,
    path: STRING,
    size: INT,
    uid: INT,
    gid: INT,
    lnk_target: STRING,
    lnk_source: STRING,
    readable: BOOL,
    writeable: BOOL,
    executable: BOOL,
  },
}

/** What a module's `register` gets; `looped` ones have a list of them. */
export function resultType(module: string, looped: boolean): Type {
  const one = oneResult(module)
  if (!looped) return one
  const ofItem: Type = { ...one, entries: { ...one.entries, item: ANY } }
  return { kind: 'map', entries: { ...RESULT, results: listOf(ofItem) } }
}

function oneResult(module: string): Type {
  if (/^(command|shell|raw|script)$/.test(module)) return COMMAND
  if (module === 'stat') return { kind: 'map', entries: { ...RESULT, stat: STAT } }
  if (/^(debug|fail|assert)$/.test(module)) return { kind: 'map', entries: { ...RESULT, msg: STRING } }
  if (module === 'slurp') return { kind: 'map', entries: { ...RESULT, content: STRING } }
  if (module === 'uri') return { kind: 'map', entries: { ...RESULT, status: INT, content: STRING } }
  if (module === 'find') {
    const file: Type = { kind: 'map', entries: { path: STRING, mode: STRING, size: INT } }
    return { kind: 'map', entries: { ...RESULT, matched: INT, files: listOf(file) } }
  }
  return { kind: 'map', entries: RESULT }
}
