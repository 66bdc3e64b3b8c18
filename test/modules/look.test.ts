/** Modules that change nothing: stat, slurp, assert, fail, debug, set_fact. */
import fs from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import assert from '../../modules/assert.ts'
import debug from '../../modules/debug.ts'
import fail from '../../modules/fail.ts'
import setFact from '../../modules/set_fact.ts'
import slurp from '../../modules/slurp.ts'
import stat from '../../modules/stat.ts'
import { args, type Module } from '../../src/module/index.ts'
import { apply, converge, inEachShell } from './drive.ts'
import { table } from './table.ts'

const result = (module: Module, raw: unknown) => module.result(module.args.parse(raw), {}, [])

table(assert, [
  { name: 'holds', args: { that: { source: 'a > 1', value: true } }, state: {}, changes: [] },
  {
    name: 'names each that does not hold',
    args: {
      that: [
        { source: 'a > 1', value: false },
        { source: 'b', value: true },
        { source: 'c', value: false },
      ],
      msg: 'why',
    },
    state: {},
    fails: /why\ndoes not hold: a > 1; c$/,
  },
  { name: 'no boolean', args: { that: [{ source: 'a', value: 1 }] }, state: {}, invalid: /expected boolean/ },
])
table(fail, [{ name: 'fails', args: { msg: 'stop' }, state: {}, fails: /^stop$/ }])
table(setFact, [
  { name: 'a name that cannot be', args: { 'a-b': 1 }, state: {}, invalid: /cannot be the name of a variable/ },
  { name: 'nothing', args: {}, state: {}, invalid: /at least one/ },
])

t.same(result(setFact, { a: [1], b: 'x' }), { a: [1], b: 'x' })
t.same(result(debug, { msg: { a: 1 } }), { msg: '{\n  "a": 1\n}' })
t.same(result(debug, { var: { source: 'a.b', value: 3n } }), { msg: 'a.b = 3', value: 3n })
t.same(result(assert, { that: [], success_msg: 'fine' }), { msg: 'fine' })
for (const module of [assert, debug, fail, setFact, stat, slurp]) t.equal(module.readOnly, true)

t.test('arguments that are expressions', (t) => {
  t.same(args.celArguments(assert.args), ['that'])
  t.same(args.celArguments(debug.args), ['var'])
  t.same(args.celArguments(stat.args), [])
  t.same(args.celArguments(slurp.args), [], 'through a transform')
  t.same(args.celArguments(setFact.args), [])
  t.end()
})

inEachShell('stat and slurp', async (t, bench) => {
  const path = join(bench.host, `-q 'ö`)
  const look = async (more: object = {}) =>
    (await converge(t, bench, stat, { path, ...more })).result.stat as Record<string, unknown>
  t.same(await look(), { exists: false, path })
  fs.writeFileSync(path, 'abc')
  fs.chownSync(path, 1, 54321)
  fs.chmodSync(path, 0o4640)
  fs.utimesSync(path, 0, 1_700_000_000)
  const { ino, dev, ctimeMs } = fs.statSync(path)
  const { atime, ...rest } = await look({ get_checksum: true })
  t.type(atime, 'number')
  t.same(rest, {
    exists: true,
    path,
    type: 'file',
    isdir: false,
    isreg: true,
    islnk: false,
    mode: '4640',
    uid: 1,
    gid: 54321,
    pw_name: 'daemon',
    gr_name: 'UNKNOWN',
    size: 3,
    mtime: 1_700_000_000,
    ctime: Math.floor(ctimeMs / 1000),
    nlink: 1,
    inode: ino,
    dev,
    readable: true,
    writeable: true,
    executable: false,
    checksum: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  })
  t.equal((await converge(t, bench, slurp, { src: path })).result.content, 'YWJj')
  const big = Buffer.alloc(2_000_000, 7)
  fs.writeFileSync(path, big)
  t.equal((await apply(bench, slurp, { src: path })).result.content, big.toString('base64'))
  await t.rejects(apply(bench, slurp, { src: bench.host }), /is a directory/)
  fs.rmSync(path)
  await t.rejects(apply(bench, slurp, { src: path }), /does not exist/)
  fs.symlinkSync('nowhere', path)
  t.match(await look(), {
    type: 'link',
    islnk: true,
    lnk_target: 'nowhere',
    lnk_source: join(bench.host, 'nowhere'),
    readable: false,
  })
  t.same(await look({ follow: true }), { exists: false, path })
  fs.rmSync(path)
  fs.symlinkSync(path, path)
  await t.rejects(look({ follow: true }), /symbolic links/, 'a loop is no "not there"')
})
