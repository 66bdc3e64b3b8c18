import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import mount from '../../modules/mount.ts'
import { parseMountinfo } from '../../src/module/reads/mounts.ts'
import { apply, converge, inEachShell } from './drive.ts'
import { table } from './table.ts'

const live = (path: string, more: object = {}) => ({
  path,
  device: '8:17',
  source: '/dev/sdb1',
  fstype: 'ext4',
  options: ['rw', 'relatime'],
  ...more,
})
const fstab = (text: string) => ({
  exists: true,
  text,
  stat: { type: 'file', mode: 0o644, uid: 0, gid: 0, owner: 'root', group: 'root' },
})
const args = { path: '/srv', src: 'UUID=abc', fstype: 'ext4', state: 'mounted' }
const LINE = 'UUID=abc /srv ext4 defaults 0 0\n'

table(mount, [
  {
    name: 'from nothing',
    args,
    state: { fstab: fstab('# c\n'), mounts: [] },
    changes: ['write /etc/fstab', 'mount UUID=abc on /srv'],
    check: ([write]) => t.match(write?.script, /# c\nUUID=abc \/srv ext4 defaults 0 0\n/),
  },
  {
    name: 'as wanted, by device number, whatever the spacing',
    args,
    state: { fstab: fstab('UUID=abc\t/srv/  ext4 defaults\n'), mounts: [live('/srv')], device: '8:17' },
    changes: [],
  },
  {
    name: 'read-only after an error',
    args,
    state: { fstab: fstab(LINE), mounts: [live('/srv', { options: ['ro'] })], device: '8:17' },
    changes: ['remount /srv with defaults'],
  },
  {
    name: 'other options',
    args: { ...args, opts: 'noatime,nofail' },
    state: { fstab: fstab(LINE), mounts: [live('/srv')], device: '8:17' },
    changes: ['write /etc/fstab', 'remount /srv with noatime,nofail'],
    check: ([, remount]) => t.match(remount?.script, 'mount -o remount,noatime -- /srv'),
  },
  {
    name: 'another device is there',
    args,
    state: { fstab: fstab(LINE), mounts: [live('/srv')], device: '8:33' },
    fails: /in use by \/dev\/sdb1/,
  },
  {
    name: 'below a link',
    args: { ...args, path: '/mnt/srv' },
    state: {
      fstab: fstab(LINE.replace('/srv', '/mnt/srv')),
      mounts: [live('/var/mnt/srv')],
      device: '8:17',
      real: '/var/mnt/srv',
    },
    changes: [],
  },
  {
    name: 'twice mounted, absent',
    args: { path: '/srv', state: 'absent' },
    state: { fstab: fstab(LINE), mounts: [live('/srv'), live('/srv')] },
    changes: ['unmount /srv', 'unmount /srv', 'write /etc/fstab'],
  },
  {
    name: 'unmounted leaves fstab',
    args: { path: '/srv', state: 'unmounted' },
    state: { fstab: fstab(LINE), mounts: [] },
    changes: [],
  },
  {
    name: 'two lines become one',
    args: { ...args, state: 'present' },
    state: { fstab: fstab(LINE + LINE), mounts: [] },
    changes: ['write /etc/fstab'],
  },
  {
    name: 'nfs: the kernel says nfs4',
    args: { ...args, src: 'nas:/x/', fstype: 'nfs', state: 'ephemeral' },
    state: { fstab: fstab(''), mounts: [live('/srv', { source: 'nas:/x', fstype: 'nfs4' })] },
    changes: [],
  },
  { name: 'needs a source', args: { path: '/srv', state: 'mounted' }, state: {}, invalid: /needs `src` and `fstype`/ },
  { name: 'swap', args: { ...args, fstype: 'swap' }, state: {}, invalid: /use the module swap/ },
])

t.same(parseMountinfo('36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n'), [
  {
    path: '/mnt 2',
    device: '98:0',
    source: '/dev/root',
    fstype: 'ext3',
    options: ['rw', 'noatime', 'errors=continue'],
  },
])

inEachShell('mount', async (t, bench) => {
  const path = join(bench.host, 'mnt', `a 'mount'`)
  const bound = join(bench.host, 'bound')
  t.teardown(() => {
    for (const p of [path, bound]) spawnSync('umount', [p], { stdio: 'ignore' })
  })
  fs.mkdirSync(path, { recursive: true })
  if (spawnSync('mount', ['-t', 'tmpfs', 'none', path]).status !== 0) {
    t.comment('skipped: this machine may not mount')
    return
  }
  spawnSync('umount', [path])
  fs.rmSync(path, { recursive: true })
  const options = () =>
    parseMountinfo(fs.readFileSync('/proc/self/mountinfo', 'utf8')).find((m) => m.path === path)?.options
  const table = join(bench.host, 'fstab')
  fs.writeFileSync(table, '# mine\nnone /other tmpfs defaults 0 0')
  const args = { path, src: 'runbook-test', fstype: 'tmpfs', fstab: table, state: 'mounted' }
  await converge(t, bench, mount, { ...args, opts: 'size=1m,nofail,x-systemd.automount' })
  t.ok(options()?.includes('rw'))
  t.match(fs.readFileSync(table, 'utf8'), /^# mine\nnone .*\nrunbook-test .*\/a\\040'mount' tmpfs size=1m,/)
  await converge(t, bench, mount, { ...args, opts: 'size=1m,ro,noexec' })
  t.ok(options()?.includes('ro') && options()?.includes('noexec'))
  await converge(t, bench, mount, { ...args, opts: 'size=1m,noatime' })
  t.ok(options()?.includes('rw') && !options()?.includes('noexec'))
  t.equal((await apply(bench, mount, { path, state: 'remounted', opts: 'rw' })).changes.length, 1)
  // What was a mount point once, and leads to another one now.
  fs.symlinkSync(path, join(bench.host, 'old'))
  await converge(t, bench, mount, { path: join(bench.host, 'old'), state: 'absent', fstab: table })
  t.ok(options(), 'still mounted')
  fs.mkdirSync(join(bench.host, 'source'))
  fs.writeFileSync(join(bench.host, 'source/file'), 'here')
  const bind = { path: bound, src: join(bench.host, 'source'), fstype: 'none', opts: 'bind', fstab: table }
  await converge(t, bench, mount, { ...bind, state: 'ephemeral' })
  t.equal(fs.readFileSync(join(bound, 'file'), 'utf8'), 'here')
  await converge(t, bench, mount, { path: bound, state: 'unmounted', fstab: table })
  await converge(t, bench, mount, { path, state: 'absent', fstab: table })
  t.equal(options(), undefined)
  t.equal(fs.readFileSync(table, 'utf8'), '# mine\nnone /other tmpfs defaults 0 0\n')
})
