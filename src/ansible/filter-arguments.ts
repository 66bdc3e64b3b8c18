/** Arguments of filters that the import looks at. */
import type { Args } from './jinja/ast.ts'
import { Refused } from './refused.ts'

/** How many arguments a filter takes, and which by name; none where it is not here. What a filter would not look at is refused. */
const ARGUMENTS: Readonly<Record<string, readonly [most: number, ...names: string[]]>> = {
  combine: [100, 'recursive', 'list_merge'],
  comment: [0, 'prefix', 'postfix'],
  d: [2, 'boolean'],
  default: [2, 'boolean'],
  difference: [1],
  flatten: [1, 'levels'],
  hash: [1],
  indent: [2, 'first'],
  intersect: [1],
  ipaddr: [1],
  join: [1, 'd'],
  map: [100, 'attribute', 'default', 'morekeys'],
  nthhost: [1],
  regex_findall: [1, 'multiline', 'ignorecase'],
  regex_replace: [2],
  regex_search: [10],
  reject: [4],
  rejectattr: [5],
  replace: [2],
  select: [4],
  selectattr: [5],
  sort: [0, 'reverse', 'case_sensitive'],
  split: [1],
  ternary: [2],
  union: [1],
  zip: [1],
}

/** Throws Refused. */
export function checkArguments(name: string, { list, named }: Args): void {
  // How it is laid out is another matter, which the report says.
  if (/^to_(nice_)?(json|yaml)$/.test(name)) return
  const [most, ...names] = ARGUMENTS[name] ?? [0]
  const other = Object.keys(named).find((one) => !names.includes(one))
  if (other !== undefined) throw new Refused(`${name} with "${other}"`, 'write it by hand')
  if (list.length > most) throw new Refused(`${name} with more arguments`, 'write it by hand')
}
