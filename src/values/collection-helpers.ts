/** Helpers for lists and maps. */
import { pure } from './helper.ts'
import {
  contains,
  count,
  fromPairs,
  integer,
  item,
  list,
  map,
  merged,
  part,
  size,
  sorted,
  unique,
} from './helper-parts.ts'

export const collections = {
  length: pure(
    'length value',
    'Characters of a text, items of a list, entries of a map',
    '{{ length "node" }}',
    4,
    ([a]) => size(a),
  ),
  first: pure('first list', 'The first item', '{{ first (split "a b" " ") }}', 'a', ([a]) => item(a, 0)),
  last: pure('last list', 'The last item', '{{ last (split "a b" " ") }}', 'b', ([a]) => item(a, -1)),
  keys: pure('keys map', 'The names of the entries', `{{ keys (from_json '{"a":1}') }}`, ['a'], ([a]) =>
    Object.keys(map(a)),
  ),
  values: pure('values map', 'The values of the entries', `{{ values (from_json '{"a":1}') }}`, [1], ([a]) =>
    Object.values(map(a)),
  ),
  sort: pure(
    'sort list [ignore_case]',
    'Numbers by size or texts by code; true as the second: small letters and capitals alike',
    '{{ sort (split "b a" " ") }}',
    ['a', 'b'],
    ([a, ignoreCase = false]) => sorted(list(a), ignoreCase === true),
  ),
  unique: pure(
    'unique list',
    'Each value once, in the order of the first ones',
    '{{ unique (split "a b a" " ") }}',
    ['a', 'b'],
    ([a]) => unique(list(a)),
  ),
  concat: pure(
    'concat list list',
    'Both lists in one',
    '{{ concat (split "a b" " ") (split "c" " ") }}',
    ['a', 'b', 'c'],
    ([a, b]) => [...list(a), ...list(b)],
  ),
  contains: pure(
    'contains value part',
    'Whether a text has the part, a list the item, a map the key',
    '{{ contains "node-1" "node" }}',
    true,
    ([a, b]) => contains(a, b),
  ),
  flatten: pure(
    'flatten list [levels]',
    'Lists in the list taken apart: one level, or as many as are given; null is left out',
    `{{ json (flatten (from_json '[1,[2,[3]]]')) }}`,
    '[1,2,[3]]',
    ([a, levels = 1]) =>
      list(a)
        .flat(count(levels))
        .filter((one) => one !== null),
  ),
  zip: pure(
    'zip list list',
    'Pairs of the items at the same places, as many as the shorter list has',
    '{{ json (zip (split "a b" " ") (split "1 2" " ")) }}',
    '[["a","1"],["b","2"]]',
    ([a, b]) => {
      const [left, right] = [list(a), list(b)]
      return left.slice(0, right.length).map((one, i) => [one, right[i]])
    },
  ),
  slice: pure(
    'slice value start [end]',
    'A part of a list or text, from one place to before another; negative places count from the end',
    '{{ slice (split "a b c" " ") 1 }}',
    ['b', 'c'],
    ([a, start, end]) => part(a, integer(start), end === undefined ? undefined : integer(end)),
  ),
  list: {
    ...pure('list value …', 'A list of the values', '{{ join (list "a" "b") "," }}', 'a,b', (args) => args),
    max: 16,
  },
  from_pairs: pure(
    'from_pairs list',
    'A map of pairs: [name, value], or {key, value}',
    `{{ json (from_pairs (from_json '[["a",1]]')) }}`,
    '{"a":1}',
    ([a]) => fromPairs(list(a)),
  ),
  merge: pure(
    'merge map map [deep]',
    'Both maps in one; where both have an entry, the second’s. true as the third: maps in them are merged, too',
    `{{ json (merge (from_json '{"a":1}') (from_json '{"b":2}')) }}`,
    '{"a":1,"b":2}',
    ([a, b, deep = false]) => merged(map(a), map(b), deep === true),
  ),
}
