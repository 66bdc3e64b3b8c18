/** Filters that make a value of another kind: booleans, numbers, YAML, comments. */
import { bin, call, type Ir, isPath, lit, not, TRUE_WORDS } from './ir.ts'
import type { Args } from './jinja/ast.ts'
import { Refused } from './refused.ts'
import type { Translator } from './translate.ts'
import { ANY, BOOL, INT, STRING } from './types.ts'

/** `comment` of a text that is known (ansible-core: plugins/filter/core.py, comment). */
export function comment(t: Translator, of: Ir, args: Args): Ir {
  const { prefix, postfix, ...others } = args.named
  if (args.list.length > 0 || Object.keys(others).length > 0 || of.op !== 'lit' || typeof of.value !== 'string')
    throw new Refused('comment of something computed', 'write the comment')
  const [before, after] = [prefix, postfix].map((one) => (one ? t.constText(one, 'comment') : '#'))
  const body = of.value.replace(/^/gm, '# ')
  return lit(`${before ? `${before}\n` : ''}${body}\n${after}`)
}

/** What stands before the end of a line, which comes last in YAML. */
export function lineOf(of: Ir): Ir | undefined {
  return of.op === 'bin' && of.sign === '+' && of.right.op === 'lit' && of.right.value === '\n' ? of.left : undefined
}

/** `| bool` (ansible-core: plugins/filter/core.py, to_bool). */
export function toBool(of: Ir): Ir {
  // Who writes it expects that an inventory says "yes".
  if (of.type.kind === 'bool') return isPath(of) && !of.type.result ? call('bool', BOOL, of) : of
  if (of.op === 'lit') return lit(/^(yes|on|1|true)$/i.test(String(of.value)))
  if (of.op === 'cond') {
    const [yes, no] = [toBool(of.yes), toBool(of.no)]
    const isPlain = yes.op === 'lit' && no.op === 'lit' && yes.value !== no.value
    if (isPlain) return yes.value ? of.test : not(of.test)
    return { op: 'cond', test: of.test, yes, no, type: BOOL }
  }
  if (of.type.kind === 'int' && !isPath(of)) return bin('==', of, lit(1))
  if (of.type.kind !== 'int' && of.type.kind !== 'string' && of.type.kind !== 'any')
    throw new Refused(`bool of a ${of.type.kind}`, 'compare its size')
  const isText = of.type.kind === 'string' && (!isPath(of) || of.type.result)
  const text = isText ? of : call('string', STRING, { ...of, type: ANY } as Ir)
  return call('regex_match', BOOL, call('lower', STRING, text), lit(TRUE_WORDS))
}

/** A text that is no number is an error here and 0 in Jinja. */
export function toInt(of: Ir, args: Args): Ir {
  if (args.list.length > 0 || Object.keys(args.named).length > 0)
    throw new Refused('int with a default or base', 'write int(x)')
  // Who writes it expects that an inventory says "5".
  if (of.type.kind === 'int') return isPath(of) ? call('int', INT, of) : of
  if (of.type.kind === 'bool') return { op: 'cond', test: of, yes: lit(1), no: lit(0), type: INT }
  if (of.op === 'lit' && /^-?\d+$/.test(String(of.value))) return lit(Number(of.value))
  if (of.type.kind !== 'string' && of.type.kind !== 'any')
    throw new Refused(`int of a ${of.type.kind}`, 'write the number')
  return call('int', INT, of)
}

export function toYaml(t: Translator, of: Ir): Ir {
  t.env.note({ kind: 'layout' })
  // Ansible's ends with the end of a line.
  return bin('+', call('yaml', STRING, of), lit('\n'), STRING)
}
