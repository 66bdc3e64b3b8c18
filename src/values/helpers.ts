/**
 * The helpers of templates and functions of expressions: one table, from which the documentation is made and whose
 * examples a test runs. `{{ name a b }}` in text is `name(a, b)` in CEL.
 */
import { posix, resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { stringify } from 'yaml'
import { UserError } from '../shared/errors.ts'
import { quote, quoteAll } from '../shared/quote.ts'
import type { Place } from '../shared/source.ts'
import { parseYaml, toPlain } from '../shared/yaml.ts'
import { cidrContains, cidrIp, cidrNetmask, cidrNetwork, cidrPrefix } from './cidr.ts'
import { collections } from './collection-helpers.ts'
import { type Helper, pure } from './helper.ts'
import {
  cidr,
  compare,
  count,
  decodeBase64,
  digest,
  found,
  foundAll,
  HelperError,
  integer,
  isTrue,
  list,
  matching,
  parseWith,
  readText,
  text,
  typeName,
  versionTest,
  word,
} from './helper-parts.ts'
import { passwordOf } from './password.ts'
import type { ScopeOptions } from './scope.ts'

export type { Helper } from './helper.ts'

export const helpers: Readonly<Record<string, Helper>> = {
  default: {
    signature: 'default value fallback',
    summary: 'The value, or the fallback when it is not defined or null',
    examples: [['{{ default port 6443 }}', 6443]],
    min: 2,
    max: 2,
    optional: true,
    call: ([value, fallback]) => value ?? fallback,
  },
  defined: {
    signature: 'defined value',
    summary: 'Whether the value is defined and not null',
    examples: [['{{ defined a.b }}', false]],
    min: 1,
    max: 1,
    optional: true,
    call: ([value]) => value !== undefined && value !== null,
  },
  lookup: {
    signature: 'lookup map key [fallback]',
    summary: 'The entry of a map or list whose key is computed, or the fallback when it is not there or null',
    examples: [['{{ lookup (split "a,b" ",") 1 }}', 'b']],
    min: 2,
    max: 3,
    call: ([of, key, fallback]) => {
      const found =
        of !== null && typeof of === 'object' && Object.hasOwn(of, String(key))
          ? of[String(key) as keyof typeof of]
          : undefined
      if ((found === undefined || found === null) && fallback !== undefined) return fallback
      if (found === undefined || found === null) throw new HelperError(`there is no entry "${key}"`)
      return found
    },
  },
  env: {
    signature: 'env name [fallback]',
    summary: 'An environment variable of the controller',
    examples: [['{{ env "NO_SUCH_VARIABLE" "none" }}', 'none']],
    min: 1,
    max: 2,
    call: ([name, fallback], options) => {
      const value = (options.env ?? process.env)[text(name)] ?? fallback
      if (value === undefined) throw new HelperError(`the environment variable ${name} is not set`)
      return value
    },
  },
  file: {
    signature: 'file path',
    summary: 'The text of a file on the controller, without the newline at its end',
    examples: [],
    min: 1,
    max: 1,
    call: ([path], options) => readText(resolve(options.directory ?? '.', text(path))),
  },

  password: {
    signature: 'password path [length] [characters]',
    summary:
      'A secret kept in a file on the controller (0600), made when it is not there: 20 letters and digits if not given',
    examples: [],
    min: 1,
    max: 3,
    call: ([path, length = 20, characters], { directory = '.', readOnly, redactor }) => {
      const secret = passwordOf(resolve(directory, text(path)), integer(length), characters, readOnly === true)
      redactor?.add(secret)
      return secret
    },
  },

  upper: pure('upper text', 'In capitals', '{{ upper "node" }}', 'NODE', ([a]) => text(a).toUpperCase()),
  lower: pure('lower text', 'In small letters', '{{ lower "NODE" }}', 'node', ([a]) => text(a).toLowerCase()),
  trim: pure('trim text', 'Without white space at both ends', '{{ trim "  a " }}', 'a', ([a]) => text(a).trim()),
  string: {
    ...pure('string value …', 'All values in one text', '{{ string "port " 6443 }}', 'port 6443', (args) =>
      args.map(word).join(''),
    ),
    max: 16,
  },
  type: pure('type value', 'string, int, double, bool, list or map', '{{ type "a" }}', 'string', ([a]) => typeName(a)),
  replace: pure(
    'replace text from to',
    'Every occurrence replaced',
    '{{ replace "a.b.c" "." "-" }}',
    'a-b-c',
    ([a, from, to]) => text(a).replaceAll(text(from), () => text(to)),
  ),
  split: pure(
    'split text [separator]',
    'A list of the parts; of the words if no separator is given',
    '{{ split "a,b" "," }}',
    ['a', 'b'],
    ([a, by]) => (by === undefined ? (text(a).match(/\S+/g) ?? []) : text(a).split(text(by))),
  ),
  join: pure(
    'join list [separator]',
    'One text of a list; the separator is "," if not given',
    '{{ join (split "a b" " ") "," }}',
    'a,b',
    ([a, by = ',']) => list(a).map(word).join(text(by)),
  ),
  indent: pure(
    'indent text spaces',
    'Every line but the first indented, empty lines left alone',
    '{{ indent "a\nb" 2 }}',
    'a\n  b',
    ([a, n]) => text(a).replace(/\n(?=[^\n])/g, `\n${' '.repeat(count(n))}`),
  ),
  quote: pure('quote value', 'A word, or a list of words, for sh', `{{ quote "it's" }}`, `'it'\\''s'`, ([a]) =>
    Array.isArray(a) ? quoteAll(a.map(word)) : quote(word(a)),
  ),
  basename: pure('basename path', 'The last part of a path', '{{ basename "/etc/fstab" }}', 'fstab', ([a]) =>
    posix.basename(text(a)),
  ),
  dirname: pure('dirname path', 'A path without its last part', '{{ dirname "/etc/fstab" }}', '/etc', ([a]) =>
    posix.dirname(text(a)),
  ),
  regex_match: pure(
    'regex_match text pattern',
    'Whether the pattern (JavaScript) is found in the text',
    '{{ regex_match "node-12" "-\\d+$" }}',
    true,
    ([a, re]) => matching(re, '', (pattern) => pattern.test(text(a))),
  ),
  regex_replace: pure(
    'regex_replace text pattern to',
    'Every match replaced; $1 is the first group',
    '{{ regex_replace "eth0" "\\d+" "X" }}',
    'ethX',
    ([a, re, to]) => matching(re, 'g', (pattern) => text(a).replace(pattern, text(to))),
  ),
  regex_find: pure(
    'regex_find text pattern [group]',
    'What the pattern finds first, or one of its groups; an error when it finds nothing',
    '{{ regex_find "node-12" "\\d+$" }}',
    '12',
    ([a, re, group = 0]) => found(text(a), re, count(group)),
  ),
  regex_find_all: pure(
    'regex_find_all text pattern',
    'A list of all that the pattern finds: its group if it has one, lists of its groups if it has more',
    '{{ regex_find_all "a=1 b=2" "(\\w)=" }}',
    ['a', 'b'],
    ([a, re]) => foundAll(text(a), re),
  ),
  b64encode: pure('b64encode text', 'Base64', '{{ b64encode "secret" }}', 'c2VjcmV0', ([a]) =>
    Buffer.from(text(a)).toString('base64'),
  ),
  b64decode: pure('b64decode text', 'The UTF-8 text that was encoded', '{{ b64decode "c2VjcmV0" }}', 'secret', ([a]) =>
    decodeBase64(text(a)),
  ),
  hash: pure(
    'hash text [algorithm]',
    'Hexadecimal digest; sha256 if not given',
    '{{ hash "a" "md5" }}',
    '0cc175b9c0f1b6a831c399e269772661',
    ([a, name = 'sha256']) => digest(text(a), text(name)),
  ),
  json: pure(
    'json value [spaces]',
    'JSON, on one line or indented',
    '{{ json (split "a b" " ") }}',
    '["a","b"]',
    ([a, n]) => JSON.stringify(a, null, n === undefined ? undefined : count(n)),
  ),
  yaml: pure('yaml value', 'YAML, without the newline at its end', '{{ yaml (split "a b" " ") }}', '- a\n- b', ([a]) =>
    stringify(a, { lineWidth: 0, aliasDuplicateObjects: false }).replace(/\n$/, ''),
  ),
  from_json: pure('from_json text', 'What a JSON text says', `{{ json (from_json '{"a":1}') }}`, '{"a":1}', ([a]) =>
    parseWith(JSON.parse, text(a), 'JSON'),
  ),
  from_yaml: pure('from_yaml text', 'What a YAML text says', '{{ from_yaml "5" }}', 5, ([a]) =>
    parseWith((yaml) => toPlain(parseYaml({ path: 'text', text: yaml })), text(a), 'YAML'),
  ),

  ...collections,

  add: {
    ...pure('add a b …', 'The sum of whole numbers', '{{ add 1 2 }}', 3, (args) =>
      args.map(integer).reduce((a, b) => integer(a + b)),
    ),
    max: 16,
  },
  sub: pure('sub a b', 'One whole number less another', '{{ sub 150 1 }}', 149, ([a, b]) =>
    integer(integer(a) - integer(b)),
  ),

  eq: pure('eq a b', 'Equal, of the same type', '{{ eq 1 1 }}', true, ([a, b]) => isDeepStrictEqual(a, b)),
  ne: pure('ne a b', 'Not equal', '{{ ne 1 "1" }}', true, ([a, b]) => !isDeepStrictEqual(a, b)),
  lt: pure('lt a b', 'Less: two numbers or two texts', '{{ lt 1 2 }}', true, ([a, b]) => compare(a, b) < 0),
  le: pure('le a b', 'Less or equal', '{{ le 2 2 }}', true, ([a, b]) => compare(a, b) <= 0),
  gt: pure('gt a b', 'Greater', '{{ gt 1 2 }}', false, ([a, b]) => compare(a, b) > 0),
  ge: pure('ge a b', 'Greater or equal', '{{ ge 1 2 }}', false, ([a, b]) => compare(a, b) >= 0),
  and: {
    ...pure('and a b …', 'Whether all are true', '{{ and true true false }}', false, (args) => args.every(isTrue)),
    max: 16,
  },
  or: { ...pure('or a b …', 'Whether one is true', '{{ or false true }}', true, (args) => args.some(isTrue)), max: 16 },
  not: pure('not a', 'Whether it is false', '{{ not false }}', true, ([a]) => !isTrue(a)),
  version_compare: pure(
    'version_compare a operator b',
    'Compares versions: < <= == != >= >; a pre-release is less',
    '{{ version_compare "v1.30.2" ">=" "1.9" }}',
    true,
    ([a, op, b]) => versionTest(text(a), text(op), text(b)),
  ),

  cidr_ip: pure(
    'cidr_ip network index',
    'The address at an index; negative ones count from the end',
    '{{ cidr_ip "10.96.0.0/12" 10 }}',
    '10.96.0.10',
    ([a, i]) => cidr(() => cidrIp(text(a), integer(i))),
  ),
  cidr_network: pure(
    'cidr_network address',
    'The network of an address',
    '{{ cidr_network "10.1.2.3/16" }}',
    '10.1.0.0/16',
    ([a]) => cidr(() => cidrNetwork(text(a))),
  ),
  cidr_netmask: pure(
    'cidr_netmask network',
    'The mask in dotted form',
    '{{ cidr_netmask "10.0.0.0/12" }}',
    '255.240.0.0',
    ([a]) => cidr(() => cidrNetmask(text(a))),
  ),
  cidr_prefix: pure('cidr_prefix network', 'The length of the prefix', '{{ cidr_prefix "10.0.0.0/12" }}', 12, ([a]) =>
    cidr(() => cidrPrefix(text(a))),
  ),
  cidr_contains: pure(
    'cidr_contains network address',
    'Whether an address or network lies in a network',
    '{{ cidr_contains "10.0.0.0/8" "10.1.2.3" }}',
    true,
    ([a, b]) => cidr(() => cidrContains(text(a), text(b))),
  ),
}

/** Calls a helper. Throws HelperError. What it makes of a secret is a secret from then on. */
export function runHelper(helper: Helper, args: unknown[], options: ScopeOptions): unknown {
  const result = helper.call(args, options)
  if (options.redactor && typeof result === 'string') taint(args, result, options)
  return result
}

/** Calls a helper. Throws UserError with the call's place. */
export function callHelper(helper: Helper, args: unknown[], options: ScopeOptions, place: () => Place): unknown {
  try {
    return runHelper(helper, args, options)
  } catch (error) {
    if (!(error instanceof HelperError)) throw error
    const name = helper.signature.split(' ')[0]
    throw new UserError({ message: `${name}: ${error.message}`, place: place(), hint: `write ${helper.signature}` })
  }
}

/** Adds a text that was made of a secret and does not show it in a form that is known already. */
function taint(args: unknown[], result: string, { redactor }: ScopeOptions): void {
  if (redactor!.size === 0 || redactor!.redact(result) !== result) return
  const given = args.map((arg) => (typeof arg === 'string' ? arg : (JSON.stringify(arg) ?? ''))).join('\n')
  // A text that was there before (the user name beside a password) is no secret.
  if (redactor!.redact(given) !== given && !args.some((arg) => includes(arg, result))) redactor!.add(result)
}

function includes(value: unknown, text: string): boolean {
  if (typeof value !== 'object' || value === null) return value === text
  return Object.values(value).some((part) => includes(part, text))
}
