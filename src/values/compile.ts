import { Problems } from '../shared/errors.ts'
import type { YamlNode } from '../shared/yaml.ts'
import { compileExpression } from './expression.ts'
import { makeScope } from './scope.ts'
import { compileText } from './template.ts'
import { constant, ListValue, MapValue, type Value } from './value.ts'

const NO_VARIABLES = makeScope([])

/** Compiles a node to its depths. Throws UserError with all template and expression errors in it. */
export function compileNode(node: YamlNode): Value {
  const problems = new Problems()
  const value = compile(node, problems)
  problems.throwIfAny()
  return value
}

function compile(node: YamlNode, problems: Problems): Value {
  switch (node.kind) {
    case 'scalar': {
      const { value, tag } = node
      if (typeof value !== 'string' || tag === '!unsafe') return constant(value, node)
      return problems.catch(() => compileString(value, tag, node)) ?? constant(value, node)
    }
    case 'list': {
      const items = node.items.map((item) => compile(item, problems))
      if (!items.every((item) => item.static)) return new ListValue(items, node)
      return constant(Object.freeze(items.map((item) => item.evaluate(NO_VARIABLES))), node)
    }
    case 'map': {
      const entries = [...node.entries.values()].map(({ key, value }) => [key, compile(value, problems)] as const)
      if (!entries.every(([, value]) => value.static)) return new MapValue(entries, node)
      return constant(
        Object.freeze(Object.fromEntries(entries.map(([key, one]) => [key, one.evaluate(NO_VARIABLES)]))),
        node,
      )
    }
  }
}

function compileString(text: string, tag: string | undefined, node: YamlNode): Value {
  if (tag === '!cel') return compileExpression(text, node.place)
  return text.includes('{{') ? compileText(text, node.place) : constant(text, node)
}
