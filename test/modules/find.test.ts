import fs from 'node:fs'
import { join } from 'node:path'
import find from '../../modules/find.ts'
import { converge, inEachShell } from './drive.ts'
import { table } from './table.ts'

table(find, [
  { name: 'reads only', args: { paths: '/a' }, state: {}, changes: [] },
  {
    name: 'a bad pattern',
    args: { paths: '/a', patterns: '(', use_regex: true },
    state: {},
    invalid: /Unterminated group/,
  },
  { name: 'bad age', args: { paths: '/a', age: '2 days' }, state: {}, invalid: /must be as in 2d/ },
])

inEachShell('find', async (t, bench) => {
  const top = join(bench.host, `-a 'b`)
  fs.mkdirSync(join(top, 'sub/deep'), { recursive: true })
  for (const [name, size] of [
    ['a.log', 10],
    ['b.log', 5000],
    ['.hidden.log', 1],
    ['sub/c.log', 1],
    ['sub/deep/ö d', 1],
  ] as const) {
    fs.writeFileSync(join(top, name), 'x'.repeat(size))
  }
  fs.utimesSync(join(top, 'b.log'), 0, Date.now() / 1000 - 86_400 * 3)
  fs.symlinkSync('a.log', join(top, 'l'))
  const names = async (more: object) => {
    const { result } = await converge(t, bench, find, { paths: [top, join(bench.host, 'none')], ...more })
    return (result.files as { path: string }[]).map((f) => f.path.slice(top.length + 1))
  }
  t.same(await names({}), ['a.log', 'b.log'])
  t.same(await names({ hidden: true, patterns: '*.log' }), ['.hidden.log', 'a.log', 'b.log'])
  t.same(await names({ recurse: true, patterns: ['?.log', 'ö*'], excludes: 'a*' }), [
    'b.log',
    'sub/c.log',
    'sub/deep/ö d',
  ])
  t.same(await names({ recurse: true, depth: 2 }), ['a.log', 'b.log', 'sub/c.log'])
  t.same(await names({ age: '2d' }), ['b.log'])
  t.same(await names({ age: '-2d' }), ['a.log'])
  t.same(await names({ size: '4k' }), ['b.log'])
  t.same(await names({ size: '-10' }), ['a.log'])
  t.same(await names({ size: '-10', recurse: true }), ['a.log', 'sub/c.log', 'sub/deep/ö d'])
  t.same(await names({ file_type: 'directory', recurse: true }), ['sub', 'sub/deep'])
  t.same(await names({ file_type: 'link' }), ['l'])
  t.same(await names({ use_regex: true, patterns: ['^a\\.', '^(?:b|c)'], recurse: true }), [
    'a.log',
    'b.log',
    'sub/c.log',
  ])
  t.same(await names({ use_regex: true, excludes: '^[ab]', hidden: true }), ['.hidden.log'])
})
