/** apt for real: packages of a repository made here, on a host with systemd. */
import { join } from 'node:path'
import pkg from '../../modules/package.ts'
import { onLab } from './on-lab.ts'
import { APT_TOOLS, buildDeb, indexRepository, must, scratch } from './repository.ts'

onLab(
  'package',
  async (t, host) => {
    const folder = scratch()
    const publish = async () => {
      indexRepository(folder)
      const tar = join(folder, 'all.tar')
      must(['tar', '-cf', tar, '--exclude=all.tar', '-C', folder, '.'])
      must(['cp', tar, `${host.lab.hosts[0]!.rootfs}/root/repo.tar`])
      await host.sh('mkdir -p /srv/repo && tar -xf /root/repo.tar -C /srv/repo && rm /root/repo.tar')
    }
    const version = (name: string) => host.sh(`dpkg-query -W -f='\${Version} \${db:Status-Abbrev}' ${name} || true`)
    buildDeb(folder, { name: 'rb-tool', version: '1.0-1', depends: 'rb-lib', conf: 'a = 1\n' })
    buildDeb(folder, { name: 'rb-lib', version: '1.0', provides: 'rb-virtual' })
    await publish()
    await host.sh('echo "deb [trusted=yes] copy:/srv/repo ./" > /etc/apt/sources.list.d/lab.list')

    await t.test('lists are brought up to date when they do not know a package', async (t) => {
      await t.rejects(host.apply(pkg, { name: 'rb-tool', update_cache: false }), /no repository .* package rb-tool/)
      t.same(await host.converge(t, pkg, { name: ['rb-tool', 'rb-lib'] }), [
        'update the package lists',
        'install rb-tool, install rb-lib',
      ])
      t.equal(await version('rb-tool'), '1.0-1 ii ')
      t.same(await host.check(pkg, { name: 'rb-virtual' }), [], 'provided by rb-lib')
      await t.rejects(host.check(pkg, { name: 'rb-toool' }), /no repository .* package rb-toool/)
      const outcome = await host.apply(pkg, { name: 'rb-tool' })
      t.same(outcome.result, { packages: { 'rb-tool': '1.0-1' } })
    })

    await t.test('versions, latest, hold, downgrade', async (t) => {
      await host.sh('echo "a = 2" > /etc/rb-tool.conf')
      buildDeb(folder, { name: 'rb-tool', version: '1.1-1', depends: 'rb-lib', conf: 'a = 3\n' })
      buildDeb(folder, { name: 'rb-tool', version: '1:2.0-1', depends: 'rb-lib', conf: 'a = 4\n' })
      await publish()
      t.same(await host.check(pkg, { name: 'rb-tool', state: 'latest' }), [], 'the lists do not know yet')
      await host.sh(
        'touch -d "2 hours ago" /var/lib/apt/periodic/update-success-stamp /etc/apt/sources.list.d /etc/apt/sources.list.d/* /etc/apt/sources.list',
      )
      t.same(await host.converge(t, pkg, { name: 'rb-tool=1.1*', hold: true, update_cache: true }), [
        'update the package lists',
        'replace rb-tool 1.0-1 by 1.1*',
        'hold rb-tool',
      ])
      t.equal(await version('rb-tool'), '1.1-1 hi ')
      t.equal(await host.sh('cat /etc/rb-tool.conf'), 'a = 2\n', 'the administrator’s file is kept')
      await t.rejects(host.check(pkg, { name: 'rb-tool', state: 'latest' }), /rb-tool 1.1-1 is held/)
      t.same(await host.converge(t, pkg, { name: 'rb-tool', state: 'latest', hold: true, conffiles: 'replace' }), [
        'replace rb-tool 1.1-1 by 1:2.0-1',
        'hold rb-tool',
      ])
      t.equal(await version('rb-tool'), '1:2.0-1 hi ')
      await host.converge(t, pkg, { name: 'rb-tool', hold: false })
      await t.rejects(host.apply(pkg, { name: 'rb-tool=1.0-1' }), /205: .*allow_downgrade/s)
      await t.rejects(
        host.check(pkg, { name: 'rb-tool=9.*', update_cache: false }),
        /no repository has rb-tool 9\.\*; there is 1:2\.0-1/,
      )
      await host.converge(t, pkg, { name: 'rb-tool=1.0-1', allow_downgrade: true })
      t.equal(await version('rb-tool'), '1.0-1 ii ')
    })

    await t.test('an interrupted dpkg, and a lock', async (t) => {
      buildDeb(folder, { name: 'rb-broken', version: '1', postinst: 'test -e /root/mended' })
      await publish()
      await t.rejects(host.apply(pkg, { name: 'rb-broken', cache_valid_time: 60, update_cache: true }), /rb-broken/)
      await host.sh('apt-get update -q')
      await t.rejects(host.apply(pkg, { name: 'rb-broken' }), /install rb-broken/)
      t.equal(await version('rb-broken'), '1 iF ')
      await host.sh('touch /root/mended; cp /dev/null /var/lib/dpkg/updates/0001')
      await t.rejects(host.check(pkg, { name: 'rb-broken' }), /dpkg --configure -a/)
      t.same(await host.converge(t, pkg, { name: 'rb-broken', repair: true }), [
        'finish what dpkg was interrupted in (dpkg --configure -a)',
        'install rb-broken 1',
      ])
      t.equal(await version('rb-broken'), '1 ii ')
      // struct flock of fcntl(2); dpkg and apt lock by it, flock(1) does not
      const take = '$l = pack "s s x![q] q q i", F_WRLCK, 0, 0, 0, 0; fcntl F, F_SETLK, $l or die; print 1; sleep 6'
      const hold = `open F, ">>", "/var/lib/dpkg/lock-frontend"; ${take}`
      await host.sh(
        `perl -MFcntl -e '$| = 1; ${hold}' >/run/rb-lock 2>&1 & until [ -s /run/rb-lock ]; do sleep 0.1; done; grep -x 1 /run/rb-lock`,
      )
      await t.rejects(host.apply(pkg, { name: 'rb-broken', state: 'absent', lock_timeout: 0 }), /203: another apt/)
      await host.converge(t, pkg, { name: 'rb-broken', state: 'absent', lock_timeout: 30 })
    })

    await t.test('removal', async (t) => {
      t.same(await host.converge(t, pkg, { name: 'rb-tool', state: 'absent' }), ['remove rb-tool'])
      t.equal(await version('rb-tool'), '1.0-1 rc ')
      t.same(await host.converge(t, pkg, { name: ['rb-tool', 'rb-lib'], state: 'absent', purge: true }), [
        'purge rb-tool, rb-lib',
      ])
      t.match(await version('rb-tool'), /^$| un $/)
    })
  },
  APT_TOOLS,
)
