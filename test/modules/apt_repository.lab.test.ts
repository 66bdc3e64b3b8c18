import repository from '../../modules/apt_repository.ts'
import { onLab } from './on-lab.ts'
import { APT_TOOLS, buildDeb, indexRepository, makeKey, must, scratch } from './repository.ts'

onLab(
  'apt_repository',
  async (t, host) => {
    const folder = scratch()
    const key = makeKey(`${folder}/gpg`)
    const other = makeKey(`${folder}/other`)
    buildDeb(folder, { name: 'rb-signed', version: '1.0' })
    indexRepository(folder, `${folder}/gpg`)
    const tar = must([
      'tar',
      '-C',
      folder,
      '-cf',
      `${host.lab.hosts[0]!.rootfs}/root/repo.tar`,
      '--exclude=gpg',
      '--exclude=other',
      '.',
    ])
    t.equal(tar, '')
    await host.sh('mkdir /srv/repo && tar -xf /root/repo.tar -C /srv/repo')
    await host.sh('echo "deb [trusted=yes] copy:/srv/repo ./" > /etc/apt/sources.list.d/lab.list')
    const wanted = { name: 'lab', uris: 'copy:/srv/repo', suites: './', signed_by: key }
    const created = await host.converge(t, repository, wanted)
    t.same(created, [
      'create /etc/apt/keyrings/lab.asc (0644 root:root)',
      'remove /etc/apt/sources.list.d/lab.list',
      'create /etc/apt/sources.list.d/lab.sources (0644 root:root)',
      'read the package lists of lab',
    ])
    t.match(await host.sh('apt-cache policy rb-signed'), /Candidate: 1\.0/)
    await host.sh('rm -rf /var/lib/apt/lists/*')
    t.same(await host.converge(t, repository, wanted), ['read the package lists of lab'], 'as after a failed update')
    await t.rejects(
      host.apply(repository, { ...wanted, signed_by: other }),
      /206: a repository could not be read.*NO_PUBKEY/s,
    )
    const digest = must(['sha256sum'], { input: key }).split(' ')[0]!
    await host.sh('cat > /srv/repo/lab.key', key)
    await host.sh('cd /srv/repo && (busybox httpd -p 127.0.0.1:8099 || true)')
    const byUrl = { ...wanted, signed_by: undefined, key_url: 'http://127.0.0.1:8099/lab.key' }
    const bad = { ...byUrl, key_checksum: `sha256:${'0'.repeat(64)}` }
    await t.rejects(host.apply(repository, bad), /expected sha256 0+, got/)
    t.match(await host.converge(t, repository, { ...byUrl, key_checksum: `sha256:${digest}` }), [
      'download http://127.0.0.1:8099/lab.key to /etc/apt/keyrings/lab.asc (0644 root:root)',
      'read the package lists of lab',
    ])
    await host.converge(t, repository, { name: 'lab', state: 'absent' })
    await host.sh('cp /srv/repo/lab.key /srv/lab.asc')
    const one = { repo: 'deb [signed-by=/srv/lab.asc]  copy:/srv/repo ./' }
    t.same(await host.converge(t, repository, one), [
      'create /etc/apt/sources.list.d/copy_srv_repo.list (0644)',
      'read the package lists of /etc/apt/sources.list.d/copy_srv_repo.list',
    ])
    t.equal(
      await host.sh('cat /etc/apt/sources.list.d/copy_srv_repo.list'),
      'deb [signed-by=/srv/lab.asc] copy:/srv/repo ./\n',
    )
    t.match(await host.sh('apt-cache policy rb-signed'), /Candidate: 1\.0/)
    t.same(await host.check(repository, { ...one, filename: 'other' }), [], 'whatever list has it')
    t.same(await host.converge(t, repository, { ...one, state: 'absent' }), [
      'remove /etc/apt/sources.list.d/copy_srv_repo.list',
    ])
    t.equal(
      await host.sh('ls /etc/apt/keyrings /etc/apt/sources.list.d'),
      '/etc/apt/keyrings:\n\n/etc/apt/sources.list.d:\n',
    )
  },
  APT_TOOLS,
)
