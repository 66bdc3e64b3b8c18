/** Argument types that many modules share. */
import { z } from 'zod'
import { splitWords } from '../shared/quote.ts'
import { Pattern } from '../shared/time-limit.ts'

const rawPath = z
  .string()
  .regex(/^\//, 'must be an absolute path')
  .regex(/^[^\0\n\\]*$/, 'may not hold a line break, a backslash or NUL')

const trim = (p: string): string => (p.length > 1 ? p.replace(/\/+$/, '') || '/' : p).replace(/\/{2,}/g, '/')

/** A path on the host: absolute, without the characters that would make its reading ambiguous. */
export const path = rawPath.transform(trim)

/** A path where something is put: a slash at its end says that it is a folder, to put it into. */
export const target = rawPath.transform((p) => ({ path: trim(p), intoFolder: p.endsWith('/') }))

/**
 * Permission bits as an octal string ('0644') or in chmod's symbolic form ('u=rw,go=r', 'u+x'). A number is refused: YAML
 * would already have read 0644 as a decimal number.
 */
export const mode = z
  .string({
    error: (issue) =>
      typeof issue.input === 'number'
        ? "must be a quoted string: without quotes YAML 1.2 reads 0644 as the number 644. Write mode: '0644'"
        : undefined,
  })
  .regex(
    /^([0-7]{3,4}|0o[0-7]{3,4}|[ugoa]*([-+=][rwxXst]*)+(,[ugoa]*([-+=][rwxXst]*)+)*)$/,
    "must be an octal string such as '0644', or symbolic as 'u=rw,go=r'",
  )

/**
 * The permission bits that a `mode` asks for, given those that are there (chmod(1)); `umask`-less: `a` is meant when no
 * class is named.
 */
export function applyMode(wanted: string, current: number, directory: boolean): number {
  if (/^(0o)?[0-7]+$/.test(wanted)) return Number.parseInt(wanted.replace('0o', ''), 8)
  let bits = current
  for (const clause of wanted.split(',')) {
    const m = /^([ugoa]*)(.*)$/.exec(clause)!
    const classes = m[1] === '' || m[1]!.includes('a') ? 'ugo' : m[1]!
    for (const [, op, perms] of m[2]!.matchAll(/([-+=])([rwxXst]*)/g))
      bits = applyClause(bits, classes, op!, perms!, directory)
  }
  return bits
}

function applyClause(bits: number, classes: string, op: string, perms: string, directory: boolean): number {
  let mask = 0
  let clear = 0
  for (const c of classes) {
    const shift = c === 'u' ? 6 : c === 'g' ? 3 : 0
    clear |= 0o7 << shift
    // As GNU chmod does it, `=` leaves these bits of a folder alone.
    if (c === 'u' && !directory) clear |= 0o4000
    if (c === 'g' && !directory) clear |= 0o2000
    if (c === 'o') clear |= 0o1000
    for (const p of perms) {
      if (p === 'r') mask |= 4 << shift
      if (p === 'w') mask |= 2 << shift
      if (p === 'x' || (p === 'X' && (directory || (bits & 0o111) !== 0))) mask |= 1 << shift
      if (p === 's' && c === 'u') mask |= 0o4000
      if (p === 's' && c === 'g') mask |= 0o2000
      if (p === 't' && c === 'o') mask |= 0o1000
    }
  }
  if (op === '+') return bits | mask
  if (op === '-') return bits & ~mask
  return (bits & ~clear) | mask
}

/** A boolean. YAML 1.2 knows true and false; `yes` and `no` are strings there, and refused with that word. */
export const boolean = z.boolean({
  error: (issue) =>
    typeof issue.input === 'string' && /^(yes|no|on|off)$/i.test(issue.input)
      ? `must be true or false (in YAML 1.2 ${issue.input} is a string)`
      : undefined,
})

/** A user or group name, or an id. */
export const principal = z
  .union([z.string().regex(/^[^\s:/-]([^:/\n]*[^\s:/])?$/, 'must be a name or a numeric id'), z.int().nonnegative()])
  .transform(String)

/** The name of a user or group that can be made: useradd(8), with capitals, which many sites have. */
export const accountName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$/, 'must be a name of letters, digits, `_`, `-`, `.`, at most 32')

/** A command line, split into words as a shell would without expanding anything. */
export const words = z.string().transform((line, ctx) => {
  const parts = splitWords(line)
  if (parts?.[0]) return parts
  ctx.addIssue({ code: 'custom', message: parts ? 'is empty' : 'has a quote that is not closed', input: line })
  return z.NEVER
})

/**
 * A regular expression in JavaScript's syntax. Python's `(?P<name>…)` and a leading `(?i)` are understood, and `\\Z`, for
 * playbooks that were written for Ansible. A match that takes seconds is a failure.
 */
export const regexp = z.string().transform((source, ctx) => {
  const [, flags = '', rest = ''] = /^(?:\(\?([ims]+)\))?(.*)$/s.exec(source)!
  try {
    return new Pattern(rest.replaceAll('(?P<', '(?<').replaceAll('\\Z', '$'), flags)
  } catch (error) {
    ctx.addIssue({ code: 'custom', message: (error as Error).message, input: source })
    return z.NEVER
  }
})

/** One or a list of something. */
export const list = <T extends z.ZodType>(item: T) =>
  z.union([item, z.array(item)]).transform((v) => (Array.isArray(v) ? v : [v]) as z.output<T>[])

/** Owner, group and permissions, the same for all modules that write files: spread into their schema. */
export const attributes = {
  owner: principal.optional().describe('user name or id; absent: as it is, for a new file the task’s user'),
  group: principal.optional().describe('group name or id'),
  mode: mode.optional().describe("permissions as '0644' or symbolic as 'u=rw,go=r'; absent: as they are"),
}

/** The file that a module edits; `path` and `dest` say the same. Goes with `onePath`. */
export const editedPath = {
  path: path.optional().describe('the file'),
  dest: path.optional().describe('the same as `path`'),
}

/** How a file gets its new content. */
export const replacing = {
  validate: z
    .string()
    .includes('%s')
    .optional()
    .describe('a command that must accept the new file before it replaces the old one; %s is its path'),
  backup: boolean.default(false).describe('keep the old file beside the new one'),
}

/** Exactly one of `path` and `dest`, as `path`. */
export function onePath<A extends { path?: string | undefined; dest?: string | undefined }>(
  { path, dest, ...rest }: A,
  context: z.RefinementCtx,
): Omit<A, 'path' | 'dest'> & { path: string } {
  if ((path === undefined) === (dest === undefined)) context.addIssue({ code: 'custom', message: 'give `path`' })
  return { ...rest, path: (path ?? dest)! }
}

/** A URL to fetch from, in the form that goes over the wire. */
export const url = z.string().transform((text, ctx) => {
  const parsed = URL.parse(text)
  const problem =
    !parsed || !/^(https?|ftp):$/.test(parsed.protocol)
      ? 'must be a http, https or ftp URL'
      : parsed.username || parsed.password
        ? 'may not hold a user or password, which other users of the host would see; use url_username and url_password'
        : undefined
  if (!problem) return parsed!.href
  ctx.addIssue({ code: 'custom', message: problem, input: text })
  return z.NEVER
})

/** Seconds; a fraction is fine. */
export const seconds = z.number().nonnegative()

/** Text that goes through `printf`: no NUL, which no shell word can hold. */
export const text = z.string().regex(/^[^\0]*$/, 'may not hold a NUL byte')

/**
 * An argument that is a CEL expression over the host's variables. The playbook gives a string (or a boolean, which stands
 * for itself); the loader compiles it where it finds the marker `cel: true` (see celArguments), and the engine puts
 * `{source, value}` in its place before the schema sees it. In a list each string is an expression.
 */
export const expression = z.object({ source: z.string(), value: z.unknown() }).meta({ cel: true })

/** An expression that must be a boolean. */
export const condition = z.object({ source: z.string(), value: z.boolean() }).meta({ cel: true })

/** The names of a module's arguments that are expressions, or lists of them. */
export function celArguments(schema: z.ZodType): string[] {
  const shape = objectShape(schema)
  return Object.keys(shape).filter((name) => isCel(shape[name]!))
}

/** zod keeps wrapped schemas under these names. */
interface Inner {
  readonly type: string
  readonly shape?: Record<string, z.ZodType>
  readonly innerType?: z.ZodType
  readonly in?: z.ZodType
  readonly element?: z.ZodType
  readonly options?: readonly z.ZodType[]
}

const inner = (schema: z.ZodType): Inner => schema.def as unknown as Inner

function objectShape(schema: z.ZodType): Record<string, z.ZodType> {
  const { shape, innerType, in: source } = inner(schema)
  if (shape) return shape
  const next = innerType ?? source
  return next ? objectShape(next) : {}
}

function isCel(schema: z.ZodType): boolean {
  if (schema.meta()?.cel === true) return true
  const { innerType, in: source, element, options } = inner(schema)
  return [innerType, source, element, ...(options ?? [])].some((s) => s !== undefined && isCel(s))
}
