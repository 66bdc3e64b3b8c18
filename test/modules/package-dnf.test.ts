/**
 * The real dnf and rpm, with a database, a cache and a repository of their own in a mount namespace on this machine. It is
 * Debian's build of dnf 4; no RPM distribution, no yum and no dnf 5 have been tried.
 */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import pkg from '../../modules/package.ts'
import { apply, check, LocalShell } from './drive.ts'
import { must, scratch, skipWithoutTools } from './repository.ts'

const TOOLS = { dnf: 'dnf', rpm: 'rpm', rpmbuild: 'rpm', createrepo_c: 'createrepo-c' }
const skip = process.getuid?.() === 0 ? skipWithoutTools(TOOLS) : 'needs root, for a mount namespace'

t.test('package by dnf', { skip, timeout: 300_000 }, async (t) => {
  const folder = scratch()
  for (const name of ['home', 'dpkg', 'cache', 'lib', 'repo', 'etc/repos.d', 'etc/plugins']) {
    mkdirSync(join(folder, name), { recursive: true })
  }
  const locks = join(folder, 'etc/plugins/versionlock.list')
  const configure = (plugins: string) =>
    writeFileSync(
      join(folder, 'etc/dnf.conf'),
      `[main]\ngpgcheck=False\nbest=True\nreposdir=/etc/dnf/repos.d\nplugins=${plugins}\n`,
    )
  configure('False')
  writeFileSync(join(folder, 'etc/repos.d/lab.repo'), `[lab]\nname=lab\nbaseurl=file://${folder}/repo\n`)
  const publish = (name: string, version: string, more = '') => {
    const spec = join(folder, `${name}.spec`)
    const head = `Name: ${name}\nVersion: ${version}\nRelease: 1\nSummary: made for a test\nLicense: none\nBuildArch: noarch\n`
    writeFileSync(spec, `${head}${more}%description\nnone\n%files\n`)
    must(['rpmbuild', '-bb', '--define', `_rpmdir ${folder}/repo`, '--define', `_topdir ${folder}/build`, spec])
    must(['createrepo_c', '--quiet', join(folder, 'repo')])
  }
  publish('rb-tool', '1.0')
  publish('rb-tool', '1.1')
  publish('rb-lib', '1.0', 'Epoch: 2\nProvides: rb-virtual\n')

  const binds = [
    ['dpkg', '/var/lib/dpkg'],
    ['cache', '/var/cache'],
    ['etc', '/etc/dnf'],
    ['lib', '/var/lib/dnf'],
  ]
  mkdirSync('/var/lib/dnf', { recursive: true })
  const mounts = binds.map(([from, to]) => `mount --bind ${folder}/${from} ${to} && `).join('')
  const wrap = ['unshare', '-m', 'sh', '-c', `${mounts}HOME=${folder}/home exec "$@"`, 'sh']
  const host = { shell: new LocalShell('dash', folder, wrap), controller: folder }
  const converge = async (t: Test, args: unknown): Promise<string[]> => {
    const said = await check(host, pkg, args)
    const { changes } = await apply(host, pkg, args)
    t.same(
      changes.map((c) => c.summary),
      said,
    )
    t.same(await check(host, pkg, args), [])
    return said
  }
  const version = async (name: string) =>
    (await host.shell.run(`rpm -q --qf '%{EPOCHNUM}:%{VERSION}-%{RELEASE}' ${name}`)).stdout.toString()

  t.same(await converge(t, { name: 'rb-tool=1.0', update_cache: true }), [
    'update the package lists',
    'install rb-tool 1.0',
  ])
  t.equal(await version('rb-tool'), '0:1.0-1')
  t.same(await check(host, pkg, { name: ['rb-tool=1.*', 'rb-tool'] }), [])
  t.same(await converge(t, { name: ['rb-tool', 'rb-lib'], state: 'latest' }), [
    'replace rb-tool 1.0-1 by 1.1-1, install rb-lib 2:1.0-1',
  ])
  t.equal(await version('rb-lib'), '2:1.0-1')
  t.same(await check(host, pkg, { name: 'rb-virtual' }), [])
  await t.rejects(check(host, pkg, { name: 'rb-nothing' }), /no repository .* rb-nothing/)
  await t.rejects(check(host, pkg, { name: 'rb-tool=1.0' }), /allow_downgrade/)
  t.same(await converge(t, { name: 'rb-tool=1.0', allow_downgrade: true }), ['replace rb-tool 1.1-1 by 1.0'])
  await t.rejects(check(host, pkg, { name: 'rb-tool', hold: true }), /versionlock plugin/)
  cpSync('/etc/dnf/plugins/versionlock.conf', join(folder, 'etc/plugins/versionlock.conf'))
  writeFileSync(locks, '')
  configure('True')
  t.same(await converge(t, { name: 'rb-tool', hold: true }), ['hold rb-tool'])
  await t.rejects(check(host, pkg, { name: 'rb-tool', state: 'latest' }), /rb-tool 1.0-1 is held/)
  t.same(await converge(t, { name: 'rb-tool', state: 'latest', hold: true }), [
    'replace rb-tool 1.0-1 by 1.1-1',
    'hold rb-tool',
  ])
  t.equal(await version('rb-tool'), '0:1.1-1')
  publish('rb-tool', '1.2')
  t.same(
    await converge(t, { name: 'rb-tool', state: 'latest', hold: true, update_cache: true, cache_valid_time: 3600 }),
    [],
  )
  await t.rejects(check(host, pkg, { name: 'rb-tool', state: 'absent' }), /is held: say `hold: false`/)
  t.same(await converge(t, { name: ['rb-tool', 'rb-lib'], state: 'absent', hold: false }), [
    'no longer hold rb-tool',
    'remove rb-tool, rb-lib',
  ])
  t.equal((await host.shell.run('rpm -q rb-tool')).rc, 1)
})
