import { escapeHtml } from '../../../shared/html.ts'

/** HTML that cannot be broken out of: everything that is put into a template is escaped, unless it is HTML itself. */

export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toString(): string {
    return this.text
  }
}

type Part = Html | string | number | undefined | false | null | readonly Part[]

/** A template. Lists are put in one after another; `undefined`, `null` and `false` are nothing. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.reduce((all, text, i) => all + text + (i < parts.length ? render(parts[i]) : ''), ''))
}

function render(part: Part): string {
  if (part instanceof Html) return part.text
  if (Array.isArray(part)) return part.map(render).join('')
  return part === undefined || part === null || part === false ? '' : escapeHtml(String(part))
}
