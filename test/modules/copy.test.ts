import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import copy from '../../modules/copy.ts'
import template from '../../modules/template.ts'
import { INLINE_BINARY_LIMIT, INLINE_LIMIT } from '../../src/module/changes/files.ts'
import fc from '../property.ts'
import { apply, type Bench, check, converge, inEachShell, modeOf } from './drive.ts'
import { table } from './table.ts'

const stat = (type: string, mode = 0o644) => ({ type, mode, uid: 0, gid: 0, owner: 'root', group: 'root' })

table(copy, [
  {
    name: 'a text that differs',
    args: { content: 'new\n', dest: '/etc/motd', mode: '0644', owner: 'root' },
    state: {
      direct: { path: '/etc/motd', stat: stat('file'), content: { sha256: 'x', content: Buffer.from('old\n') } },
    },
    check: ([c, none]) => {
      if (none || c?.diff?.kind !== 'text' || c.diff.before !== 'old\n' || c.diff.after !== 'new\n')
        throw new Error('diff')
    },
  },
  {
    name: 'no diff of what is no text',
    args: { content: 'new\n', dest: '/a' },
    state: { direct: { path: '/a', stat: stat('file'), content: { sha256: 'x', content: Buffer.from([0, 255]) } } },
    check: ([c]) => {
      if (c?.diff) throw new Error('diff')
    },
  },
  {
    name: 'force: false keeps a file',
    args: { content: 'new\n', dest: '/a', force: false },
    state: { direct: { path: '/a', stat: stat('file'), content: { sha256: 'x' } } },
    changes: [],
  },
  {
    name: 'a folder is no file',
    args: { content: 'new\n', dest: '/a' },
    state: { direct: { path: '/a', stat: stat('directory') } },
    fails: /is a directory/,
  },
  {
    name: 'src and content',
    args: { src: 'a', content: 'b', dest: '/a' },
    state: {},
    invalid: /either `src` or `content`/,
  },
  { name: 'content into a folder', args: { content: 'b', dest: '/a/' }, state: {}, invalid: /name of a file/ },
  { name: 'remote_src is absolute', args: { src: 'b', dest: '/a', remote_src: true }, state: {}, invalid: /absolute/ },
])

inEachShell('copy', async (t, bench) => {
  const at = (name: string) => join(bench.host, name)
  const odd = at(`-ö 'q" $HOME`)

  await t.test('text, with and without a newline at its end', async (t) => {
    for (const content of ['', 'no newline', 'two\n\n', `it's "$HOME" \`x\` \\n %s \\\n`, 'ünï\r\n']) {
      await converge(t, bench, copy, { content, dest: odd, mode: 'u=rw,g=r,o=' })
      t.equal(fs.readFileSync(odd, 'utf8'), content)
      t.equal(modeOf(odd), '0640')
    }
    await converge(t, bench, copy, { content: 'x', dest: odd, owner: 'daemon', group: 3 })
    t.equal(modeOf(odd), '0640', 'the mode stays')
    t.equal(fs.statSync(odd).uid, 1)
    await converge(t, bench, copy, { content: 'y', dest: odd })
    t.same([fs.statSync(odd).uid, fs.statSync(odd).gid], [1, 3], 'the owner stays')
  })

  await t.test('a link is followed', async (t) => {
    fs.symlinkSync(odd, at('link'))
    await converge(t, bench, copy, { content: 'through', dest: at('link') })
    t.equal(fs.readFileSync(odd, 'utf8'), 'through')
    t.ok(fs.lstatSync(at('link')).isSymbolicLink())
  })

  await t.test('validate and backup', async (t) => {
    const args = { dest: at('my conf'), validate: "grep -q good '%s'", backup: true }
    await converge(t, bench, copy, { ...args, content: 'good\n' })
    await t.rejects(apply(bench, copy, { ...args, content: 'bad\n' }), /validate refused/)
    t.equal(fs.readFileSync(at('my conf'), 'utf8'), 'good\n')
    const { result } = await converge(t, bench, copy, { ...args, content: 'good too\n' })
    t.equal(fs.readFileSync(result.backup_file as string, 'utf8'), 'good\n')
    const big = Buffer.concat([Buffer.from('good\n'), randomBytes(2000)])
    fs.writeFileSync(join(bench.controller, 'binary'), big)
    const again = await converge(t, bench, copy, { ...args, src: 'binary' })
    t.equal(fs.readFileSync(again.result.backup_file as string, 'utf8'), 'good too\n')
    t.same(fs.readFileSync(at('my conf')), big)
  })

  await t.test('big and binary files', async (t) => {
    for (const [i, size] of [1000, 64 * 1024 + 1, 3 * 1024 * 1024].entries()) {
      const bytes = randomBytes(size)
      fs.writeFileSync(join(bench.controller, 'blob'), bytes)
      await converge(t, bench, copy, { src: 'blob', dest: at('blob'), mode: '0600', owner: i })
      t.same(fs.readFileSync(at('blob')), bytes)
      t.equal(fs.statSync(at('blob')).uid, i)
    }
    fs.writeFileSync(join(bench.controller, 'long.txt'), 'line\n'.repeat(50_000))
    await converge(t, bench, copy, { src: 'long.txt', dest: at('long.txt') })
    t.equal(fs.statSync(at('long.txt')).size, 250_000)
  })

  await t.test('into folders', async (t) => {
    fs.writeFileSync(join(bench.controller, 'run.sh'), '#!/bin/sh\n')
    fs.chmodSync(join(bench.controller, 'run.sh'), 0o750)
    await converge(t, bench, copy, { src: 'run.sh', dest: `${at('new')}/`, mode: 'preserve' })
    t.equal(modeOf(at('new/run.sh')), '0750')
    const { result } = await converge(t, bench, copy, { src: 'run.sh', dest: at('new'), mode: '0700' })
    t.equal(result.dest, at('new/run.sh'))
    await t.rejects(apply(bench, copy, { src: 'run.sh', dest: at('no/folder/file') }), /the folder .* does not exist/)
    t.same(await check(bench, copy, { src: 'run.sh', dest: at('no/folder/file') }), [`create ${at('no/folder/file')}`])
  })

  await folders(t, bench)

  await t.test('on the host', async (t) => {
    fs.writeFileSync(at('from'), randomBytes(100_000))
    fs.chmodSync(at('from'), 0o4750)
    await converge(t, bench, copy, {
      src: at('from'),
      dest: at('to it'),
      remote_src: true,
      mode: 'preserve',
      owner: 'bin',
    })
    t.same(fs.readFileSync(at('to it')), fs.readFileSync(at('from')))
    t.equal(modeOf(at('to it')), '4750')
    await t.rejects(
      apply(bench, copy, { src: at('none'), dest: at('x'), remote_src: true }),
      /does not exist on the host/,
    )
  })
})

async function folders(t: Test, bench: Bench) {
  await t.test('a folder', async (t) => {
    const from = join(bench.controller, 'tree')
    fs.mkdirSync(join(from, 'sub dir/empty'), { recursive: true })
    fs.writeFileSync(join(from, 'a'), 'a\n')
    fs.writeFileSync(join(from, 'sub dir/b'), 'b\n')
    const dest = join(bench.host, 'copied')
    await converge(t, bench, copy, { src: 'tree', dest, directory_mode: '0750', mode: 'go=' })
    t.equal(fs.readFileSync(join(dest, 'tree/sub dir/b'), 'utf8'), 'b\n')
    t.equal(modeOf(join(dest, 'tree/sub dir/empty')), '0750')
    t.equal(modeOf(join(dest, 'tree/a')), '0600')
    await converge(t, bench, copy, { src: 'tree/', dest })
    t.equal(fs.readFileSync(join(dest, 'sub dir/b'), 'utf8'), 'b\n')
    fs.writeFileSync(join(dest, 'a'), 'changed')
    const { changes } = await converge(t, bench, copy, { src: 'tree/', dest })
    t.equal(changes.length, 1, 'only what differs')
  })
}

inEachShell('bytes of every kind arrive as they are, in the script or beside it', async (t, bench) => {
  const any = fc.sample(fc.uint8Array({ minLength: 1, maxLength: 300 }), { numRuns: 40, seed: 7 })
  const files = [
    ...any,
    Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
    ...["-n\0%s'", '%d%%\0\\c', '\0', '\\0101\xff', '\x80\n\n'].map((text) => Buffer.from(text, 'latin1')),
    randomBytes(INLINE_BINARY_LIMIT),
    randomBytes(INLINE_BINARY_LIMIT + 1),
    Buffer.from('%s\n'.repeat(INLINE_LIMIT / 3)),
  ]
  fs.mkdirSync(join(bench.controller, 'files'))
  for (const [i, bytes] of files.entries()) fs.writeFileSync(join(bench.controller, 'files', `f${i}`), bytes)
  const { changes } = await converge(t, bench, copy, { src: 'files/', dest: bench.host })
  t.equal(changes.filter(({ upload }) => upload).length, 1, 'only the longest goes over a channel of its own')
  for (const [i, bytes] of files.entries())
    t.ok(fs.readFileSync(join(bench.host, `f${i}`)).equals(bytes), `f${i}, ${bytes.length} bytes`)
})

inEachShell('template', async (t, bench) => {
  fs.mkdirSync(join(bench.controller, 'templates'))
  fs.writeFileSync(join(bench.controller, 'templates/a.conf.hbs'), 'rendered by the engine\n')
  const { result } = await converge(t, bench, template, {
    src: 'templates/a.conf.hbs',
    dest: `${bench.host}/`,
    mode: '0600',
    validate: 'grep -q rendered %s',
  })
  t.equal(result.dest, join(bench.host, 'a.conf'))
  t.equal(modeOf(join(bench.host, 'a.conf')), '0600')
})

const XATTR = `import os, sys
if sys.argv[1] == 'set':
    os.setxattr(sys.argv[2], 'user.origin', b'mine')
    # One entry each for owner, user 1234, group, mask, others: acl(5), linux/posix_acl_xattr.h
    entry = lambda tag, perm, id=0xffffffff: tag.to_bytes(2, 'little') + perm.to_bytes(2, 'little') + id.to_bytes(4, 'little')
    acl = entry(1, 6) + entry(2, 6, 1234) + entry(4, 4) + entry(16, 6) + entry(32, 0)
    os.setxattr(sys.argv[2], 'system.posix_acl_access', (2).to_bytes(4, 'little') + acl)
print(sorted((n, os.getxattr(sys.argv[2], n)) for n in os.listxattr(sys.argv[2])))`
const xattr = (verb: 'set' | 'get', path: string) =>
  spawnSync('python3', ['-c', XATTR, verb, path], { encoding: 'utf8' }).stdout

inEachShell('what is replaced keeps its access control list and extended attributes', async (t, bench) => {
  const path = join(bench.host, 'file')
  fs.writeFileSync(path, 'old')
  const before = xattr('set', path)
  if (!before.includes('user.origin')) return void t.comment('no python3, or a file system without extended attributes')
  fs.linkSync(path, join(bench.host, 'other name'))
  const { outputs } = await converge(t, bench, copy, { dest: path, content: 'new' })
  t.equal(fs.readFileSync(path, 'utf8'), 'new')
  t.equal(modeOf(path), '0660', 'the mask of the list')
  t.match(outputs[0]!.stderr.toString(), /^note: .*file has other names \(hard links\)/)
  if (bench.shell.argv.includes('/bin/busybox')) return
  t.equal(xattr('get', path), before)
})
