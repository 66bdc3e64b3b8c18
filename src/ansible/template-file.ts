/** A template file: Jinja in, Handlebars out. */
import { UserError } from '../shared/errors.ts'
import type { SourceFile } from '../shared/source.ts'
import { compileTemplateFile } from '../values/index.ts'
import { assemble } from './assemble.ts'
import type { Env } from './env.ts'
import { HandlebarsWriter } from './handlebars.ts'
import { type Ir, printCel } from './ir.ts'
import { ANSIBLE_DEFAULTS, parseTemplate, type TemplateOptions } from './jinja/template.ts'
import { Refused } from './refused.ts'
import type { Report } from './report.ts'
import { Translator } from './translate.ts'

export interface RewrittenTemplate {
  readonly text: string
  /** Variables that its task must give it: name and CEL. */
  readonly computed: readonly [name: string, cel: string][]
}

/** `prefix` begins the names of computed variables. What cannot be rewritten is marked in the text and goes to the report. */
export function rewriteTemplate(
  source: SourceFile,
  prefix: string,
  options: Partial<TemplateOptions>,
  env: Env,
  report: Report,
): RewrittenTemplate {
  const line = (offset: number): number => source.text.slice(0, offset).split('\n').length
  const computed: [string, string][] = []
  const asVariable = (ir: Ir): string | undefined => {
    const cel = printCel(ir)
    const known = computed.find(([, one]) => one === cel)
    if (known) return known[0]
    const name = `${prefix}_${computed.length + 1}`
    computed.push([name, cel])
    return name
  }
  try {
    const header = /^#jinja2:([^\n]*)\n/.exec(source.text)
    const all = { ...ANSIBLE_DEFAULTS, ...options, ...(header ? headerOptions(header[1]!) : {}) }
    const text = header ? source.text.slice(header[0].length) : source.text
    const shift = header ? header[0].length : 0
    const writer = new HandlebarsWriter(({ offset, source: what, why }) => {
      report.edit(source.path, line(offset + shift), what.replace(/\s+/g, ' '), why.message, why.hint)
    }, asVariable)
    writer.nodes(parseTemplate(text, all), new Translator(env))
    const made = assemble(writer.parts)
    check(made, source.path)
    return { text: made, computed }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    report.edit(source.path, 1, source.path, error.message, error.hint)
    const why = `${error.message}; ${error.hint}`.replaceAll('--', '- -')
    return { text: `{{!-- runbook: ${why} --}}{{ unfinished "this template" }}\n${source.text}`, computed: [] }
  }
}

function headerOptions(text: string): Partial<TemplateOptions> {
  const options: { trimBlocks?: boolean; lstripBlocks?: boolean } = {}
  for (const part of text.split(',')) {
    const [, name, value] = /^\s*(\w+)\s*:\s*["']?(\w+)["']?\s*$/.exec(part) ?? []
    if (name === 'trim_blocks') options.trimBlocks = /^true$/i.test(value!)
    else if (name === 'lstrip_blocks') options.lstripBlocks = /^true$/i.test(value!)
    else throw new Refused(`the option "${part.trim()}" of Jinja`, 'write the template by hand')
  }
  return options
}

/** Throws Refused when our own compiler does not take what was made, but for the marks. */
function check(text: string, path: string): void {
  try {
    compileTemplateFile({ path, text: text.replaceAll(/\{\{ unfinished "[^"]*" \}\}/g, '') })
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    throw new Refused(`Handlebars does not take it (${error.problems[0]!.message})`, 'write the template by hand')
  }
}
