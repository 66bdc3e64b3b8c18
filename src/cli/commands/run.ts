import { parse } from 'yaml'
import { loadModule, moduleNames } from '../../module/registry.ts'
import { argumentsSchema } from '../../playbook/argument-names.ts'
import { didYouMean, UserError } from '../../shared/errors.ts'
import { type RunFlags, run } from '../run.ts'

/** `runbook run PATTERN MODULE key=value…`: one task on hosts, through the same way as a playbook. */
export async function runModule(
  pattern: string,
  name: string,
  words: readonly string[],
  flags: RunFlags,
): Promise<number> {
  const module = await loadModule(name)
  if (!module) {
    const hint = didYouMean(name, await moduleNames()) ?? '`runbook modules` lists them'
    throw new UserError({ message: `there is no module "${name}"`, hint })
  }
  const args = readArguments(words, argumentsSchema(module.args), module.freeForm)
  const path = `run ${name}`
  // JSON is YAML; every part has a line of its own, so that messages point at it.
  const text = [
    `- name: ${JSON.stringify(path)}`,
    `  hosts: ${JSON.stringify(pattern)}`,
    '  gather_facts: false',
    '  tasks:',
    `    - ${name}: ${Object.keys(args).length === 0 ? '{}' : ''}`,
    ...Object.entries(args).map(([key, value]) => `        ${JSON.stringify(key)}: ${JSON.stringify(value)}`),
  ].join('\n')
  const command = ['run', pattern, name]
  return run({ flags, playbooks: [path], texts: new Map([[path, `${text}\n`]]), command })
}

type JsonSchema = Readonly<Record<string, unknown>>

/**
 * `key=value` words. A value is a string where the argument takes strings alone (mode=0644), else it is read as YAML
 * (enabled=true, names=[a, b]). Of a module with a free form, words that begin with no known `key=` are that form.
 */
export function readArguments(
  words: readonly string[],
  schema: JsonSchema,
  freeForm: string | undefined,
): Record<string, unknown> {
  const known = propertiesOf(schema)
  const keyOf = (word: string | undefined): string | undefined => /^(\w+)=/.exec(word ?? '')?.[1]
  if (freeForm !== undefined && words.length > 0 && !Object.hasOwn(known, keyOf(words[0]) ?? ''))
    return { [freeForm]: words.join(' ') }
  return Object.fromEntries(
    words.map((word) => {
      const key = keyOf(word)
      if (key === undefined) {
        throw new UserError({
          message: `"${word}" is no argument`,
          hint: `write key=value; known are ${Object.keys(known).join(', ')}`,
        })
      }
      const text = word.slice(key.length + 1)
      return [key, typesOf(known[key]).some((type) => type !== 'string') ? fromYaml(text) : text]
    }),
  )
}

function fromYaml(text: string): unknown {
  try {
    return parse(text) as unknown
  } catch {
    return text
  }
}

function propertiesOf(schema: JsonSchema): Record<string, JsonSchema> {
  const parts = ['anyOf', 'oneOf', 'allOf'].flatMap((key) => (schema[key] as JsonSchema[] | undefined) ?? [])
  return Object.assign({}, ...parts.map(propertiesOf), schema.properties)
}

function typesOf(schema: JsonSchema | undefined): string[] {
  if (!schema) return ['string']
  const own = [schema.type ?? []].flat() as string[]
  return [...own, ...((schema.anyOf as JsonSchema[] | undefined) ?? []).flatMap(typesOf)]
}
