/** `maintenance.yml`, beside the inventory: its keys, and `guards:` of it. */
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { didYouMean, Problems } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import { readYaml, toPlain, type YamlNode } from '../shared/yaml.ts'
import { GUARDS_SCHEMA } from './guards/settings.ts'

/** `windows` and `notify` are read window by window, where a wrong one leaves the others as they are. */
export const MAINTENANCE_SCHEMA = z.strictObject({
  guards: GUARDS_SCHEMA,
  windows: z.unknown().optional(),
  notify: z.unknown().optional(),
})

export interface MaintenanceFile {
  readonly settings: z.output<typeof MAINTENANCE_SCHEMA>
  /** Absolute; where relative names in it begin. */
  readonly folder: string
  /** Undefined when there is no file: everything is the default. */
  readonly path: string | undefined
  /** Where the value at a path stands, or the deepest above it that is there; for checks that need more than the file. */
  place(...path: readonly PropertyKey[]): Place | undefined
}

export const MAINTENANCE_FILE = 'maintenance.yml'

/** Reads maintenance.yml of a folder. Throws UserError with all that is wrong and where. */
export function readMaintenance(folder: string): MaintenanceFile {
  const path = join(folder, MAINTENANCE_FILE)
  if (!existsSync(path)) {
    return { settings: MAINTENANCE_SCHEMA.parse({}), folder: resolve(folder), path: undefined, place: () => undefined }
  }
  return readMaintenanceFile(path)
}

/** Reads a file as maintenance.yml. Throws UserError with all that is wrong and where. */
export function readMaintenanceFile(path: string): MaintenanceFile {
  const node = readYaml(path)
  const parsed = MAINTENANCE_SCHEMA.safeParse(toPlain(node) ?? {})
  const problems = new Problems()
  for (const issue of (parsed.error?.issues ?? []).flatMap(flatten)) addIssue(problems, node, issue)
  problems.throwIfAny()
  return {
    settings: parsed.data!,
    folder: dirname(resolve(path)),
    path,
    place: (...keys) => placeOf(node, keys),
  }
}

type Path = readonly PropertyKey[]
type Issue = z.core.$ZodIssue

/** Of alternatives, the first that got as far as the value's own shape says what is wrong. */
function flatten(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue]
  const best = issue.errors.find((errors) =>
    errors.some(({ path, code }) => path.length > 0 || code === 'unrecognized_keys'),
  )
  return best ? best.flatMap((one) => flatten({ ...one, path: [...issue.path, ...one.path] } as Issue)) : [issue]
}

function addIssue(problems: Problems, root: YamlNode, issue: Issue): void {
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys) {
      const hint = didYouMean(key, keysAt(MAINTENANCE_SCHEMA, issue.path))
      problems.add(`unknown key "${key}"`, keyPlace(root, [...issue.path, key]), hint)
    }
    return
  }
  const where = issue.path.length > 0 ? `${issue.path.join('.')}: ` : ''
  problems.add(`${where}${issue.message}`, placeOf(root, issue.path))
}

/** The keys that a schema knows at a path. */
function keysAt(schema: unknown, path: Path): string[] {
  const inner = unwrap(schema)
  const [first, ...rest] = path
  if (first === undefined) return inner instanceof z.ZodObject ? Object.keys(inner.shape) : []
  if (inner instanceof z.ZodObject) return keysAt(inner.shape[String(first)], rest)
  if (inner instanceof z.ZodArray) return keysAt(inner.element, rest)
  return []
}

function unwrap(schema: unknown): unknown {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional)
    return unwrap(schema.unwrap())
  return schema
}

function placeOf(root: YamlNode, path: Path): Place {
  let node = root
  for (const key of path) {
    const next =
      node.kind === 'map' ? node.get(String(key)) : node.kind === 'list' ? node.items[Number(key)] : undefined
    if (next === undefined) break
    node = next
  }
  return node.place
}

function keyPlace(root: YamlNode, path: Path): Place {
  let node = root
  for (const key of path.slice(0, -1)) {
    const next =
      node.kind === 'map' ? node.get(String(key)) : node.kind === 'list' ? node.items[Number(key)] : undefined
    if (next === undefined) break
    node = next
  }
  return (node.kind === 'map' ? node.entries.get(String(path.at(-1)))?.keyPlace : undefined) ?? node.place
}
