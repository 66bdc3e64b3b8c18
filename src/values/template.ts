/** Handlebars templates, strict everywhere: Handlebars parses, our own evaluator walks (see template-compiler.ts). */
import Handlebars from 'handlebars'
import { UserError } from '../shared/errors.ts'
import { type Place, placeAt, type SourceFile } from '../shared/source.ts'
import { type Locate, locateIn } from './locate.ts'
import type { Scope } from './scope.ts'
import { compileProgram, type Template } from './template-compiler.ts'
import { Compiled, constant, type Value } from './value.ts'

/**
 * Compiles a text. Exactly one mustache keeps the type of its value, anything else gives a string, and a text without
 * mustaches is static. `place` is where the text stands; a YAML scalar's place includes its quotes.
 * Throws UserError for syntax errors and unknown helpers.
 */
export function compileText(source: string, place: Place): Value {
  if (!source.includes('{{')) return constant(source, { place })
  const template = parse(source, locateIn(source, place))
  return new TemplateValue(template, template.single ?? template.render, { place })
}

const files = new WeakMap<SourceFile, Value>()

/** Compiles a template file, once for each `file` object; it always gives a string. Throws UserError as compileText does. */
export function compileTemplateFile(file: SourceFile): Value {
  const known = files.get(file)
  if (known) return known
  const place = placeAt(file, 0, file.text.length)
  const template = file.text.includes('{{') ? parse(file.text, locateIn(file.text, place)) : undefined
  const value = template ? new TemplateValue(template, template.render, { place }) : constant(file.text, { place })
  files.set(file, value)
  return value
}

class TemplateValue extends Compiled {
  readonly static = false
  readonly #template: Template
  readonly #run: (scope: Scope) => unknown

  constructor(template: Template, run: (scope: Scope) => unknown, at: { place: Place }) {
    super(at)
    this.#template = template
    this.#run = run
  }

  view(scope: Scope): unknown {
    return this.#run(scope)
  }

  references(): Iterable<string> {
    return this.#template.references
  }
}

/** Statements of Jinja, which would stay in the text as they are. */
const JINJA = /\{%[-+]?\s*(?:for|endfor|if|elif|else|endif|set|block|include|import|macro|filter)\b[^\n]{0,60}/

function parse(source: string, locate: Locate): Template {
  const jinja = JINJA.exec(source)
  if (jinja) {
    throw new UserError({
      message: 'template: this looks like Jinja; templates are Handlebars',
      place: locate(jinja.index, jinja.index + jinja[0].length),
      hint: 'write {{#each list}} {{this}} {{/each}} and {{#if (eq a b)}} … {{else}} … {{/if}}',
    })
  }
  let program: hbs.AST.Program
  try {
    program = Handlebars.parse(source)
  } catch (error) {
    throw syntaxError(source, error as Error & { lineNumber?: number; column?: number }, locate)
  }
  return compileProgram(program, source, locate)
}

/** Handlebars' own words are those of its parser generator; the place and a hint for the usual slips help more. */
function syntaxError(
  source: string,
  error: Error & { lineNumber?: number; column?: number },
  locate: Locate,
): UserError {
  const [what, ...rest] = error.message.split('\n')
  if (error.lineNumber !== undefined) {
    const offset = offsetOf(source, error.lineNumber, error.column ?? 0)
    return new UserError({
      message: `template: ${what!.replace(/ - \d+:\d+$/, '')}`,
      place: locate(offset, offset + 1),
    })
  }
  const offset = errorOffset(source, error.message)
  const open = source.lastIndexOf('{{', offset)
  const close = source.indexOf('}}', open)
  const mustache = source.slice(open, close === -1 ? undefined : close + 2)
  const got = /got '(\w+)'/.exec(rest.join('\n'))?.[1]
  if (open !== -1 && close === -1) {
    return new UserError({
      message: 'template: this mustache is not closed',
      place: locate(open, open + 2),
      hint: BRACES,
    })
  }
  if (got === 'EOF') {
    const hint = 'end it with {{/if}}, {{/each}} …'
    return new UserError({ message: 'template: a block is not closed', place: locate(offset, offset + 1), hint })
  }
  const message = `template: "${mustache.slice(0, 60)}" is not understood`
  return new UserError({ message, place: locate(offset, offset + 1), hint: hintFor(mustache) })
}

const BRACES = 'to write the braces themselves, put a backslash before them: \\{{'

function hintFor(mustache: string): string | undefined {
  const bare = mustache.replace(/"[^"]*"|'[^']*'/g, '')
  if (bare.includes('|')) return 'there are no filters with "|": write {{ upper name }} or {{ default name "x" }}'
  if (/\w\(/.test(bare)) return 'helpers take words, without parentheses: {{ env "HOME" }}'
  if (/\[\s*[a-zA-Z_]/.test(bare)) return 'write {{ lookup map key }} for an entry whose key is a variable'
  if (bare.includes('[')) {
    const path = mustache.replace(/\[(['"])([\w-]+)\1\]/g, '.$2').replace(/(?<!\.)\[(\d+)\]/g, '.[$1]')
    return `write ${path.includes("['") || path.includes('["') ? 'a.[key] or a.[0] for an entry' : path}`
  }
  if (/^\{\{\s*\.\w/.test(mustache)) return BRACES
  if (/[=<>!+*/-]/.test(mustache.slice(2))) return 'compute with a CEL expression: key: !cel a + 1'
  return undefined
}

/**
 * The parser says where by quoting up to 20 characters before the error (newlines taken out) and drawing a caret; this
 * finds them again in the text.
 */
function errorOffset(source: string, message: string): number {
  const [head, shown = '', caret = ''] = message.split('\n')
  const line = Number(/on line (\d+)/.exec(head!)?.[1] ?? 1)
  const before = shown.slice(0, caret.indexOf('^')).replace(/^\.\.\./, '')
  for (let offset = offsetOf(source, Math.max(1, line - 1), 0); offset <= source.length; offset++) {
    if (
      source
        .slice(Math.max(0, offset - 200), offset)
        .replaceAll('\n', '')
        .endsWith(before)
    ) {
      if (before !== '' || offset === 0) return offset
    }
  }
  return Math.min(offsetOf(source, line, 0), source.length)
}

function offsetOf(source: string, line: number, column: number): number {
  let start = 0
  for (let i = 1; i < line; i++) start = source.indexOf('\n', start) + 1 || source.length
  return Math.min(start + column, source.length)
}
