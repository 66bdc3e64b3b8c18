/** Equal in Python, equal in CEL: what the types say about it. */
import { bin, type Ir, isPath, lit, not, type Table } from './ir.ts'
import { foundBy } from './operands.ts'
import { Refused } from './refused.ts'
import { ANY, join, listOf, STRING, type Type } from './types.ts'

export function sum(left: Type, right: Type): Type {
  if (left.kind === 'list' && right.kind === 'list')
    return { kind: 'list', of: left.of && right.of ? join(left.of, right.of) : (left.of ?? right.of) }
  if (left.kind === 'any') return right.kind === 'list' ? listOf(ANY) : right.kind === 'any' ? ANY : right
  return left
}

/** Never negative. */
export function isNatural(ir: Ir): boolean {
  if (ir.op === 'lit') return Number(ir.value) >= 0
  if (ir.op === 'call') return ir.name === 'size'
  return (
    ir.op === 'get' &&
    ir.type.kind === 'int' &&
    isPath(ir) &&
    /^(cpu|memory)$/.test(String((ir.of as { key?: { value?: unknown } }).key?.value))
  )
}

/** Systems of Ansible's that no host of ours can be. */
const NO_LINUX = /^(FreeBSD|OpenBSD|NetBSD|DragonFly|Darwin|MacOSX|SunOS|Solaris|AIX|HP-UX|Windows)$/

/** Distributions that belong to a family of another name, which is all that `os_family` ever says of them. */
const NO_FAMILY =
  /^(RHEL|Rocky|AlmaLinux|CentOS|Fedora|Oracle ?Linux|Amazon|Scientific|CloudLinux|openEuler|Ubuntu|Raspbian|Linux Mint|Kali|Devuan|SLES|SLED|openSUSE( Leap| Tumbleweed)|Manjaro)$/

/** Our words for one of Ansible's; none for what no host can be. Throws Refused when there is none. */
export function oursFor(table: Table, theirs: string): string[] {
  if (NO_LINUX.test(theirs) || ('redhat' in table && NO_FAMILY.test(theirs))) return []
  const ours = Object.entries(table).flatMap(([our, words]) => (words.includes(theirs) ? [our] : []))
  if (ours.length === 0)
    throw new Refused(`runbook has no name for "${theirs}"`, 'compare facts.os.id with the ID of /etc/os-release')
  return ours
}

export function equal(left: Ir, right: Ir): Ir {
  if (right.op === 'mapped' && left.op !== 'mapped') return equal(right, left)
  if (left.op === 'mapped' && right.op === 'lit' && typeof right.value === 'string') {
    const [ours, ...more] = oursFor(left.table, right.value).map(lit)
    if (!ours) return lit(false)
    if (more.length === 0) return bin('==', left.of, ours)
    return bin('in', left.of, { op: 'list', items: [ours, ...more], type: listOf(STRING) })
  }
  for (const [a, b] of [
    [left, right],
    [right, left],
  ] as const) {
    const found = b.op === 'lit' && b.value === null ? foundBy(a) : undefined
    if (found) return not(found)
    if (b.op === 'lit' && typeof b.value === 'boolean') {
      if (a.type.kind === 'bool') return b.value ? a : not(a)
      if (a.type.kind === 'any')
        return bin('in', a, { op: 'list', items: [b, lit(b.value ? 1 : 0)], type: listOf(ANY) })
      if (a.type.kind === 'int') throw new Refused('a number compared with true or false', 'compare it with 0 or 1')
    }
    // In Python 1 is True.
    if (a.type.kind === 'any' && b.op === 'lit' && (b.value === 0 || b.value === 1))
      return bin('in', a, { op: 'list', items: [b, lit(b.value === 1)], type: listOf(ANY) })
    if (a.type.kind === 'bool' && b.type.kind === 'int')
      throw new Refused('true or false compared with a number', 'take the number away')
  }
  const [a, b] = [left.type.kind, right.type.kind]
  for (const [one, other] of [
    [left, b],
    [right, a],
  ] as const) {
    if (one.op === 'cond' && one.type.kind === 'any' && /^(any|int|bool)$/.test(other))
      throw new Refused(
        'comparing what may be a boolean with a number: 1 is True in Python',
        'compare values of one type',
      )
  }
  // CEL refuses at once what can never be equal; Python says no.
  if (a !== b && a !== 'any' && b !== 'any' && a !== 'null' && b !== 'null') {
    throw new Refused(`${a} == ${b}, which is never true`, 'convert one side with int(…) or string(…)')
  }
  return bin('==', left, right)
}

/** `x in [a, b]` of unlike literals, one by one where it must be. */
export function anyOf(left: Ir, items: readonly Ir[]): Ir {
  if (items.length === 0) return lit(false)
  if (items.every((item) => item.op === 'lit' && typeof item.value === 'string') || left.type.kind !== 'bool')
    return bin('in', left, { op: 'list', items, type: listOf(items.map(({ type }) => type).reduce(join)) })
  return items.map((item) => equal(left, item)).reduce((a, b) => bin('||', a, b))
}
