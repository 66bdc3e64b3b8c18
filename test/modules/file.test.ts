import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import file from '../../modules/file.ts'
import { apply, check, converge, inEachShell, modeOf } from './drive.ts'
import { table } from './table.ts'

const stat = (type: string, mode: number, more: object = {}) => ({
  type,
  mode,
  uid: 0,
  gid: 0,
  owner: 'root',
  group: 'root',
  inode: 1,
  device: 1,
  ...more,
})

table(file, [
  {
    name: 'a folder that is missing',
    args: { path: '/a/b/', state: 'directory', mode: '0750', owner: 'root', group: 0 },
    state: {},
    changes: ['create folder /a/b (0750 root:0)'],
  },
  {
    name: 'a folder as wanted, owner by id',
    args: { path: '/a', state: 'directory', mode: 'u=rwx,go=', owner: 0, group: '0' },
    state: { own: stat('directory', 0o700), followed: stat('directory', 0o700) },
    changes: [],
  },
  {
    name: 'set-group-ID of a folder survives = but not an octal mode',
    args: { path: '/a', state: 'directory', mode: '0755' },
    state: { own: stat('directory', 0o2755), followed: stat('directory', 0o2755) },
    changes: ['chmod 0755 /a'],
  },
  {
    name: 'chown takes set-user-ID away, so chmod follows',
    args: { path: '/a', owner: 'bin', mode: '4755' },
    state: { own: stat('file', 0o4755), followed: stat('file', 0o4755) },
    changes: ['chown bin /a', 'chmod 4755 /a'],
  },
  { name: 'file must exist', args: { path: '/a' }, state: {}, fails: /does not exist; state touch/ },
  {
    name: 'a file where a folder is wanted',
    args: { path: '/a', state: 'directory' },
    state: { own: stat('file', 0o644), followed: stat('file', 0o644) },
    fails: /is a file, not a directory/,
  },
  {
    name: 'a link does not replace a file unasked',
    args: { path: '/a', src: 'b' },
    state: { own: stat('file', 0o644) },
    fails: /force: true/,
  },
  {
    name: 'a link as wanted',
    args: { path: '/a', src: 'b' },
    state: { own: stat('link', 0o777), link: 'b' },
    changes: [],
  },
  { name: 'a number for a mode', args: { path: '/a', mode: 644 }, state: {}, invalid: /quoted string/ },
  {
    name: 'check mode sees a mount point too',
    args: { path: '/srv/a', state: 'absent' },
    state: { own: stat('directory', 0o755), mounts: [{ path: '/srv/ab' }, { path: '/srv/a/b' }] },
    fails: /^\/srv\/a\/b is a mount point: unmount it first$/,
  },
  {
    name: 'one beside it is none of its business',
    args: { path: '/srv/a', state: 'absent' },
    state: { own: stat('directory', 0o755), mounts: [{ path: '/srv/ab' }, { path: '/srv' }] },
    changes: ['remove folder /srv/a'],
  },
  { name: 'never the root', args: { path: '//', state: 'absent' }, state: {}, invalid: /cannot be absent/ },
  { name: 'recurse without x', args: { path: '/a', recurse: true, mode: '0644' }, state: {}, invalid: /u=rwX/ },
  {
    name: 'src without link',
    args: { path: '/a', src: '/b', state: 'touch' },
    state: {},
    invalid: /goes with state link/,
  },
])

inEachShell('file', async (t, bench) => {
  const at = (name: string) => join(bench.host, name)
  const odd = at(`-ö 'quoted" $HOME \`x\``)

  await converge(t, bench, file, {
    path: join(odd, 'deep', 'er'),
    state: 'directory',
    mode: '0710',
    owner: 1,
    group: 'daemon',
  })
  t.equal(modeOf(join(odd, 'deep')), '0710')
  t.equal(fs.lstatSync(join(odd, 'deep/er')).gid, 1)

  await converge(t, bench, file, {
    path: join(odd, '-f'),
    state: 'touch',
    mode: 'u=rw,go=',
    access_time: 'preserve',
    modification_time: 'preserve',
  })
  t.equal(modeOf(join(odd, '-f')), '0600')
  const touched = await converge(t, bench, file, { path: join(odd, '-f'), state: 'touch' })
  t.equal(touched.changes.length, 1)

  await converge(t, bench, file, { path: join(odd, '-f'), owner: 'daemon', group: 'sys', mode: '2755' })
  t.equal(modeOf(join(odd, '-f')), '2755')

  await converge(t, bench, file, {
    path: at('link'),
    src: `-ö 'quoted" $HOME \`x\`/-f`,
    state: 'link',
    owner: 'daemon',
  })
  t.equal(fs.readFileSync(at('link'), 'utf8'), '')
  t.equal(fs.lstatSync(at('link')).uid, 1)
  await converge(t, bench, file, { path: at('link'), src: '../nowhere', state: 'link' })
  t.equal(fs.readlinkSync(at('link')), '../nowhere')
  fs.mkdirSync(at('folder'))
  await converge(t, bench, file, { path: at('to-folder'), src: 'folder', state: 'link' })
  await converge(t, bench, file, { path: at('to-folder'), src: 'other', state: 'link' })
  t.equal(fs.readlinkSync(at('to-folder')), 'other', 'a link to a folder is replaced, not entered')
  await converge(t, bench, file, { path: at('folder'), src: 'other', state: 'link', force: true })

  await converge(t, bench, file, { path: at('hard'), src: join(odd, '-f'), state: 'hard' })
  t.equal(fs.statSync(at('hard')).ino, fs.statSync(join(odd, '-f')).ino)

  const tree = at('a tree')
  fs.mkdirSync(join(tree, 'sub'), { recursive: true })
  fs.writeFileSync(join(tree, 'plain'), '', { mode: 0o600 })
  fs.writeFileSync(join(tree, 'sub/run'), '')
  fs.chmodSync(join(tree, 'sub/run'), 0o4711)
  fs.chmodSync(join(tree, 'sub'), 0o2700)
  fs.symlinkSync('/etc/passwd', join(tree, 'out'))
  await converge(t, bench, file, { path: tree, recurse: true, mode: 'u=rwX,go=rX', owner: 'daemon', group: 1 })
  t.equal(modeOf(join(tree, 'plain')), '0644')
  t.equal(modeOf(join(tree, 'sub/run')), '0755')
  t.equal(modeOf(join(tree, 'sub')), '2755')
  t.equal(fs.lstatSync(join(tree, 'out')).uid, 1)
  t.equal(fs.statSync('/etc/passwd').uid, 0, 'links in the tree are not followed')

  await converge(t, bench, file, { path: tree, state: 'absent' })
  t.notOk(fs.existsSync(tree))
  await converge(t, bench, file, { path: at('link'), state: 'absent' })
  await converge(t, bench, file, { path: odd, state: 'absent' })
  t.same(await check(bench, file, { path: odd, state: 'absent' }), [])
})

inEachShell('a mount point inside is not removed', async (t, bench) => {
  const inside = join(bench.host, 'data', 'in side')
  fs.mkdirSync(inside, { recursive: true })
  const mount = spawnSync('mount', ['-t', 'tmpfs', 'none', inside])
  if (mount.status !== 0) {
    t.comment('skipped: this machine may not mount')
    return
  }
  t.teardown(() => spawnSync('umount', [inside]))
  fs.writeFileSync(join(inside, 'kept'), '')
  await t.rejects(apply(bench, file, { path: bench.host, state: 'absent' }), /is a mount point/)
  // The kernel knows the mount by its real path only.
  fs.symlinkSync(bench.host, join(bench.controller, 'link'))
  await t.rejects(
    apply(bench, file, { path: join(bench.controller, 'link/data'), state: 'absent' }),
    /is a mount point/,
  )
  t.ok(fs.existsSync(join(inside, 'kept')))
})
