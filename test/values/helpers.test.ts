import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { UserError } from '../../src/shared/errors.ts'
import { Redactor } from '../../src/shared/redact.ts'
import { cidrContains, cidrIp, cidrNetmask, cidrNetwork } from '../../src/values/cidr.ts'
import { helpersAsMarkdown } from '../../src/values/document.ts'
import { helpers } from '../../src/values/helpers.ts'
import { compareVersions } from '../../src/values/version.ts'
import fc from '../property.ts'
import { expression, plain, problem, text } from './support.ts'

t.test('every helper is documented and its examples hold', async (t) => {
  for (const [name, helper] of Object.entries(helpers)) {
    t.ok(helper.signature.startsWith(name), name)
    if (name !== 'file' && name !== 'password') t.ok(helper.examples.length > 0, `${name} has an example`)
    for (const [template, result] of helper.examples) t.same(text(template).evaluate(plain({})), result, template)
  }
})

t.test('docs/helpers.md is up to date', async (t) => {
  const path = new URL('../../docs/helpers.md', import.meta.url)
  const page = readFileSync(path, 'utf8')
  const start = page.indexOf('| In templates')
  if (process.env.UPDATE_DOCS) writeFileSync(path, page.slice(0, start) + helpersAsMarkdown())
  else t.equal(page.slice(start), helpersAsMarkdown())
})

t.test('more of them', async (t) => {
  const scope = plain({ list: ['b', 'a', 'b'], map: { x: 1, y: [2] }, n: [10, 9], text: 'a\nb\n\nc' })
  const table: [string, unknown][] = [
    ['{{ join list " " }}', 'b a b'],
    ['{{ json map 2 }}', '{\n  "x": 1,\n  "y": [\n    2\n  ]\n}'],
    ['{{ yaml map }}', 'x: 1\ny:\n  - 2'],
    ['{{ indent text 2 }}', 'a\n  b\n\n  c'],
    ['{{ sort n }}', [9, 10]],
    ['{{ unique list }}', ['b', 'a']],
    [`{{ unique (from_json '[{"a":1,"b":2},{"b":2,"a":1}]') }}`, [{ a: 1, b: 2 }]],
    [
      `{{ unique (from_json '[null,"null",{"a":1},"{\\"a\\":1}",1,"1"]') }}`,
      [null, 'null', { a: 1 }, '{"a":1}', 1, '1'],
    ],
    ['{{ quote list }}', 'b a b'],
    ['{{ quote "a b" }}', "'a b'"],
    ['{{ regex_replace "a-b" "(\\w)-(\\w)" "$2-$1" }}', 'b-a'],
    ['{{ replace "a$b" "$" "$&" }}', 'a$&b'],
    ['{{ contains map "x" }}{{ contains list "z" }}', 'truefalse'],
    ['{{ or list map }}{{ and list (not map) }}', 'truefalse'],
    ['{{ length "\u{1F600}" }}', 1],
    ['{{ env "A" }}', 'b'],
  ]
  const withEnv = plain(
    { list: scope.get('list'), map: scope.get('map'), n: scope.get('n'), text: scope.get('text') },
    { env: { A: 'b' } },
  )
  for (const [source, expected] of table) t.same(text(source).evaluate(withEnv), expected, source)
})

t.test('a password is made once, and kept for its owner only', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-password-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const redactor = new Redactor()
  const scope = plain({}, { directory: folder, redactor })
  const [dry] = ['{{ password "secrets/db" }}'].map((one) =>
    text(one).evaluate(plain({}, { directory: folder, readOnly: true })),
  )
  t.throws(() => statSync(join(folder, 'secrets')), 'a dry run keeps nothing')
  const made = text('{{ password "secrets/db" }}').evaluate(scope) as string
  t.match(made, /^[A-Za-z0-9]{20}$/)
  t.not(made, dry)
  t.equal(text('{{ password "secrets/db" 40 }}').evaluate(scope), made, 'what is there stays')
  t.equal(expression('password("secrets/db")').evaluate(scope), made)
  t.equal(statSync(join(folder, 'secrets/db')).mode & 0o777, 0o600)
  t.equal(statSync(join(folder, 'secrets')).mode & 0o777, 0o700)
  t.same(readdirSync(join(folder, 'secrets')), ['db'])
  t.equal(redactor.redact(`it is ${made}`), 'it is ********')
  t.match(text('{{ password "pin" 12 "01" }}').evaluate(scope), /^[01]{12}$/)
  writeFileSync(join(folder, 'ansible'), 'from-ansible salt=abc\n', { mode: 0o644 })
  t.equal(text('{{ password "ansible" }}').evaluate(scope), 'from-ansible')
  t.equal(statSync(join(folder, 'ansible')).mode & 0o777, 0o600)
  writeFileSync(join(folder, 'empty'), '')
  for (const wrong of ['"empty"', '"x" 4', '"x" 20 "a"', '"x" 20 "a b"', '"pin/below"'])
    t.match(
      problem(() => text(`{{ password ${wrong} }}`).evaluate(scope)),
      /password/,
      wrong,
    )
})

t.test('wrong arguments', async (t) => {
  const scope = plain({ list: ['a', 1], map: {}, empty: [] })
  const table: [string, RegExp][] = [
    ['{{ first empty }}', /the list is empty/],
    ['{{ sort list }}', /cannot compare/],
    ['{{ regex_match "a" "(" }}', /Invalid regular expression/],
    ['{{ b64decode "%" }}', /not base64/],
    ['{{ b64decode "/v8=" }}', /not UTF-8/],
    ['{{ from_json "{" }}', /not JSON/],
    ['{{ hash "a" "md0" }}', /unknown algorithm/],
    ['{{ env "NO_SUCH_VARIABLE" }}', /is not set/],
    ['{{ file "/no/such/file" }}', /cannot read \/no\/such\/file \(ENOENT\)/],
    ['{{ keys list }}', /expected a map, got a list/],
    ['{{ version_compare "1" "~" "2" }}', /unknown operator/],
    ['{{ cidr_ip "10.0.0.0/30" 4 }}', /has no address 4/],
    ['{{ indent "a" 1000 }}', /from 0 to 100/],
  ]
  for (const [source, expected] of table)
    t.match(
      problem(() => text(source).evaluate(scope)),
      expected,
      source,
    )
})

t.test("files are relative to the scope's folder", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'values-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  writeFileSync(join(directory, 'key.pub'), 'ssh-ed25519 AAAA\n')
  t.equal(text('{{ file "key.pub" }}').evaluate(plain({}, { directory })), 'ssh-ed25519 AAAA')
  t.equal(expression('file("key.pub")').evaluate(plain({}, { directory })), 'ssh-ed25519 AAAA')
})

t.test('any arguments give a value or a UserError', async () => {
  const any = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.string())
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(helpers)), any, any, any, (name, a, b, c) => {
      const helper = helpers[name]!
      const args = ['a', 'b', 'c'].slice(0, Math.min(helper.max, 3)).join(' ')
      try {
        text(`{{ ${name} ${args} }}`).evaluate(plain({ a, b, c }))
      } catch (error) {
        if (!(error instanceof UserError)) throw error
      }
    }),
    { numRuns: 3000 },
  )
})

t.test('versions', async (t) => {
  const ordered = [
    '0.9',
    '1.0.0-alpha.1',
    '1.0.0-beta',
    '1.0.0-rc.1',
    '1.0.0',
    '1.0.1',
    '1.2',
    '1.9',
    '1.10.0',
    '2.0~rc1',
    '2',
    '10',
  ]
  for (let i = 1; i < ordered.length; i++)
    t.ok(compareVersions(ordered[i - 1]!, ordered[i]!) < 0, `${ordered[i - 1]} < ${ordered[i]}`)
  for (const [a, b] of [
    ['1', '1.0.0'],
    ['v1.2', '1.2'],
    ['1.2+deb1', '1.2'],
    ['1.0-RC1', '1.0-rc1'],
  ])
    t.equal(compareVersions(a!, b!), 0, `${a} = ${b}`)
})

t.test('networks', async (t) => {
  t.equal(cidrIp('10.96.0.0/12', -1), '10.111.255.255')
  t.equal(cidrIp('fd00::/64', 1), 'fd00::1')
  t.equal(cidrIp('fd00:1:2:3::/64', 257), 'fd00:1:2:3::101')
  t.equal(cidrNetwork('2001:db8::ffff/32'), '2001:db8::/32')
  t.equal(cidrNetwork('192.168.1.77/26'), '192.168.1.64/26')
  t.equal(cidrNetmask('10.0.0.0/0'), '0.0.0.0')
  t.ok(cidrContains('::ffff:10.0.0.0/104', '::ffff:10.1.2.3'))
  t.ok(cidrContains('10.0.0.0/8', '10.3.0.0/16'))
  t.notOk(cidrContains('10.3.0.0/16', '10.0.0.0/8'))
  t.notOk(cidrContains('0.0.0.0/0', '::1'))
  for (const bad of ['10.0.0.0/33', '10.0.0', 'x', '', '10.0.0.0/', '10.0.0.0/8/8', 'fe80::1%eth0', '::/129'])
    t.throws(() => cidrNetwork(bad), RangeError, bad)
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({ min: 0, max: 32 }), (ip, prefix) => {
      const network = cidrNetwork(`${ip}/${prefix}`)
      t.ok(cidrContains(network, ip) && cidrContains(network, cidrIp(network, -1)))
    }),
    { numRuns: 100 },
  )
  fc.assert(
    fc.property(fc.ipV6(), fc.integer({ min: 0, max: 128 }), (ip, prefix) => {
      if (ip.includes('%')) return
      const network = cidrNetwork(`${ip}/${prefix}`)
      t.ok(cidrContains(network, ip) && cidrIp(network, 0) === network.split('/')[0])
    }),
    { numRuns: 100 },
  )
})
