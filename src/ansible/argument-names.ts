/** Arguments by our names, in our kinds of values. */
import type { Node } from 'yaml'
import type { Call } from './call.ts'
import { asOctal, entriesOf, entry, isText, scalar } from './document.ts'
import type { Env } from './env.ts'
import { isTemplate } from './jinja/template.ts'
import { Refused } from './refused.ts'
import { rewriteText } from './text.ts'

/** Names and kinds of arguments by the module's table. */
export function nameArguments(call: Call, table: string): void {
  if (table === '*') return
  const known = new Map(
    table
      .split(/\s+/)
      .filter(Boolean)
      .map((word) => {
        const [, from = '', to, kind] = /^([\w-]+)(?:>(\w+))?(?::(\w))?$/.exec(word)!
        return [from, { to, kind }]
      }),
  )
  for (const { key, value } of [...entriesOf(call.args)]) {
    const rule = known.get(key.value)
    if (!rule) {
      call.refuseArgument(key.value, 'an argument that the module does not have here', 'see its page in docs/modules')
      continue
    }
    if (rule.kind === 'x') {
      call.drop(key.value)
      continue
    }
    convert(value, rule.kind, call, key.value)
    if (rule.to) call.rename(key.value, rule.to)
  }
}

function convert(node: Node | null, kind: string | undefined, call: Call, name: string): void {
  const value = (node as { value?: unknown } | null)?.value
  const pair = entry(call.args, name)!
  if (kind === 'm') {
    if (typeof value === 'number') {
      const mode = scalar(asOctal(node as never))
      mode.type = 'QUOTE_SINGLE'
      pair.value = mode as Node
    } else if (isText(node) && /^[0-7]{3,4}$/.test(node.value)) {
      node.value = node.value.padStart(4, '0')
      node.type = 'QUOTE_SINGLE'
    }
  } else if (kind === 'b') {
    if (isText(node) && !isTemplate(node.value)) {
      if (!/^(yes|no|on|off|true|false|[01ynYN]|True|False)$/.test(node.value))
        throw new Refused(`"${node.value}" for ${name}`, 'write true or false')
      pair.value = scalar(/^(yes|on|true|1|y)$/i.test(node.value)) as Node
    } else if (isText(node)) node.value = asBoolean(node.value, call.env)
    else if (value === 0 || value === 1) pair.value = scalar(value === 1) as Node
  } else if (kind === 'n' && isText(node) && /^\d+$/.test(node.value)) pair.value = scalar(Number(node.value)) as Node
}

/** `{{ 'yes' if x else 'no' }}`: a text that Ansible takes for a boolean. */
function asBoolean(text: string, env: Env): string {
  const [, expression] = /^\s*\{\{([\s\S]*)\}\}\s*$/.exec(text) ?? []
  if (expression === undefined || /\bomit\b|\}\}/.test(expression)) return text
  try {
    return rewriteText(text, env).type.kind === 'string' ? `{{ (${expression}) | bool }}` : text
  } catch (error) {
    // It is refused, with its mark, where all values are rewritten.
    if (error instanceof Refused) return text
    throw error
  }
}
