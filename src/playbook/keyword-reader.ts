/** Reads the keywords of a map by a table of keywords.ts, and says of what is not in it what it might have been. */
import { didYouMean, type Problems, UserError } from '../shared/errors.ts'
import type { YamlEntry, YamlMap, YamlNode } from '../shared/yaml.ts'
import { INSTEAD, LEVELS, loopInstead, MODULE_INSTEAD, type Parsed, type Table } from './keywords.ts'
import { describe, kinds } from './kinds.ts'

export interface ReadMap<T extends Table> {
  readonly keywords: Parsed<T>
  /** The entries that the table does not have. */
  readonly rest: readonly YamlEntry[]
}

/** Wrong values go into `problems` and are left out. */
export function readKeywords<T extends Table>(map: YamlMap, table: T, problems: Problems): ReadMap<T> {
  const keywords: Record<string, unknown> = {}
  const rest: YamlEntry[] = []
  for (const entry of map.entries.values()) {
    const keyword = Object.hasOwn(table, entry.key) ? table[entry.key] : undefined
    if (keyword) keywords[entry.key] = problems.catch(() => kinds[keyword.kind].read(entry.value, entry.key))
    else rest.push(entry)
  }
  return { keywords: keywords as Parsed<T>, rest }
}

/** Reads a map that has nothing but keywords. */
export function readOnlyKeywords<T extends Table>(
  map: YamlMap,
  table: T,
  level: string,
  problems: Problems,
): Parsed<T> {
  const { keywords, rest } = readKeywords(map, table, problems)
  for (const entry of rest) addUnknown(entry, table, level, problems)
  return keywords
}

/** Adds a problem for a key that is no keyword of `table`; `more` are other words that could stand there. */
export function addUnknown(
  { key, keyPlace }: YamlEntry,
  table: Table,
  level: string,
  problems: Problems,
  more: Iterable<string> = [],
): void {
  const hint = loopInstead(key) ?? instead(INSTEAD, key)
  if (hint !== undefined) {
    problems.add(`"${key}" is a keyword of Ansible that does not exist here`, keyPlace, hint)
    return
  }
  const others = Object.entries(LEVELS).flatMap(([name, words]) => (Object.hasOwn(words, key) ? [name] : []))
  if (others.length > 0) {
    const hint = level === 'block' && key === 'loop' ? 'put the tasks into a file and use include_tasks' : undefined
    problems.add(`"${key}" cannot stand on ${withArticle(level)}, only on ${orList(others)}`, keyPlace, hint)
    return
  }
  const what =
    level === 'task' || level === 'handler' ? 'unknown keyword or module' : `unknown keyword of ${withArticle(level)}`
  const words = [...Object.keys(table), ...more]
  const module = key.slice(key.lastIndexOf('.') + 1)
  const other = level === 'task' || level === 'handler' ? instead(MODULE_INSTEAD, module) : undefined
  problems.add(`${what} "${key}"`, keyPlace, other ?? didYouMean(key, words) ?? didYouMean(module, words))
}

const instead = (table: Readonly<Record<string, string>>, word: string): string | undefined =>
  Object.hasOwn(table, word) ? table[word] : undefined

function orList(levels: readonly string[]): string {
  return levels.map(withArticle).join(' or ')
}

function withArticle(level: string): string {
  return /^(loop_control|vars_prompt)$/.test(level) ? level : /^[aeio]/.test(level) ? `an ${level}` : `a ${level}`
}

/** The node as a map. Throws UserError. */
export function asMap(node: YamlNode, what: string, hint?: string): YamlMap {
  if (node.kind === 'map') return node
  throw new UserError({ message: `${what} must be a map, not ${describe(node)}`, place: node.place, hint })
}
