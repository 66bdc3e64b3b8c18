/** Texts, mustaches and tags put together so that Handlebars reads them as they are meant. */
import Handlebars from 'handlebars'
import { Refused } from './refused.ts'

/** What a template is about to become: texts, mustaches, and the tags of blocks, which Handlebars may take a line for. */
export type Part =
  | { readonly op: 'text'; readonly text: string }
  | { readonly op: 'mustache' | 'tag'; readonly code: string }

/** The parts as one text. Handlebars takes the line of a block's tag that stands alone: what it would print is compared. */
export function assemble(parts: readonly Part[]): string {
  const merged: Part[] = []
  for (const part of parts) {
    const last = merged.at(-1)
    if (part.op === 'text' && last?.op === 'text')
      merged[merged.length - 1] = { op: 'text', text: last.text + part.text }
    else merged.push(part)
  }
  for (const way of [pretty, plain, guarded]) {
    const code = merged
      .map((part, i) =>
        part.op === 'text' ? besideTags(part.text, merged[i - 1], merged[i + 1]) : way(part, merged[i - 1]),
      )
      .join('')
    if (isSame(code, merged)) return code
  }
  throw new Refused('text that Handlebars would read in another way', 'write the template by hand')
}

type Tag = Exclude<Part, { op: 'text' }>

/** A backslash before a tag would hide it, and a brace beside one would be taken for a part of it. */
function besideTags(text: string, before: Part | undefined, after: Part | undefined): string {
  let made = text
  if (before && made.startsWith('}')) made = `{{"}"}}${made.slice(1)}`
  if (after && made.endsWith('\\')) made += '\\'
  if (after && made.endsWith('{')) made = `${made.slice(0, -1)}{{"{"}}`
  return made
}

/** A tag gets a line of its own where it stands between lines. */
function pretty(part: Tag, before: Part | undefined): string {
  const startsLine = before === undefined || (before.op === 'text' ? before.text.endsWith('\n') : before.op === 'tag')
  return part.op === 'tag' && startsLine ? `${part.code}\n` : part.code
}

function plain(part: Tag): string {
  return part.code
}

/** An empty text beside each tag: no tag stands alone. */
function guarded(part: Tag): string {
  return part.op === 'tag' ? `{{""}}${part.code}{{""}}` : part.code
}

function isSame(code: string, parts: readonly Part[]): boolean {
  let program: hbs.AST.Program
  try {
    program = Handlebars.parse(code)
  } catch {
    return false
  }
  const seen: string[] = []
  collect(program, seen)
  const wanted = parts
    .map((part) => (part.op === 'text' ? part.text : part.code.startsWith('{{!--') ? '' : '\0'))
    .join('')
  return seen.join('') === wanted
}

/** The texts of a parsed template, with a mark for every tag. */
function collect(program: hbs.AST.Program | undefined, seen: string[]): void {
  for (const node of program?.body ?? []) {
    if (node.type === 'ContentStatement') seen.push((node as hbs.AST.ContentStatement).value)
    else if (node.type === 'MustacheStatement') {
      const { path } = node as hbs.AST.MustacheStatement
      const literal = path.type === 'StringLiteral' ? (path as hbs.AST.StringLiteral).value : undefined
      seen.push(literal !== undefined && /^[{}]?$/.test(literal) ? literal : '\0')
    } else if (node.type === 'BlockStatement') {
      const block = node as hbs.AST.BlockStatement
      seen.push('\0')
      collect(block.program, seen)
      if (block.inverse) {
        seen.push('\0')
        collect(block.inverse, seen)
      }
      seen.push('\0')
    }
  }
}
