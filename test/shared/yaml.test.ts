import assert from 'node:assert/strict'
import t from 'tap'
import { stringify } from 'yaml'
import { UserError } from '../../src/shared/errors.ts'
import { parseYaml, toPlain, type YamlMap, type YamlScalar } from '../../src/shared/yaml.ts'
import fc from '../property.ts'

const parse = (text: string) => parseYaml({ path: 'a.yml', text })

function errorOf(text: string): string {
  try {
    parse(text)
  } catch (error) {
    if (error instanceof UserError) return error.message
    throw error
  }
  return 'no error'
}

t.test('values of the core schema, keys are strings', async (t) => {
  t.same(toPlain(parse('a: yes\nb: 012\nc: 0o17\nd: true\ne: ~\nf: 1.5\n80: x\ntrue: y\ng: [1, {h: i}]\n')), {
    a: 'yes',
    b: 12,
    c: 15,
    d: true,
    e: null,
    f: 1.5,
    80: 'x',
    true: 'y',
    g: [1, { h: 'i' }],
  })
  t.equal(toPlain(parse('')), null)
  t.equal(toPlain(parse('\uFEFFa'.slice(1))), 'a')
})

t.test('places and sources', async (t) => {
  const map = parse('mode: 0644\nrun: !cel "a + 1"\n') as YamlMap
  const mode = map.get('mode') as YamlScalar
  t.match(mode, { value: 644, source: '0644' })
  t.match(mode.place, { line: 1, column: 7 })
  const run = map.get('run') as YamlScalar
  t.match(run, { value: 'a + 1', tag: '!cel', source: '"a + 1"' })
  t.match(map.entries.get('run')!.keyPlace, { line: 2, column: 1 })
})

t.test('aliases are shared, merge keys fill in', async (t) => {
  const map = parse('a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}\nd: *a\ne: {"<<": 1}\n') as YamlMap
  t.same(toPlain(map), {
    a: { x: 1, y: 2 },
    b: { x: 1, y: 3 },
    c: { x: 1, y: 2, z: 4 },
    d: { x: 1, y: 2 },
    e: { '<<': 1 },
  })
  t.equal(map.get('d'), map.get('a'))
})

t.test('errors say what, where and how to mend', async (t) => {
  const table: [string, RegExp][] = [
    ['a: {{ x }}', /^a\.yml:1:4: a value that starts with "\{\{" must stand in quotes\n1 \| a: \{\{ x \}\}\n {7}\^\^/],
    ['a: {{ x }}/b', /^a\.yml:1:4: a value that starts with "\{\{"/],
    ['- {{ x }}', /^a\.yml:1:3: a value that starts/],
    ['a:\n\tb: 1', /^a\.yml:2:1: a tab cannot indent/],
    ['a: 1\na: 2', /^a\.yml:2:1: this key stands twice/],
    ['a: !foo 1', /the tag !foo is not known/],
    ['a: !vault |\n  $ANSIBLE', /Ansible Vault is not read/],
    ['a: @x', /cannot start with @/],
    ['a: b: c', /quotes/],
    ['a: *nope', /a\.yml:1:4: no anchor &nope/],
    ['a: &a [*a]', /no anchor &a/],
    ['a: {<<: 1}', /only maps can be merged/],
    ['__proto__: 1', /a\.yml:1:1: the key "__proto__"/],
    ['a: 123456789012345678901', /too large to be kept exactly/],
    ['a: !!binary aGk=', /cannot be used/],
    ['--- 1\n--- 2', /only one YAML document/],
    ['a: "x', /a\.yml:1:6: missing closing/],
    [`${'['.repeat(500)}`, /end with a ]/],
    [`${'['.repeat(200_000)}`, /nested too deeply/],
  ]
  for (const [text, pattern] of table) t.match(errorOf(text), pattern, text.slice(0, 40))
})

t.test('one error a line, all lines', async (t) => {
  t.equal(errorOf('a: {{ x }}\nb: {{ y }}/z\nc: 1\n').match(/must stand in quotes/g)?.length, 2)
})

t.test('an anchor bomb is refused at once', async (t) => {
  let bomb = 'a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n'
  for (let i = 1; i < 12; i++)
    bomb += `a${i}: &a${i} [${Array(10)
      .fill(`*a${i - 1}`)
      .join(',')}]\n`
  const start = performance.now()
  t.match(errorOf(bomb), /anchors of a\.yml write out to more than/)
  t.ok(performance.now() - start < 1000)
})

t.test('time grows with the size, not with its square', async (t) => {
  const keys = Array.from({ length: 40_000 }, (_, i) => `key${i}: ${i}\n`).join('')
  const before = process.cpuUsage().user
  t.equal((parse(keys) as YamlMap).entries.size, 40_000)
  const seconds = (process.cpuUsage().user - before) / 1e6
  // Measured: 0.4 s here, 8 s when the parser compares each key with each other one.
  t.ok(seconds < 4, `${seconds} s of CPU`)
})

t.test('round trip with the library', async () => {
  // -0 is left out: JSON reads it and cannot write it, YAML can.
  const data = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)) as typeof value)
  fc.assert(
    fc.property(data, (value) => {
      const text = stringify(value)
      if (text.includes('__proto__') || text.includes('<<')) return
      let plain: unknown
      try {
        plain = toPlain(parse(text))
      } catch (error) {
        if (error instanceof UserError && /too large/.test(error.message)) return
        throw error
      }
      assert.deepEqual(plain, value)
    }),
    { numRuns: 200 },
  )
})

t.test('any text gives a tree or a UserError', async () => {
  const pieces = fc.constantFrom(
    'a',
    ': ',
    '- ',
    '\n',
    '  ',
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '|',
    '>',
    '&a',
    '*a',
    '<<',
    '!',
    '\t',
    '{{',
    '#',
    ',',
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
      try {
        toPlain(parse(parts.join('')))
      } catch (error) {
        if (!(error instanceof UserError)) throw error
      }
    }),
    { numRuns: 1000 },
  )
})
