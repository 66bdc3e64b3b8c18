import fs from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import selinux from '../../modules/selinux.ts'
import type { Module } from '../../src/module/index.ts'
import { apply, converge, inEachShell } from './drive.ts'
import { table } from './table.ts'

const CONFIG = '# SELINUX= can take one of three values\nSELINUX=enforcing\nSELINUXTYPE=targeted\n'
const config = (text: string) => ({
  exists: true,
  text,
  stat: { type: 'file', mode: 0o644, uid: 0, gid: 0, owner: 'root', group: 'root' },
})
const none = { exists: false, text: '', stat: undefined }
const permissive = { policy: 'targeted', state: 'permissive' }

table(selinux as Module, [
  {
    name: 'now and at every boot',
    args: permissive,
    state: { config: config(CONFIG), live: '1' },
    changes: ['write /etc/selinux/config', 'setenforce 0'],
  },
  {
    name: 'at the next boot alone',
    args: permissive,
    state: { config: config(CONFIG), live: '' },
    changes: ['write /etc/selinux/config'],
  },
  {
    name: 'somebody set it by hand',
    args: { policy: 'targeted', state: 'enforcing' },
    state: { config: config(CONFIG), live: '0' },
    changes: ['setenforce 1'],
  },
  {
    name: 'it is so',
    args: { policy: 'targeted', state: 'enforcing' },
    state: { config: config(CONFIG), live: '1' },
    changes: [],
  },
  {
    name: 'off after a reboot, and out of the way until then',
    args: { state: 'disabled' },
    state: { config: config(CONFIG), live: '1' },
    changes: ['write /etc/selinux/config', 'setenforce 0'],
  },
  { name: 'no SELinux, none wanted', args: { state: 'disabled' }, state: { config: none, live: '' }, changes: [] },
  { name: 'no SELinux', args: permissive, state: { config: none, live: '' }, fails: /has no SELinux/ },
  { name: 'which policy?', args: { state: 'enforcing' }, state: {}, invalid: /`policy` is needed/ },
])

t.test('whether a reboot is needed', (t) => {
  const after = (state: string, live: string) =>
    (selinux as Module).result({ state, configfile: '/f' }, { config: none, live }, []).reboot_required
  t.strictSame(
    [after('enforcing', '1'), after('enforcing', ''), after('disabled', '0'), after('disabled', '')],
    [false, true, true, false],
  )
  t.end()
})

inEachShell('selinux', async (t, bench) => {
  // This machine's own is off; the kernel is for the table above.
  if (fs.existsSync('/sys/fs/selinux/enforce')) return t.comment('SELinux is on here: left alone')
  const configfile = join(bench.host, 'config')
  fs.writeFileSync(configfile, CONFIG)
  await converge(t, bench, selinux, { ...permissive, configfile })
  t.equal(fs.readFileSync(configfile, 'utf8'), CONFIG.replace('SELINUX=enforcing', 'SELINUX=permissive'))
  fs.writeFileSync(configfile, 'SELINUX=enforcing')
  await apply(bench, selinux, { policy: 'mls', state: 'enforcing', configfile })
  t.equal(fs.readFileSync(configfile, 'utf8'), 'SELINUX=enforcing\nSELINUXTYPE=mls\n')
})
