import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { KnownHosts } from '../../src/session/known-hosts.ts'
import { keyPlaceOf, pinHostKeys } from '../../src/session/pin-host-keys.ts'

/** A blob that names its type; of no other use. */
const key = (n: number): string => {
  const type = Buffer.from('ssh-ed25519')
  return `ssh-ed25519 ${Buffer.concat([Buffer.of(0, 0, 0, type.length), type, Buffer.alloc(36, n)]).toString('base64')}`
}

t.test('where ssh looks a host up', async (t) => {
  const folder = t.testdir({
    config:
      'Host db\n HostName 10.0.0.9\n Port 2222\n UserKnownHostsFile /etc/ours\nHost alias\n HostKeyAlias Rack-1\n',
  })
  const of = (address: string, more = {}) =>
    keyPlaceOf({ name: 'n1', connection: 'ssh2', address, sshConfigFile: join(folder, 'config'), ...more })
  t.strictSame(of('db'), { file: '/etc/ours', name: '[10.0.0.9]:2222' })
  t.strictSame(of('db', { port: 22, knownHostsFile: '/x' }), { file: '/x', name: '10.0.0.9' })
  t.strictSame(of('db', { sshOptions: [['userknownhostsfile', '/y']] }).file, '/y')
  t.equal(of('alias').name, 'rack-1')
  t.match(of('Other'), { file: join(homedir(), '.ssh/known_hosts'), name: 'other' })
})

t.test('a known_hosts that is a link stays one', async (t) => {
  const folder = t.testdir({ dotfiles: { known_hosts: '' }, known_hosts: t.fixture('symlink', 'dotfiles/known_hosts') })
  await pinHostKeys(join(folder, 'known_hosts'), 'h1', [key(1)])
  t.equal(readFileSync(join(folder, 'dotfiles/known_hosts'), 'utf8'), `h1 ${key(1)}\n`)
})

t.test('the keys of the name are the new ones, and everything else stays', async (t) => {
  const folder = t.testdir({})
  const file = join(folder, 'sub', 'known_hosts')
  await pinHostKeys(file, '10.0.0.1', [key(1), key(2)])
  t.equal(readFileSync(file, 'utf8'), `10.0.0.1 ${key(1)}\n10.0.0.1 ${key(2)}\n`)
  t.equal(statSync(file).mode & 0o777, 0o600)
  const kept = [
    `# mine`,
    `other ${key(3)}`,
    `@cert-authority 10.0.0.1 ${key(4)}`,
    '',
    `10.0.0.* ${key(5)}`,
    `[10.0.0.1]:2222 ${key(6)}`,
  ]
  const hashed = new KnownHosts([join(folder, 'hashed')])
  await hashed.record('10.0.0.1', '10.0.0.1', Buffer.from(key(7).split(' ')[1]!, 'base64'), true)
  const lines = [
    ...kept.slice(0, 2),
    `10.0.0.1,n1 ${key(1)}`,
    ...kept.slice(2),
    readFileSync(join(folder, 'hashed'), 'utf8').trim(),
  ]
  writeFileSync(file, lines.join('\n'), { mode: 0o644 })
  await pinHostKeys(file, '10.0.0.1', [key(8)])
  t.strictSame(readFileSync(file, 'utf8').trim().split('\n'), [
    ...kept.slice(0, 2),
    `n1 ${key(1)}`,
    ...kept.slice(2),
    `10.0.0.1 ${key(8)}`,
  ])
})

t.test('several at once lose none', async (t) => {
  const file = join(t.testdir({}), 'known_hosts')
  await Promise.all(Array.from({ length: 20 }, (_, i) => pinHostKeys(file, `n${i}`, [key(i)])))
  t.equal(readFileSync(file, 'utf8').trim().split('\n').length, 20)
})
