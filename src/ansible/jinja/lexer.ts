/** The words of a Jinja expression. */
import { Refused } from '../refused.ts'

export interface Token {
  readonly kind: 'name' | 'string' | 'int' | 'float' | 'sign' | 'end'
  readonly text: string
  readonly value?: string | number
}

/** jinja2/lexer.py: numbers may hold `_`, strings take Python's escapes. */
const TOKEN =
  /\s+|([A-Za-z_][A-Za-z0-9_]*)|('(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*")|(\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)|(\/\/|\*\*|==|!=|<=|>=|[-+*/%~<>()[\]{},:.|=])/gy

/**
 * Throws Refused for a letter that begins no word. `rawStrings`: in `{{ }}` of a playbook Ansible keeps backslashes as they are
 * (`escape_backslashes`), in conditions and template files they are Python's.
 */
export function tokens(source: string, rawStrings = false): Token[] {
  const list: Token[] = []
  TOKEN.lastIndex = 0
  for (let at = 0; at < source.length; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at
    const m = TOKEN.exec(source)
    if (!m) throw notUnderstood(source.slice(at, at + 12))
    if (m[1] !== undefined) list.push({ kind: 'name', text: m[1] })
    else if (m[2] !== undefined) {
      const inner = m[2].slice(1, -1)
      if (rawStrings && /\\["']/.test(inner)) throw notUnderstood(inner)
      list.push({ kind: 'string', text: m[2], value: rawStrings ? inner : unescapePython(inner) })
    } else if (m[3] !== undefined) {
      const isFloat = /[.eE]/.test(m[3])
      list.push({ kind: isFloat ? 'float' : 'int', text: m[3], value: Number(m[3].replaceAll('_', '')) })
    } else if (m[4] !== undefined) list.push({ kind: 'sign', text: m[4] })
  }
  return list
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '0': '\0',
  '\n': '',
}

/** Jinja decodes strings with Python's `unicode-escape`; an unknown escape keeps its backslash. */
function unescapePython(text: string): string {
  return text.replace(/\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[\s\S])/g, (all, code: string) => {
    if (/^[xu]./.test(code)) return String.fromCodePoint(Number.parseInt(code.slice(1), 16))
    if (/["'\\]/.test(code)) return code
    if (/[0-7NUxu]/.test(code) && code !== '0') throw notUnderstood(all)
    return ESCAPES[code] ?? all
  })
}

export function notUnderstood(what: string): Refused {
  return new Refused(`this Jinja is not understood near "${what}"`, 'write it as a CEL expression or with Handlebars')
}
