/** Which types variables have, from all values that the imported files give them. */

import type { Env } from './env.ts'
import { lit } from './ir.ts'
import { IN_PLAYBOOK, isTemplate, parseTemplate } from './jinja/template.ts'
import { Refused } from './refused.ts'
import type { Report } from './report.ts'
import { Translator } from './translate.ts'
import { ANY, join, orAnything, STRING, type Type, typeOfData } from './types.ts'

export class VariableTypes {
  /** The role whose files are being rewritten. */
  role: string | undefined
  readonly #values = new Map<string, unknown[]>()
  readonly #known = new Map<string, Type>()
  readonly #memo = new Map<string, Type>()

  /** A value that some file gives the variable. */
  value(name: string, value: unknown): void {
    const list = this.#values.get(name)
    if (list) list.push(value)
    else this.#values.set(name, [value])
  }

  /** A type that is known otherwise, such as that of a registered result. */
  type(name: string, type: Type): void {
    const before = this.#known.get(name)
    this.#known.set(name, before ? join(before, type) : type)
  }

  typeOf(name: string): Type | undefined {
    const known = this.#known.get(name)
    const values = this.#values.get(name)
    if (!values) return known
    const memo = this.#memo.get(name)
    if (memo) return memo
    // A variable that is made of itself.
    this.#memo.set(name, ANY)
    const env: Env = {
      typeOf: (one) => this.typeOf(one),
      names: () => this.#values.keys(),
      locals: new Map(),
      note() {},
    }
    const types = values.map((value) => deepType(value, env))
    const type = orAnything([...(known ? [known] : []), ...types].reduce(join))
    this.#memo.set(name, type)
    return type
  }

  env(report: Report, own: ReadonlyMap<string, Type> = new Map()): Env {
    return {
      typeOf: (name) => own.get(name) ?? this.typeOf(name),
      names: () => this.#values.keys(),
      locals: new Map(this.role ? ['ansible_role_name', 'role_name'].map((name) => [name, lit(this.role!)]) : []),
      note: (note) => report.note(note),
    }
  }
}

/** With templates looked through. */
function deepType(value: unknown, env: Env): Type {
  if (typeof value === 'string' && isTemplate(value)) return typeOfTemplate(value, env)
  if (Array.isArray(value)) {
    const types = value.map((item) => deepType(item, env))
    return { kind: 'list', of: types.length === 0 ? undefined : types.reduce(join) }
  }
  if (typeof value === 'object' && value !== null)
    return {
      kind: 'map',
      entries: Object.fromEntries(Object.entries(value).map(([key, one]) => [key, deepType(one, env)])),
    }
  return typeOfData(value, () => false)
}

function typeOfTemplate(text: string, env: Env): Type {
  try {
    const nodes = parseTemplate(text, IN_PLAYBOOK)
    const [only] = nodes
    if (nodes.length !== 1 || only!.op !== 'output')
      return nodes.some((node) => node.op !== 'output' && node.op !== 'text') ? ANY : STRING
    return new Translator(env).value(only!.expr).type
  } catch (error) {
    if (error instanceof Refused) return ANY
    throw error
  }
}
