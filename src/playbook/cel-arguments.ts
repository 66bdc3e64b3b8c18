/** Arguments that are CEL expressions by themselves (`assert: that:`), as the module's schema marks them. */
import type { z } from 'zod'
import { celArguments } from '../module/args.ts'
import { Problems } from '../shared/errors.ts'
import type { YamlNode } from '../shared/yaml.ts'
import { compileNode, computed, listOf, mapOf, type Value } from '../values/index.ts'
import { readCondition } from './conditions.ts'

const names = new WeakMap<z.ZodType, readonly string[]>()

/** The names of a schema's arguments that are expressions. */
export function expressionNames(schema: z.ZodType): readonly string[] {
  let known = names.get(schema)
  if (!known) {
    known = celArguments(schema)
    names.set(schema, known)
  }
  return known
}

/** Compiles the arguments of a task; an expression evaluates to `{source, value}`. Throws UserError with all that is wrong. */
export function compileArguments(schema: z.ZodType, node: YamlNode): Value {
  const expressions = expressionNames(schema)
  if (node.kind !== 'map' || !expressions.some((name) => node.entries.has(name))) return compileNode(node)
  const problems = new Problems()
  const entries = [...node.entries.values()].flatMap(({ key, value }): [string, Value][] => {
    const compiled = problems.catch(() => (expressions.includes(key) ? expression(value) : compileNode(value)))
    return compiled ? [[key, compiled]] : []
  })
  problems.throwIfAny()
  return mapOf(entries, node)
}

function expression(node: YamlNode): Value {
  if (node.kind === 'list') return listOf(node.items.map(expression), node)
  const condition = readCondition(node)
  if (!condition) return compileNode(node)
  return computed((scope) => ({ source: condition.source, value: condition.evaluate(scope) }), condition)
}
