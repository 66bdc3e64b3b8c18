import { NOT_FUNCTIONS } from './cel-environment.ts'
import { helpers } from './helpers.ts'

/** The table of helpers and functions for docs/helpers.md. */
export function helpersAsMarkdown(): string {
  const rows = Object.entries(helpers).map(([name, { signature, summary, examples }]) => {
    const [template, result] = examples[0] ?? ['', undefined]
    const shown = template === '' ? '' : `\`${cell(template)}\` → \`${cell(JSON.stringify(result))}\``
    const isFunction = !NOT_FUNCTIONS.includes(name) || name === 'default' || name === 'defined'
    return `| \`${signature}\` | ${isFunction ? 'yes' : ''} | ${summary} | ${shown} |`
  })
  return `${['| In templates | In CEL too | What it gives | Example |', '|---|---|---|---|', ...rows].join('\n')}\n`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', '⏎')
}
