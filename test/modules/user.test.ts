import user from '../../modules/user.ts'
import type { Module } from '../../src/module/index.ts'
import type { Account } from '../../src/module/reads/users.ts'
import { table } from './table.ts'

const HASH = '$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.'
const OTHER = '$6$other$WQJWCbj7PbUVMpMSVYhAsCyjDPbJPGO3gXjMLsTbHJhLWkCPWi5R8y3gbGYRUAbXHHJyQC9LbvMwJUvqBSXAR1'
const gone: Account = {
  entry: undefined,
  local: false,
  groups: [],
  password: undefined,
  expires: undefined,
  aging: {},
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
    name: 'the age of a password',
    args: { name: 'kim', password_expire_min: 7, password_expire_max: 60, password_expire_account_disable: -1 },
    state: state({ ...there, aging: { min: 7, max: 99_999 } }),
    changes: ['change the age of the password of kim: max 60'],
  },
  {
    name: 'the age of a password of a new user, whatever the host gives',
    args: { name: 'kim', password_expire_max: -1, password_expire_warn: 7 },
    state: state(gone),
    changes: ['create user kim', 'change the age of the password of kim: max -1, warn 7'],
  },
  {
    name: 'the age of a password that may not be seen',
    args: { name: 'kim', password_expire_max: 60 },
    state: state({ ...there, password: undefined }),
    fails: /root only/,
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
    name: 'groups with commas between them, as usermod takes them',
    args: { name: 'kim', groups: 'adm, sudo', append: false },
    state: state(there, [
      { name: 'adm', gid: 4 },
      { name: 'sudo', gid: 27 },
    ]),
    changes: ['change user kim: groups'],
    check: ([change]) => {
      if (!change!.script!.includes('adm,sudo')) throw new Error(change!.script)
    },
  },
  {
    name: 'no further groups at all',
    args: { name: 'kim', groups: '', append: false },
    state: state(there),
    changes: ['change user kim: groups'],
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
