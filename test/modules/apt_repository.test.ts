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
