/** Settings files of ours: a tree of YAML against a schema, with everything that is wrong, its place, and what was meant. */
import { z } from 'zod'
import { didYouMean, type Problems } from './errors.ts'
import type { Place } from './source.ts'
import { toPlain, type YamlNode } from './yaml.ts'

type Path = readonly PropertyKey[]
type Issue = z.core.$ZodIssue

/** The values with their defaults, or undefined when problems were added. An empty file counts as an empty map. */
export function checkSettings<T extends z.ZodType>(
  schema: T,
  root: YamlNode,
  problems: Problems,
): z.output<T> | undefined {
  const parsed = schema.safeParse(toPlain(root) ?? {})
  for (const issue of (parsed.error?.issues ?? []).flatMap(likeliest)) tell(issue, schema, root, problems)
  return parsed.data
}

/** The place of the value at a path, or of the deepest above it that is there. */
export function placeAt(root: YamlNode, path: Path): Place {
  return walk(root, path).node.place
}

/** Of alternatives, the first that got as far as the value's own shape says what is wrong. */
function likeliest(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue]
  const best = issue.errors.find((errors) =>
    errors.some(({ path, code }) => path.length > 0 || code === 'unrecognized_keys'),
  )
  return best ? best.flatMap((one) => likeliest({ ...one, path: [...issue.path, ...one.path] } as Issue)) : [issue]
}

function tell(issue: Issue, schema: z.ZodType, root: YamlNode, problems: Problems): void {
  const { node, left } = walk(root, issue.path)
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, issue.path)
    for (const key of issue.keys) {
      const place = node.kind === 'map' ? node.entries.get(key)?.keyPlace : undefined
      problems.add(`unknown key "${key}"`, place ?? node.place, didYouMean(key, known))
    }
    return
  }
  const name = issue.path.join('.')
  const isMissing = left.length > 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_union')
  problems.add(isMissing ? `${name} is missing` : `${name && `${name}: `}${issue.message}`, node.place)
}

/** As far down a path as there are values, and what is left of the path there. */
function walk(root: YamlNode, path: Path): { readonly node: YamlNode; readonly left: Path } {
  let node = root
  for (const [i, key] of path.entries()) {
    const next =
      node.kind === 'map' ? node.get(String(key)) : node.kind === 'list' ? node.items[Number(key)] : undefined
    if (next === undefined) return { node, left: path.slice(i) }
    node = next
  }
  return { node, left: [] }
}

/** The keys that a schema knows at a path. */
function keysAt(schema: unknown, [first, ...rest]: Path): string[] {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional)
    return keysAt(schema.unwrap(), first === undefined ? [] : [first, ...rest])
  if (first === undefined) return schema instanceof z.ZodObject ? Object.keys(schema.shape) : []
  if (schema instanceof z.ZodObject) return keysAt(schema.shape[String(first)], rest)
  if (schema instanceof z.ZodArray) return keysAt(schema.element, rest)
  return schema instanceof z.ZodRecord ? keysAt(schema.valueType, rest) : []
}
