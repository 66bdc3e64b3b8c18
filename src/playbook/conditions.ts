/** Conditions: CEL expressions; Jinja's are recognised and rewritten in the error's hint where that is mechanical. */
import { UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import type { YamlNode } from '../shared/yaml.ts'
import { compileExpression, type Expression } from '../values/index.ts'

/** A string is an expression, a boolean stands for itself; undefined for anything else. Throws UserError. */
export function readCondition(node: YamlNode): Expression | undefined {
  if (node.kind !== 'scalar' || (typeof node.value !== 'string' && typeof node.value !== 'boolean')) return undefined
  const text = String(node.value)
  try {
    if (text.trim() === '') throw new UserError({ message: 'the condition is empty', place: node.place })
    return compileExpression(text, node.place)
  } catch (error) {
    if (!(error instanceof UserError) || !JINJA.test(withoutStrings(text))) throw error
    throw jinjaError(text, node.place)
  }
}

/** Outside strings: braces, a filter, a test, a word operator. */
const JINJA = /\{\{|\{%|\bis\s+(not\s+)?\w|(^|[^|])\|([^|]|$)|\b(and|or|not|None)\b/

function jinjaError(text: string, place: Place): UserError {
  const cel = celFromJinja(text)
  const braces = text.includes('{{')
  return new UserError({
    message: braces
      ? 'a condition is an expression already and takes no "{{ }}"'
      : 'this looks like Jinja: conditions are CEL expressions',
    place,
    hint:
      cel !== undefined && compiles(cel, place)
        ? `write ${cel}`
        : 'CEL has &&, ||, !, ==, in, defined(x), size(x), x.startsWith("…"), x.matches("…")',
  })
}

function compiles(text: string, place: Place): boolean {
  try {
    compileExpression(text, place)
    return true
  } catch (error) {
    if (error instanceof UserError) return false
    throw error
  }
}

const PATH = String.raw`[A-Za-z_][\w.]*(?:\[[^\]]*\])*`

const RULES: readonly (readonly [RegExp, string])[] = [
  [/^\s*\{\{\s*(.*?)\s*\}\}\s*$/s, '$1'],
  [/\{\{\s*(.*?)\s*\}\}/gs, '$1'],
  [new RegExp(`\\bnot\\s+(${PATH})\\s+is\\s+defined\\b`, 'g'), '!defined($1)'],
  [new RegExp(`(${PATH})\\s+is\\s+not\\s+defined\\b`, 'g'), '!defined($1)'],
  [new RegExp(`(${PATH})\\s+is\\s+undefined\\b`, 'g'), '!defined($1)'],
  [new RegExp(`(${PATH})\\s+is\\s+defined\\b`, 'g'), 'defined($1)'],
  [new RegExp(`(${PATH})\\s+is\\s+not\\s+(?:changed|change)\\b`, 'g'), '!$1.changed'],
  [new RegExp(`(${PATH})\\s+is\\s+(?:changed|change)\\b`, 'g'), '$1.changed'],
  [new RegExp(`(${PATH})\\s+is\\s+(?:not\\s+(?:succeeded|success)|failed|failure)\\b`, 'g'), '$1.failed'],
  [new RegExp(`(${PATH})\\s+is\\s+(?:not\\s+(?:failed|failure)|succeeded|success)\\b`, 'g'), '!$1.failed'],
  [new RegExp(`(${PATH})\\s+is\\s+not\\s+(?:skipped|skip)\\b`, 'g'), '!$1.skipped'],
  [new RegExp(`(${PATH})\\s+is\\s+(?:skipped|skip)\\b`, 'g'), '$1.skipped'],
  [new RegExp(`(${PATH})\\s+is\\s+(?:none|None)\\b`, 'g'), '$1 == null'],
  [new RegExp(`(${PATH})\\s*\\|\\s*(?:length|count)\\b`, 'g'), 'size($1)'],
  [new RegExp(`(${PATH})\\s*\\|\\s*(?:default|d)\\(([^()]*)\\)`, 'g'), 'default($1, $2)'],
  [new RegExp(`(${PATH}|default\\([^()]*\\))\\s*\\|\\s*bool\\b`, 'g'), '$1'],
  [new RegExp(`(${PATH}|"[^"]*"|'[^']*')\\s+not\\s+in\\s+(${PATH}|\\[[^\\]]*\\])`, 'g'), '!($1 in $2)'],
  [/\band\b/g, '&&'],
  [/\bor\b/g, '||'],
  [/\bnot\s+/g, '!'],
  [/\bTrue\b/g, 'true'],
  [/\bFalse\b/g, 'false'],
  [/\b[Nn]one\b/g, 'null'],
]

/** Jinja as CEL when every part of it has its like; undefined when some part has not. For hints: nothing runs it. */
export function celFromJinja(text: string): string | undefined {
  // Strings are put aside, so that words in them stay as they are.
  const strings: string[] = []
  let cel = text.replace(/"[^"]*"|'[^']*'/g, (one) => `"${strings.push(one) - 1}"`)
  for (const [pattern, by] of RULES) cel = cel.replace(pattern, by)
  if (/\{\{|\{%|\bis\b|(^|[^|])\|([^|]|$)|~/.test(cel)) return undefined
  return cel.replace(/"(\d+)"/g, (_, index) => strings[Number(index)]!).trim()
}

function withoutStrings(text: string): string {
  return text.replace(/"[^"]*"|'[^']*'/g, '""')
}
