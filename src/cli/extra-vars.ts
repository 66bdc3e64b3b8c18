import { createHash } from 'node:crypto'
import { readVarsFile, varsOf } from '../inventory/index.ts'
import { UserError } from '../shared/errors.ts'
import { parseYaml, readSource } from '../shared/yaml.ts'
import { decrypt } from './secrets.ts'

/**
 * `-e`, later ones over earlier ones: `key=value …` (values are strings, as in Ansible; quotes keep spaces), a map in
 * JSON or YAML (`{"replicas": 3}`), or `@file.yml`. Throws UserError.
 */
export async function readExtraVars(options: readonly string[]): Promise<ReadonlyMap<string, unknown>> {
  const vars = new Map<string, unknown>()
  for (const option of options) for (const [name, value] of await readOne(option.trim())) vars.set(name, value)
  return vars
}

/** SHA-256 of what options say, files by their content: a run with other variables is another run, and not resumed. */
export function extraVarsHash(options: readonly string[]): string {
  const hash = createHash('sha256')
  for (const option of options) {
    const text = option.trim().startsWith('@') ? readSource(option.trim().slice(1)).text : option
    hash.update(`${text.length} ${text}`)
  }
  return hash.digest('hex')
}

async function readOne(option: string): Promise<Iterable<[string, unknown]>> {
  if (option.startsWith('@')) return readVarsFile(option.slice(1), decrypt)
  if (option.startsWith('{')) return varsOf(parseYaml({ path: '--extra-vars', text: option }))
  const pairs = splitPairs(option)
  return pairs.map((pair): [string, string] => {
    const at = pair.indexOf('=')
    const name = pair.slice(0, Math.max(0, at))
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      throw new UserError({
        message: at === -1 ? `-e ${pair}: there is no "="` : `-e ${pair}: "${name}" is no name of a variable`,
        hint: 'write -e name=value, -e \'{"name": 5}\' or -e @file.yml',
      })
    return [name, pair.slice(at + 1)]
  })
}

/** `a=1 b="x y"` → `a=1`, `b=x y`. A space that is followed by no further `name=` belongs to the value. */
function splitPairs(text: string): string[] {
  const pairs: string[] = []
  for (const m of text.matchAll(/(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"']|["'])+/g)) {
    const word = m[0].replace(/"((?:[^"\\]|\\.)*)"|'([^']*)'/g, (_, double?: string, single?: string) =>
      double === undefined ? single! : double.replace(/\\(["\\])/g, '$1'),
    )
    if (pairs.length > 0 && !/^\w+=/.test(m[0])) pairs[pairs.length - 1] += ` ${word}`
    else pairs.push(word)
  }
  return pairs
}
