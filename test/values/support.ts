import { UserError } from '../../src/shared/errors.ts'
import { placeAt, type SourceFile } from '../../src/shared/source.ts'
import { parseYaml, type YamlMap } from '../../src/shared/yaml.ts'
import {
  compileExpression,
  compileNode,
  compileText,
  makeScope,
  type Scope,
  type ScopeOptions,
  type Vars,
} from '../../src/values/index.ts'

export function whole(file: SourceFile) {
  return placeAt(file, 0, file.text.length)
}

export function text(source: string, file: SourceFile = { path: 't.yml', text: source }) {
  return compileText(source, whole(file))
}

export function expression(source: string) {
  return compileExpression(source, whole({ path: 't.yml', text: source }))
}

/** A scope over plain data. */
export function plain(vars: Vars, options?: ScopeOptions): Scope {
  return makeScope([{ name: 'data', vars }], options)
}

/** A scope over a vars file. */
export function scopeOf(yaml: string, options?: ScopeOptions): Scope {
  const map = parseYaml({ path: 'vars.yml', text: yaml }) as YamlMap
  const vars = new Map([...map.entries.values()].map(({ key, value }) => [key, compileNode(value)]))
  return makeScope([{ name: 'vars.yml', vars }], options)
}

/** The message of the UserError that `fn` throws; any other error is thrown on. */
export function problem(fn: () => unknown): string {
  try {
    const value = fn()
    return `no error but ${JSON.stringify(value)}`
  } catch (error) {
    if (error instanceof UserError) return error.message
    throw error
  }
}
