import repository from '../../modules/apt_repository.ts'
import type { Module } from '../../src/module/index.ts'
import { onLab } from './on-lab.ts'
import { APT_TOOLS, buildDeb, indexRepository, makeKey, must, scratch } from './repository.ts'
import { table } from './table.ts'

const file = (path: string) => ({ path, stat: undefined, content: undefined })
const state = {
  manager: { manager: 'apt', age: 1, sourcesChanged: false, interrupted: false, canHold: true },
  source: file('/etc/apt/sources.list.d/k.sources'),
  old: undefined,
  key: file('/etc/apt/keyrings/k.asc'),
  keyFolder: undefined,
  keys: [],
  listed: false,
}
const args = { name: 'k', uris: 'https://example.org/deb/', suites: '/' }
const KEY = '-----BEGIN PGP PUBLIC KEY BLOCK-----\n…'

table(repository as Module, [
  {
    name: 'key, sources, lists',
    args: { ...args, signed_by: KEY },
    state,
    changes: [
      'create folder /etc/apt/keyrings (0755)',
      'create /etc/apt/keyrings/k.asc (0644 root:root)',
      'create /etc/apt/sources.list.d/k.sources (0644 root:root)',
      'read the package lists of k',
    ],
    check: (changes) => {
      const text = 'Types: deb\nURIs: https://example.org/deb/\nSuites: /\nSigned-By: /etc/apt/keyrings/k.asc\n'
      if (!changes[2]!.script!.includes(text)) throw new Error(changes[2]!.script)
    },
  },
  {
    name: 'the list of another tool goes, with a key of the other form',
    args: { ...args, signed_by: '/usr/share/keyrings/k.gpg', update_cache: false },
    state: { ...state, key: undefined, old: {}, keys: ['/etc/apt/keyrings/k.gpg'] },
    changes: [
      'remove /etc/apt/sources.list.d/k.list, /etc/apt/keyrings/k.gpg',
      'create /etc/apt/sources.list.d/k.sources (0644 root:root)',
    ],
  },
  {
    name: 'a host without apt',
    args: { ...args, trusted: true },
    state: { ...state, manager: { manager: 'dnf' } },
    fails: /is dnf, not apt/,
  },
  { name: 'no key', args, state, invalid: /say who signs it/ },
  { name: 'a key from anywhere', args: { ...args, key_url: 'https://example.org/k' }, state, invalid: /key_checksum/ },
  { name: 'two keys', args: { ...args, key_file: 'k', signed_by: '/k' }, state, invalid: /only one of/ },
  {
    name: 'a suite without components',
    args: { ...args, suites: 'bookworm', trusted: true },
    state,
    invalid: /components/,
  },
  {
    name: 'a line in a value',
    args: { ...args, uris: 'http://a/\nTrusted: yes', trusted: true },
    state,
    invalid: /URI/,
  },
])

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
    t.equal(
      await host.sh('ls /etc/apt/keyrings /etc/apt/sources.list.d'),
      '/etc/apt/keyrings:\n\n/etc/apt/sources.list.d:\n',
    )
  },
  APT_TOOLS,
)
