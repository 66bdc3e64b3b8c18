import fs from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import iniFile from '../../modules/ini_file.ts'
import type { Module } from '../../src/module/index.ts'
import { formatIni, parseIni } from '../../src/module/ini.ts'
import fc from '../property.ts'
import { apply, check, converge, inEachShell } from './drive.ts'
import { table } from './table.ts'

const FILE = '# head\nglobal=1\n\n[a]\nx = 1\n# x = 2\n; y=old\n\n# about b\n[b]\nx = 9\n'

const file = { exists: false, text: '', stat: undefined }

/** The text after the edit; undefined for none. */
function after(args: object, before: string | undefined): string | undefined {
  const parsed = iniFile.args.parse({ path: '/f', ...args })
  const stat = { type: 'file', mode: 0o644, uid: 0, gid: 0, owner: 'root', group: 'root' }
  const state = (text: string | undefined) => ({ file: text === undefined ? file : { exists: true, text, stat } })
  const [one] = (iniFile as Module).plan(parsed, state(before))
  if (one?.diff?.kind !== 'text') return undefined
  t.same((iniFile as Module).plan(parsed, state(one.diff.after as string)), [], `again: ${JSON.stringify(args)}`)
  return one.diff.after as string
}

const EDITS: readonly [name: string, args: object, before: string | undefined, after: string | undefined][] = [
  ['the value of an option', { section: 'a', option: 'x', value: 3 }, FILE, FILE.replace('x = 1', 'x = 3')],
  ['it is so', { section: 'a', option: 'x', value: '1' }, FILE, undefined],
  ['blanks around = are put right', { section: 'a', option: 'x', value: '1' }, '[a]\nx=1\n', '[a]\nx = 1\n'],
  ['or left', { section: 'a', option: 'x', value: '1', ignore_spaces: true }, '[a]\nx=1\n', undefined],
  ['without blanks', { section: 'a', option: 'x', value: '2', no_extra_spaces: true }, '[a]\nx = 1\n', '[a]\nx=2\n'],
  ['a commented option', { section: 'a', option: 'y', value: 'n' }, FILE, FILE.replace('; y=old', 'y = n')],
  [
    'comments are left',
    { section: 'a', option: 'y', value: 'n', modify_inactive_option: false },
    FILE,
    FILE.replace('x = 1\n', 'x = 1\ny = n\n'),
  ],
  ['a sentence is no option', { section: 'a', option: 'x', value: '1' }, '[a]\n# x\n', '[a]\nx = 1\n# x\n'],
  ['a new option', { section: 'b', option: 'z', value: '' }, FILE, `${FILE}z = \n`],
  ['a new section', { section: 'c', option: 'z', value: 'q' }, '[a]\nx = 1', '[a]\nx = 1\n[c]\nz = q\n'],
  ['a section alone', { section: 'c' }, undefined, '[c]\n'],
  ['before the first section', { option: 'global', value: '2' }, FILE, FILE.replace('global=1', 'global = 2')],
  ['the same, new', { option: 'new', value: '2' }, FILE, FILE.replace('global=1', 'global=1\nnew = 2')],
  [
    'a name that is a pattern',
    { section: 'a', option: 'a.b', value: '1' },
    '[a]\naxb = 2\n',
    '[a]\naxb = 2\na.b = 1\n',
  ],
  [
    'another section of a longer name',
    { section: 'a', option: 'x', value: 1 },
    '[a b]\nx = 2\n',
    '[a b]\nx = 2\n[a]\nx = 1\n',
  ],
  ['a value with =', { section: 'a', option: 'x', value: 'b = c' }, '[a]\nx = b = c\n', undefined],
  ['line endings stay', { section: 'a', option: 'y', value: '1' }, '[a]\r\nx = 1\r\n', '[a]\r\nx = 1\r\ny = 1\r\n'],
  ['without a value', { section: 'a', option: 'skip', allow_no_value: true }, '[a]\nx = 1\n', '[a]\nx = 1\nskip\n'],
  ['without a value: it has one', { section: 'a', option: 'x', allow_no_value: true }, '[a]\nx = 1\n', '[a]\nx\n'],
  [
    'several values',
    { section: 'a', option: 'x', values: ['1', '2'] },
    '[a]\nx = 2\nx = 3\nx = 4\n',
    '[a]\nx = 2\nx = 1\n',
  ],
  [
    'values beside others',
    { section: 'a', option: 'x', value: '5', exclusive: false },
    '[a]\nx = 2\n',
    '[a]\nx = 2\nx = 5\n',
  ],
  ['gone', { section: 'a', option: 'x', state: 'absent' }, FILE, FILE.replace('x = 1\n', '')],
  [
    'one value gone',
    { section: 'a', option: 'x', value: '2', exclusive: false, state: 'absent' },
    '[a]\nx = 1\nx=2\n',
    '[a]\nx = 1\n',
  ],
  ['a section gone', { section: 'b', state: 'absent' }, FILE, FILE.slice(0, FILE.indexOf('[b]'))],
  ['gone already', { section: 'none', option: 'x', state: 'absent' }, FILE, undefined],
  ['no file', { section: 'a', state: 'absent' }, undefined, undefined],
  [
    'one of two sections',
    { section: 'P', section_has_values: [{ option: 'ip', value: '2' }], option: 'k', value: 'new' },
    '[P]\nip=1\nk = a\n[P]\nip=2\nk = b\n',
    '[P]\nip=1\nk = a\n[P]\nip=2\nk = new\n',
  ],
  [
    'none of two sections',
    { section: 'P', section_has_values: [{ option: 'ip', value: '3' }], option: 'k', value: 'new' },
    '[P]\nip=1\n',
    '[P]\nip=1\n[P]\nip = 3\nk = new\n',
  ],
]

for (const [name, args, before, wanted] of EDITS) {
  t.test(name, (t) => {
    t.equal(after(args, before), wanted)
    t.end()
  })
}

table(iniFile as Module, [
  {
    name: 'no file to change',
    args: { path: '/f', section: 'a', option: 'x', value: '1', create: false },
    state: { file },
    fails: /does not exist/,
  },
  { name: 'an option needs its value', args: { path: '/f', option: 'x' }, state: {}, invalid: /needs `value`/ },
  { name: 'a boolean', args: { path: '/f', option: 'x', value: true }, state: {}, invalid: /quoted string/ },
  { name: 'two lines', args: { path: '/f', option: 'x', value: 'a\nb = c' }, state: {}, invalid: /one line/ },
  {
    name: 'value and values',
    args: { path: '/f', option: 'x', value: '1', values: ['2'] },
    state: {},
    invalid: /not both/,
  },
  { name: 'nothing', args: { path: '/f' }, state: {}, invalid: /give `section`, `option`/ },
])

t.test('any text survives being taken apart', (t) => {
  const line = fc.oneof(fc.string(), fc.constantFrom('[a]', '[a', 'x = 1', '# y', '', '\r'))
  fc.assert(
    fc.property(fc.array(line.map((l) => l.replaceAll('\n', ''))), (lines) => {
      const text = lines.map((l) => `${l}\n`).join('')
      return text === '\n' || formatIni(parseIni(text)) === text
    }),
  )
  t.end()
})

t.test('any edit converges', (t) => {
  const value = fc.string().filter((v) => !/[\r\n\0]/.test(v))
  const lines = fc.array(fc.oneof(value, fc.constantFrom('[a]', 'x = 1', 'x', '#x=2', ' x = 3 ', '[b]')))
  fc.assert(
    fc.property(lines, fc.array(value, { minLength: 1, maxLength: 3 }), fc.boolean(), (text, values, exclusive) => {
      after({ section: 'a', option: 'x', values, exclusive }, text.join('\n'))
      after({ section: 'a', option: 'x', values, exclusive, state: 'absent' }, text.join('\n'))
    }),
  )
  t.end()
})

inEachShell('ini_file', async (t, bench) => {
  const path = join(bench.host, 'f.ini')
  await converge(t, bench, iniFile, { path, section: 'a b', option: 'x', value: "it's $x", mode: '0640' })
  t.equal(fs.readFileSync(path, 'utf8'), "[a b]\nx = it's $x\n")
  await converge(t, bench, iniFile, { path, section: 'a b', option: 'x', state: 'absent' })
  t.equal(fs.readFileSync(path, 'utf8'), '[a b]\n')
  t.equal(fs.statSync(path).mode & 0o777, 0o640)
  const args = { path, section: 'a b', option: 'y', value: '1' }
  t.same(await check(bench, iniFile, args), [`write ${path}`])
  await t.rejects(
    apply(bench, iniFile, args, () => fs.writeFileSync(path, 'theirs\n')),
    /changed since it was read/,
    'somebody else writes meanwhile',
  )
})
