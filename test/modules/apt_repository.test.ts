import repository from '../../modules/apt_repository.ts'
import type { Module } from '../../src/module/index.ts'
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
const line = (file: string, at: number, text: string) => ({
  path: `/etc/apt/sources.list.d/${file}.list`,
  line: at,
  text,
})
const none = { exists: false, text: '', stat: undefined }
const text = (text: string) => ({
  exists: true,
  text,
  stat: { type: 'file', mode: 0o644, uid: 0, gid: 0, owner: 'root', group: 'root' },
})
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
  {
    name: 'one line, in a file named after its URI',
    args: {
      repo: '  deb  [arch=amd64 signed-by=/k.asc]   https://me:secret@download.example.org/linux/debian bookworm  stable',
    },
    state: { ...state, lines: [], list: none },
    changes: [
      'create /etc/apt/sources.list.d/download_example_org_linux_debian.list (0644)',
      'read the package lists of /etc/apt/sources.list.d/download_example_org_linux_debian.list',
    ],
    check: (changes) => {
      const text =
        'deb [arch=amd64 signed-by=/k.asc] https://me:secret@download.example.org/linux/debian bookworm stable'
      if (!changes[0]!.script!.includes(text)) throw new Error(changes[0]!.script)
    },
  },
  {
    name: 'another line of the same file',
    args: { repo: 'deb-src http://a.org/x y z', filename: 'a', mode: '0600' },
    state: { ...state, lines: [line('a', 1, 'deb http://a.org/x y z')], list: text('deb http://a.org/x y z\n') },
    changes: ['write /etc/apt/sources.list.d/a.list'],
    check: (changes) => {
      if (!changes[0]!.script!.includes('deb http://a.org/x y z\ndeb-src http://a.org/x y z'))
        throw new Error(changes[0]!.script)
    },
  },
  {
    name: 'a line that is commented out comes back',
    args: { repo: 'deb http://a.org/x y z', filename: 'a', update_cache: false },
    state: {
      ...state,
      lines: [line('a', 1, '# deb http://a.org/x  y z')],
      list: text('# deb http://a.org/x  y z\nother\n'),
    },
    changes: ['write /etc/apt/sources.list.d/a.list'],
    check: (changes) => {
      if (!changes[0]!.script!.includes('deb http://a.org/x  y z\nother')) throw new Error(changes[0]!.script)
    },
  },
  {
    name: 'a line that another list has',
    args: { repo: 'deb http://a.org/x y z' },
    state: { ...state, lines: [line('b', 3, 'deb http://a.org/x  y z # why')], list: none },
    changes: [],
  },
  {
    name: 'a line whose lists were never read',
    args: { repo: 'deb http://a.org/x y z', filename: 'a' },
    state: { ...state, lines: [line('a', 1, 'deb http://a.org/x y z')], list: text('deb http://a.org/x y z\n') },
    changes: ['read the package lists of /etc/apt/sources.list.d/a.list'],
  },
  {
    name: 'a line that goes, with the file where it is alone',
    args: { repo: 'deb http://a.org/x y z', state: 'absent' },
    state: {
      ...state,
      lines: [line('a', 1, 'deb http://a.org/x y z'), line('b', 1, '# kept'), line('b', 2, 'deb http://a.org/x y z')],
      list: none,
    },
    changes: ['remove /etc/apt/sources.list.d/a.list', 'remove the repository from /etc/apt/sources.list.d/b.list'],
  },
  {
    name: 'a line that is gone',
    args: { repo: 'deb http://a x', state: 'absent' },
    state: { ...state, lines: [], list: none },
    changes: [],
  },
  { name: 'a PPA', args: { repo: 'ppa:a/b' }, state, invalid: /must be a line such as/ },
  { name: 'two lines', args: { repo: 'deb http://a b\ndeb http://c d' }, state, invalid: /must be a line such as/ },
  { name: 'both forms', args: { ...args, repo: 'deb http://a b' }, state, invalid: /give `name`, or `repo`/ },
  { name: 'neither form', args: { update_cache: false }, state, invalid: /give `name`, or `repo`/ },
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
