/** Files that sops made, recorded and fresh; files that we make, read by sops; and what has been tampered with. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import t from 'tap'
import { parse, stringify } from 'yaml'
import { decryptText, encryptText, makeDecrypt, rekeyText, resealText } from '../../src/secrets/index.ts'
import { Redactor } from '../../src/shared/redact.ts'
import { parseYaml, toPlain, type YamlMap } from '../../src/shared/yaml.ts'
import fc from '../property.ts'
import { KEY, KEY_FILE, made, RECIPIENT, skipWithoutAge, skipWithoutSops, sops } from './tools.ts'

const ENVIRONMENT = { SOPS_AGE_KEY: KEY, HOME: '/does/not/exist' }
const IDENTITIES = { keys: [KEY], places: ['test'] }
const CLEAR = toPlain(parseYaml(made('clear.yml')))

const file = (text: string, path = 'secrets.yml') => ({ path, text })

async function read(text: string, redactor = new Redactor(), environment: object = ENVIRONMENT): Promise<unknown> {
  const decrypt = makeDecrypt(redactor, environment as NodeJS.ProcessEnv)
  return toPlain(await decrypt(parseYaml(file(text)) as YamlMap))
}

t.test('files that sops made are read', async (t) => {
  for (const name of ['3.8.1.yml', '3.8.1-regex.yml', '3.13.3.yml', '3.13.3-regex.yml', '3.13.3-mac-only.yml']) {
    const source = made(name)
    t.same(await read(source.text), CLEAR, `${name}: values`)
    const { text } = await decryptText(source, IDENTITIES)
    t.same(parse(text), CLEAR, `${name}: the whole file`)
    for (const comment of ['what SOPS makes of each', 'in a list', 'beside', 'in a map', 'end'])
      t.match(text, `# ${comment}`, `${name}: comments`)
    t.notMatch(text, /ENC\[|sops:/, name)
  }
  for (const name of ['3.8.1.json', '3.13.3.json']) {
    const { text } = await decryptText(made(name), IDENTITIES)
    t.same(JSON.parse(text), JSON.parse(made('clear.json').text), name)
    t.ok(text.indexOf('"10"') < text.indexOf('"9"'), `${name}: keys keep their order`)
  }
  t.same(await read(made('3.13.3-time.yml').text), {
    when_unencrypted: '2024-05-06T00:00:00Z',
    at: '2024-05-06T07:08:09.5+02:00',
  })
})

t.test('every text is a secret before it is a value', async (t) => {
  const redactor = new Redactor()
  await read(made('3.13.3.yml').text, redactor)
  t.equal(redactor.redact('hunter2-äöü: {{ user }}, hunter2-äöü: x, line one'), '********, ********x, ********')
  t.equal(redactor.redact('2024-05-06'), '********')
  t.equal(redactor.redact('0o644 plain True'), '0o644 plain True', 'what stands in the clear is none, nor is a bool')
})

t.test('what was tampered with is refused', async (t) => {
  const { text } = made('3.13.3.yml')
  const line = (key: string) => new RegExp(`^${key}: .*$`, 'm').exec(text)![0]
  const enc = (key: string) => line(key).slice(key.length + 2)
  const cases: Record<string, [string, RegExp]> = {
    'a value in the clear changed': [text.replace('- plain', '- Plain'), /the MAC of this file is wrong/],
    'a value in the clear added': [`x_unencrypted: 1\n${text}`, /the MAC of this file is wrong/],
    'a value removed': [text.replace(`${line('number')}\n`, ''), /the MAC of this file is wrong/],
    'two values swapped in place': [
      text.replace(enc('number'), '@@').replace(enc('small'), enc('number')).replace('@@', enc('small')),
      /number cannot be decrypted: it is damaged, or was moved here/,
    ],
    'the order changed': [
      text.replace(`${line('number')}\n${line('small')}`, `${line('small')}\n${line('number')}`),
      /MAC/,
    ],
    'a secret in the clear': [text.replace(enc('db_password'), 'mine'), /db_password stands in the clear/],
    'a byte of data': [text.replace(/(db_password: ENC\[AES256_GCM,data:)./, '$1!'), /db_password cannot be decrypted/],
    'a short tag': [
      text.replace(/(db_password: .*,tag:)[^,]*/, '$1AAAA'),
      /db_password cannot be decrypted: it is damaged/,
    ],
    'the time of the MAC': [text.replace(/lastmodified: "\d{4}/, 'lastmodified: "1999'), /MAC of this file cannot be/],
    'no MAC': [text.replace(/^ {4}mac: .*\n/m, ''), /has no mac: the file is damaged/],
    'the data key': [
      text.replace(/(-----BEGIN AGE ENCRYPTED FILE-----\s+)./, '$1!'),
      /cannot be opened: the file is damaged/,
    ],
    'other services': [
      text.replace(/^ {4}age:\n[\s\S]*?(?= {4}lastmodified)/m, '    pgp:\n        - fp: x\n          enc: y\n'),
      /encrypted for pgp only; runbook reads age keys/,
    ],
    'a pattern that is none': [
      text.replace('unencrypted_suffix: _unencrypted', 'encrypted_regex: "("'),
      /the pattern \( is/,
    ],
  }
  for (const [name, [changed, message]] of Object.entries(cases)) {
    t.not(changed, text, `${name}: the case changes something`)
    await t.rejects(read(changed), { name: 'UserError', message }, name)
    await t.rejects(decryptText(file(changed), IDENTITIES), { name: 'UserError', message }, name)
  }
  const onlyEncrypted = made('3.13.3-mac-only.yml').text
  t.same(
    await read(onlyEncrypted.replace('number: 42', 'number: 43')),
    { ...(CLEAR as object), number: 43 },
    'mac_only_encrypted says that these may change',
  )
})

t.test('keys', async (t) => {
  const { text } = made('3.13.3.yml')
  const other = await generateIdentity()
  const home = t.testdir({ '.config/sops/age': { 'keys.txt': `# mine\n${other}\n\n${KEY}\n` }, none: {} })
  t.same(await read(text, undefined, { HOME: home }), CLEAR, '~/.config/sops/age/keys.txt')
  t.same(await read(text, undefined, { HOME: '/x', XDG_CONFIG_HOME: join(home, '.config') }), CLEAR, 'XDG_CONFIG_HOME')
  t.same(await read(text, undefined, { HOME: '/x', SOPS_AGE_KEY_FILE: KEY_FILE }), CLEAR, 'SOPS_AGE_KEY_FILE')
  t.same(await read(text, undefined, { HOME: '/x', SOPS_AGE_KEY: `${other} ${KEY}` }), CLEAR, 'SOPS_AGE_KEY')
  for (const [environment, message] of [
    [{ HOME: '/x' }, /no age key here opens this file; it is encrypted to age1\w+[\s\S]*found no key/],
    [{ HOME: '/x', SOPS_AGE_KEY: other }, new RegExp(`encrypted to ${RECIPIENT}[\\s\\S]*found age1`)],
    [{ HOME: '/x', SOPS_AGE_KEY_FILE: '/x/y' }, /cannot read the age keys of \/x\/y .*: it does not exist/],
    [{ HOME: '/x', SOPS_AGE_KEY: `${other.slice(0, -1)}${other.endsWith('Q') ? 'P' : 'Q'}` }, /damaged/],
    [{ HOME: '/x', SOPS_AGE_KEY: 'hunter2' }, /SOPS_AGE_KEY has something else than age keys/],
  ] as const) {
    const error = (await read(text, undefined, environment).catch((e: unknown) => e)) as Error
    t.match(error.message, message)
    t.notMatch(error.message, /AGE-SECRET-KEY-1\w|hunter2/, 'no key is shown')
  }
})

/** Keys that YAML, SOPS and JavaScript all keep, and values of every kind. */
const key = fc
  .stringMatching(/^[a-zA-Z0-9_][\w .:-]{0,11}$/)
  .filter((k) => !['sops', '__proto__'].includes(k) && k === k.trim())
const text = fc
  .string({ unit: 'binary', maxLength: 40 })
  .filter((s) => s.isWellFormed() && !/[\0-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff]/.test(s))
const leaf = fc.oneof(
  text,
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, min: -1e9, max: 1e9 }).map((n) => n || 0),
  fc.boolean(),
  fc.constant(null),
)
const { tree } = fc.letrec<{ tree: unknown; map: unknown }>((tie) => ({
  tree: fc.oneof({ maxDepth: 3 }, leaf, fc.array(tie('tree'), { maxLength: 4 }), tie('map')),
  map: fc.dictionary(key, tie('tree'), { maxKeys: 4, noNullPrototype: true }),
}))
const document = fc.dictionary(
  fc.oneof(
    key,
    key.map((k) => `${k}_unencrypted`),
  ),
  tree,
  { minKeys: 1, maxKeys: 5, noNullPrototype: true },
)

t.test('what is encrypted comes back, as YAML and as JSON', async (t) => {
  await fc.assert(
    fc.asyncProperty(document, async (value) => {
      for (const [path, clear] of [
        ['a.yml', stringify(value)],
        ['a.json', JSON.stringify(value)],
      ] as const) {
        const sealed = await encryptText(file(clear, path), [RECIPIENT])
        t.same(await read(sealed), parse(clear))
        t.same(parse((await decryptText(file(sealed, path), IDENTITIES)).text), parse(clear))
      }
    }),
    { numRuns: 60 },
  )
})

t.test('garbage is an error of the user', async (t) => {
  const { text: whole } = made('3.13.3.yml')
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(200), fc.string(), async (at, length, put) => {
      const changed = whole.slice(0, at) + put + whole.slice(at + length)
      try {
        await decryptText(file(changed), IDENTITIES)
      } catch (error) {
        t.equal((error as Error).name, 'UserError', String((error as Error).stack))
      }
    }),
    { numRuns: 200 },
  )
  t.pass('no bug was met')
})

t.test('an edit keeps the lines of what did not change', async (t) => {
  const source = made('3.13.3.yml')
  const opened = await decryptText(source, IDENTITIES)
  const sealed = await resealText(file(opened.text.replace('number: 42', 'number: 43')), opened)
  t.same(await read(sealed), { ...(CLEAR as object), number: 43 })
  const before = new Set(source.text.split('\n').map((line) => line.trim()))
  const changed = sealed
    .split('\n')
    .filter((line) => line.includes('ENC[') && !before.has(line.trim().replace(/ #ENC/, '#ENC')))
  // The comment beside a value was an item of the list before.
  t.same(
    changed.map((line) => line.trim().replace(/:.*/, '')).filter((name) => !/^[#-]/.test(name)),
    ['number', 'mac'],
  )
})

t.test('rekey', async (t) => {
  const other = await generateIdentity()
  const source = made('3.13.3.yml')
  const rekeyed = await rekeyText(source, IDENTITIES, [await identityToRecipient(other)])
  t.same(await read(rekeyed, undefined, { SOPS_AGE_KEY: other, HOME: '/x' }), CLEAR)
  await t.rejects(read(rekeyed), /no age key here opens this file/)
  t.notOk(rekeyed.includes(/db_password: (\S+)/.exec(source.text)![1]!), 'everything is encrypted anew')
  t.same(await read(await rekeyText(source, IDENTITIES)), CLEAR, 'to the same recipients')
})

t.test('what cannot be encrypted', async (t) => {
  for (const [clear, message] of [
    ['a: 0644\n', /a: 0644 is 644 to some readers of YAML and octal to others/],
    ['a: &x {b: 1}\nc: *x\n', /anchor/],
    ['- a\n', /only a map can be encrypted/],
    [made('3.13.3.yml').text, /it is encrypted already/],
  ] as const)
    await t.rejects(encryptText(file(clear), [RECIPIENT]), { name: 'UserError', message })
  await t.rejects(encryptText(file('a: b\n'), ['age1nobody']), { name: 'UserError', message: /age1nobody is no age/ })
})

t.test('sops reads what we make, and we what it makes', { skip: skipWithoutSops() }, async (t) => {
  const folder = t.testdir({})
  const ours = join(folder, 'ours.yml')
  const clear = made('clear.yml')
  for (const rule of [undefined, { encrypted_regex: '^(db_password|map)$' }]) {
    writeFileSync(ours, await encryptText(clear, [RECIPIENT], rule))
    const decrypted = sops('-d', ours)
    t.same(parse(decrypted), CLEAR)
    if (!rule) for (const comment of ['# in a list', '# beside', '# in a map', '# end']) t.match(decrypted, comment)
  }
  const json = join(folder, 'ours.json')
  writeFileSync(json, await encryptText(made('clear.json'), [RECIPIENT]))
  t.same(JSON.parse(sops('-d', json)), JSON.parse(made('clear.json').text))
  const theirs = sops('-e', '--age', RECIPIENT, made('clear.yml').path)
  t.same(await read(theirs), CLEAR)
  // Strings that Go's YAML takes for times in the clear are sops' own trouble, as is what neither prints as it reads.
  for (const value of fc.sample(document, { numRuns: 12, seed: 7 })) {
    writeFileSync(ours, await encryptText(file(stringify(value)), [RECIPIENT]))
    t.same(
      JSON.parse(sops('-d', '--output-type', 'json', ours)),
      JSON.parse(JSON.stringify(value)),
      JSON.stringify(value),
    )
  }
})

t.test('age reads the data key', { skip: skipWithoutAge() }, async (t) => {
  const sealed = parse(await encryptText(file('a: b\n'), [RECIPIENT])) as { sops: { age: { enc: string }[] } }
  const dataKey = execFileSync('age', ['-d', '-i', KEY_FILE], { input: sealed.sops.age[0]!.enc })
  t.equal(dataKey.length, 32)
})
