/** Modules that gather facts: what they make of what programs print, and what they find on this machine. */
import { execFileSync } from 'node:child_process'
import t from 'tap'
import facts, { parseFacts } from '../../modules/facts.ts'
import getent from '../../modules/getent.ts'
import packageFacts, { parsePackages } from '../../modules/package_facts.ts'
import { parseServices } from '../../modules/service_facts.ts'
import { converge, inEachShell } from './drive.ts'
import { table } from './table.ts'

t.test('services', (t) => {
  const services = parseServices(`u ssh.service loaded active running OpenBSD Secure Shell server
u apparmor.service not-found inactive dead apparmor.service
u old.service masked inactive dead old.service
u broken.service loaded failed failed Breaks on not-found and masked things
u getty@tty1.service loaded active running Getty on tty1
u once.service loaded active exited Once
u  
f ssh.service enabled enabled
f getty@.service enabled enabled
f broken.service disabled enabled
f old.service masked -
f idle.service disabled enabled
f sshd.service alias -
n idle.service
n sshd.service
s inactive
s active
`)
  const short = Object.values(services).map(({ name, state, status, source }) =>
    [name, state, status, source].join(' '),
  )
  t.strictSame(short, [
    'apparmor.service stopped not-found systemd',
    'broken.service stopped failed systemd',
    'getty@.service unknown enabled systemd',
    'getty@tty1.service running active systemd',
    'idle.service inactive disabled systemd',
    'old.service stopped masked systemd',
    'once.service stopped active systemd',
    'ssh.service running enabled systemd',
    'sshd.service active alias systemd',
  ])
  t.end()
})

t.test('packages', (t) => {
  const text = [
    'installed\tapt\tlibc6\t2.36-9\t\t\tamd64',
    'installed\tapt\tlibc6\t2.36-9\t\t\ti386',
    'config-files\tapt\tgone\t1\t\t\tamd64',
    'installed\trpm\tbash\t5.1\t6.el9\t(none)\tx86_64',
    'installed\trpm\tvim\t8.2\t1.el9\t2\tx86_64',
    'installed\trpm\tgpg-pubkey\tabc\tdef\t(none)\t(none)',
    'dpkg-query: warning: something',
  ].join('\n')
  const of = (name: string, version: string, arch: string, source: string) => ({ name, version, arch, source })
  t.strictSame(parsePackages(text), {
    libc6: [of('libc6', '2.36-9', 'amd64', 'apt'), of('libc6', '2.36-9', 'i386', 'apt')],
    bash: [{ ...of('bash', '5.1', 'x86_64', 'rpm'), release: '6.el9', epoch: null }],
    'gpg-pubkey': [{ ...of('gpg-pubkey', 'abc', '', 'rpm'), release: 'def', epoch: null }],
    vim: [{ ...of('vim', '8.2', 'x86_64', 'rpm'), release: '1.el9', epoch: 2 }],
  })
  t.end()
})

table(packageFacts, [
  { name: 'nothing to change', args: {}, state: { packages: {} }, changes: [] },
  { name: 'another manager', args: { manager: 'pacman' }, state: {}, invalid: /manager/ },
])

table(getent, [
  {
    name: 'found',
    args: { database: 'passwd', key: 'root' },
    state: { lines: ['root:x:0:0::/root:/bin/sh'] },
    changes: [],
  },
  {
    name: 'no such key',
    args: { database: 'passwd', key: 'nobody2' },
    state: { lines: undefined },
    fails: /passwd has no entry nobody2/,
  },
  {
    name: 'that is fine',
    args: { database: 'passwd', key: 'x', fail_key: false },
    state: { lines: undefined },
    changes: [],
  },
  { name: 'an option', args: { database: '-s' }, state: {}, invalid: /one word/ },
])

inEachShell('getent', async (t, bench) => {
  const of = async (args: object) => (await converge(t, bench, getent, args)).result
  const root = { getent_passwd: { root: ['x', '0', '0', 'root', '/root', '/bin/bash'] } }
  t.match(await of({ database: 'passwd', key: 0, service: 'files' }), root)
  const all = (await of({ database: 'group' })).getent_group as Record<string, string[]>
  t.strictSame(all.root?.slice(0, 2), ['x', '0'])
  t.strictSame(await of({ database: 'passwd', key: 'none', fail_key: false }), { getent_passwd: { none: null } })
  const services = (await of({ database: 'services', key: 'ssh' })).getent_services
  t.match(services, { ssh: [/^22\/tcp/] })
  await t.rejects(of({ database: 'passwords' }), /passwords/)
})

inEachShell('package_facts', async (t, bench) => {
  const { packages } = (await converge(t, bench, packageFacts, {})).result as { packages: Record<string, unknown[]> }
  const installed = execFileSync('dpkg-query', ['-W', '-f', '${db:Status-Status} ${Package}\n'], { encoding: 'utf8' })
    .split('\n')
    .flatMap((line) => /^installed (.*)/.exec(line)?.[1] ?? [])
  t.strictSame(Object.keys(packages), [...new Set(installed)].sort())
})

t.test('who reads the facts, and with which programs', (t) => {
  const of = (text: string) => {
    const { user, bits } = parseFacts(text)
    return [user, bits]
  }
  t.same(of('machine aarch64\nuser 1000 kim /home/kim\ngid 100\nbits 32\n'), [
    { name: 'kim', uid: 1000, gid: 100, home: '/home/kim' },
    32,
  ])
  t.equal(of('machine aarch64\n')[1], 64)
  t.equal(of('machine armv7l\n')[1], 32)
  t.end()
})

inEachShell('the facts of this machine', async (t, bench) => {
  const { result } = (await converge(t, bench, facts, {})) as unknown as { result: { user: object; bits: number } }
  const id = (flag: string) => execFileSync('id', [flag], { encoding: 'utf8' }).trim()
  t.match(result.user, { name: id('-un'), uid: Number(id('-u')), gid: Number(id('-g')) })
  t.equal(result.bits, Number(execFileSync('getconf', ['LONG_BIT'], { encoding: 'utf8' })))
})
