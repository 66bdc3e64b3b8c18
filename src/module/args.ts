/** Argument types that many modules share. */
import { z } from 'zod'

/** A path on the host: absolute, without the characters that would make its reading ambiguous. */
export const path = z
  .string()
  .regex(/^\//, 'must be an absolute path')
  .regex(/^[^\0\n\\]*$/, 'may not hold a line break, a backslash or NUL')
  .transform((p) => (p.length > 1 ? p.replace(/\/+$/, '') || '/' : p))

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
  .regex(/^([0-7]{3,4}|0o[0-7]{3,4}|([ugoa]*[-+=][rwxXst]*,?)+)$/, "must be an octal string such as '0644'")

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
    if (c === 'u') clear |= 0o4000
    if (c === 'g') clear |= 0o2000
    for (const p of perms) {
      if (p === 'r') mask |= 4 << shift
      if (p === 'w') mask |= 2 << shift
      if (p === 'x' || (p === 'X' && (directory || (bits & 0o111) !== 0))) mask |= 1 << shift
      if (p === 's' && c === 'u') mask |= 0o4000
      if (p === 's' && c === 'g') mask |= 0o2000
      if (p === 't') mask |= 0o1000
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
  .union([z.string().regex(/^[^\s:]+$/, 'must be a name or a numeric id'), z.int().nonnegative()])
  .transform(String)

/** One or a list of something. */
export const list = <T extends z.ZodType>(item: T) =>
  z.union([item, z.array(item)]).transform((v) => (Array.isArray(v) ? v : [v]) as z.output<T>[])
