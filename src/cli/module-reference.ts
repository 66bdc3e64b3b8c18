/** The reference of a module, from its definition: for `runbook modules NAME` and for docs/modules/. */
import type { Action, Module } from '../module/registry.ts'
import { argumentsSchema } from '../playbook/argument-names.ts'

type JsonSchema = Readonly<Record<string, unknown>>

/** Markdown that reads well as plain text too. Ends in a newline. */
export function moduleReference(name: string, module: Module | Action): string {
  const schema = argumentsSchema(module.args)
  const parts = [
    `# ${name}`,
    module.summary,
    module.description ?? '',
    facts(module),
    '## Arguments',
    argumentList(schema),
  ]
  if (module.freeForm !== undefined) parts.push(`A text in place of the map is \`${module.freeForm}\`.`)
  if (module.examples.length > 0) {
    parts.push('## Examples')
    for (const { name: title, yaml } of module.examples) {
      const body = yaml.trimEnd().replace(/^(?=.)/gm, '  ')
      parts.push(`\`\`\`yaml\n- name: ${title}\n${body}\n\`\`\``)
    }
  }
  const returns = Object.entries(module.returns)
  if (returns.length > 0) parts.push('## Result', returns.map(([key, text]) => `- \`${key}\`: ${text}`).join('\n'))
  return `${parts.filter(Boolean).join('\n\n')}\n`
}

function facts(module: Module | Action): string {
  if (module.type === 'module')
    return module.readOnly ? 'Changes nothing; runs in check mode as always.' : 'Check mode: exact, with diffs.'
  const where = module.controllerOnly ? 'Runs on the controller. ' : ''
  return `${where}${module.preview ? 'Check mode: tells what it would do.' : 'Check mode: skipped.'}`
}

/** One line an argument; those of nested maps below it. */
function argumentList(schema: JsonSchema): string {
  const alternatives = ((schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined)?.filter((s) => s.properties)
  if (alternatives && alternatives.length > 1) return alternatives.map(argumentList).join('\n\nor\n\n')
  const lines = linesOf(alternatives?.[0] ?? schema, 0)
  return lines.length === 0 ? 'None.' : lines.join('\n')
}

function linesOf(schema: JsonSchema, depth: number): string[] {
  const required = new Set((schema.required as string[] | undefined) ?? [])
  return Object.entries((schema.properties as Record<string, JsonSchema> | undefined) ?? {}).flatMap(([key, one]) => {
    const fallback = one.default === undefined ? '' : `; default \`${JSON.stringify(one.default)}\``
    const need = required.has(key) && one.default === undefined ? '; required' : ''
    const about = one.description === undefined ? '' : `: ${String(one.description)}`
    const line = `${'  '.repeat(depth)}- \`${key}\` (${typeName(one)}${need}${fallback})${about}`
    const inner = one.properties
      ? one
      : (one.items as JsonSchema | undefined)?.properties
        ? (one.items as JsonSchema)
        : undefined
    return inner ? [line, ...linesOf(inner, depth + 1)] : [line]
  })
}

/** `string`, `true or false`, `list of string`, `one of a, b`. */
function typeName(schema: JsonSchema): string {
  const union = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined
  if (union) return [...new Set(union.map(typeName))].join(' or ')
  if (schema.const !== undefined) return `\`${String(schema.const)}\``
  if (Array.isArray(schema.enum)) return `one of ${schema.enum.map((v) => `\`${String(v)}\``).join(', ')}`
  if (Array.isArray(schema.allOf)) return typeName((schema.allOf as JsonSchema[])[0]!)
  if (schema.type === 'array') return `list of ${schema.items ? typeName(schema.items as JsonSchema) : 'anything'}`
  if (schema.type === 'object') {
    const values = schema.additionalProperties
    return typeof values === 'object' && values !== null ? `map of ${typeName(values as JsonSchema)}` : 'map'
  }
  if (schema.type === 'boolean') return 'true or false'
  return schema.type === undefined ? 'anything' : [schema.type].flat().join(' or ')
}
