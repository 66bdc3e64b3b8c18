import group from '../../modules/group.ts'
import user from '../../modules/user.ts'
import type { Module } from '../../src/module/index.ts'
import type { Account } from '../../src/module/reads/users.ts'
import { onLab } from './on-lab.ts'
import { table } from './table.ts'

const HASH = '$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.'
const OTHER = '$6$other$WQJWCbj7PbUVMpMSVYhAsCyjDPbJPGO3gXjMLsTbHJhLWkCPWi5R8y3gbGYRUAbXHHJyQC9LbvMwJUvqBSXAR1'
const gone: Account = {
  entry: undefined,
  local: false,
  groups: [],
  password: undefined,
  expires: undefined,
  homeExists: false,
  tools: true,
}
const entry = { name: 'kim', uid: 1000, gid: 1000, comment: '', home: '/home/kim', shell: '/bin/sh' }
const there: Account = { ...gone, entry, local: true, password: HASH, homeExists: true, groups: ['adm'] }
const state = (account: Account, further: unknown[] = []) => ({ account, own: undefined, primary: undefined, further })
const noSecret = (changes: readonly unknown[]) => {
  for (const c of changes as { summary: string; diff?: unknown }[]) {
    if (JSON.stringify([c.summary, c.diff]).includes('salt')) throw new Error(`shows a hash: ${c.summary}`)
  }
}

table(user as Module, [
  {
    name: 'as wanted',
    args: { name: 'kim', groups: ['adm'], password: HASH },
    state: state(there, [{ name: 'adm', gid: 4 }]),
    changes: [],
  },
  {
    name: 'a new user, its hash on standard input',
    args: { name: 'kim', password: HASH },
    state: state(gone),
    changes: ['create user kim', 'set the password of kim'],
    check: (changes) => {
      noSecret(changes)
      if (!changes[1]!.script!.includes('| chpasswd -e')) throw new Error(changes[1]!.script)
      if (changes[0]!.script!.includes('salt')) throw new Error('hash on a command line')
    },
  },
  {
    name: 'a group of that name is there',
    args: { name: 'kim' },
    state: { ...state(gone), own: { name: 'kim', gid: 7 } },
    check: ([c]) => {
      if (!c?.script?.includes('-g kim')) throw new Error(c?.script)
    },
  },
  {
    name: 'groups are added to those that are there',
    args: { name: 'kim', groups: 'sudo', shell: '/bin/bash' },
    state: state(there, [{ name: 'sudo', gid: 27 }]),
    changes: ['change user kim: shell, groups'],
    check: ([c]) => {
      if (!c?.script?.includes('-G adm,sudo')) throw new Error(c?.script)
    },
  },
  {
    name: 'another password, which stays locked',
    args: { name: 'kim', password: OTHER },
    state: state({ ...there, password: `!${HASH}` }),
    changes: ['set the password of kim', 'lock the password of kim as before'],
    check: noSecret,
  },
  {
    name: 'the password of before',
    args: { name: 'kim', password: OTHER, update_password: 'on_create' },
    state: state(there),
    changes: [],
  },
  {
    name: 'locked is not another password',
    args: { name: 'kim', password: HASH },
    state: state({ ...there, password: `!${HASH}` }),
    changes: [],
  },
  {
    name: 'not root',
    args: { name: 'kim', password: HASH },
    state: state({ ...there, password: undefined }),
    fails: /become: true/,
  },
  {
    name: 'from a directory',
    args: { name: 'kim' },
    state: state({ ...there, local: false }),
    fails: /another name service/,
  },
  {
    name: 'a group that is not there',
    args: { name: 'kim', groups: ['nope'] },
    state: state(there, [undefined]),
    fails: /no group nope/,
  },
  { name: 'a password in clear', args: { name: 'kim', password: 'secret' }, state: {}, invalid: /must be a hash/ },
  { name: 'an option in disguise', args: { name: '-r' }, state: {}, invalid: /must be a name/ },
  { name: 'nobody to remove', args: { name: 'kim', state: 'absent' }, state: state(gone), changes: [] },
])

onLab('user and group', async (t, host) => {
  t.same(await host.converge(t, group, { name: 'rbgroup', gid: 4242 }), ['create group rbgroup (gid 4242)'])
  t.same(await host.converge(t, group, { name: 'rbgroup', gid: 4243 }), ['change the gid of group rbgroup to 4243'])
  const args = { name: 'rbuser', groups: ['rbgroup', 'adm'], password: HASH, shell: '/bin/sh', comment: 'Kim O’Neil' }
  t.same(await host.converge(t, user, args), ['create user rbuser (groups rbgroup, adm)', 'set the password of rbuser'])
  t.match(await host.sh('id -nG rbuser'), /^rbuser adm rbgroup$/m)
  t.equal(await host.sh('getent shadow rbuser | cut -d: -f2'), `${HASH}\n`)
  t.match(await host.sh('stat -c "%U %a" /home/rbuser; ls -A /home/rbuser'), /^rbuser 7[05][05]\n.*\.bashrc/s)
  const more = {
    name: 'rbuser',
    groups: 'rbgroup',
    append: false,
    expires: '2031-02-03',
    password_lock: true,
    home: '/srv/rbuser',
    move_home: true,
  }
  t.same(await host.converge(t, user, more), [
    'change user rbuser: home, expires, groups',
    'lock the password of rbuser',
  ])
  t.match(
    await host.sh('id -nG rbuser; chage -l rbuser; ls -A /srv/rbuser; getent shadow rbuser'),
    /^rbuser rbgroup\n.*Feb 03, 2031.*\.bashrc.*:!\$6/s,
  )
  t.same(await host.converge(t, user, { name: 'rbuser', password: OTHER }), [
    'set the password of rbuser',
    'lock the password of rbuser as before',
  ])
  await host.converge(t, user, { name: 'rbuser', expires: 'never', password_lock: false })
  t.match(await host.sh('getent shadow rbuser'), /^rbuser:\$6\$other.*::::*$/m)
  await host.sh('rm -r /srv/rbuser')
  t.same(await host.converge(t, user, { name: 'rbuser' }), ['create home folder /srv/rbuser of rbuser'])
  t.equal(await host.sh('stat -c "%U:%G %a" /srv/rbuser /srv/rbuser/.bashrc'), 'rbuser:rbuser 700\nrbuser:rbuser 644\n')
  await t.rejects(host.apply(user, { name: 'rbother', uid: 0 }), /4: the uid is that of another user/)
  await t.rejects(host.apply(group, { name: 'rbuser', state: 'absent' }), /8: it is the primary group of a user/)
  await host.converge(t, user, { name: 'rbdaemon', system: true, home: '/var/lib/rb', shell: '/usr/sbin/nologin' })
  t.equal(await host.sh('test -e /var/lib/rb || echo none'), 'none\n')
  t.same(await host.converge(t, user, { name: 'rbuser', state: 'absent', remove: true }), [
    'remove user rbuser and its home folder',
  ])
  await host.converge(t, group, { name: 'rbgroup', state: 'absent' })
  t.equal(await host.sh('getent passwd rbuser; getent group rbgroup; ls /srv'), '')
})
