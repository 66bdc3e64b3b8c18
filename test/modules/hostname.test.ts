import t from 'tap'
import hostname, { editHosts } from '../../modules/hostname.ts'
import type { Module } from '../../src/module/index.ts'
import { table } from './table.ts'

const text = (s: string) => ({ exists: true, text: s, stat: { type: 'file', mode: 0o644 } })
const state = {
  live: 'node1',
  saved: text('node1\n'),
  hosts: undefined,
  cloud: undefined,
  preserve: { path: '/etc/cloud/cloud.cfg.d/99-runbook-hostname.cfg', stat: undefined, content: undefined },
}

table(hostname as Module, [
  { name: 'as wanted', args: { name: 'node1' }, state, changes: [] },
  {
    name: 'now and at boot',
    args: { name: 'node2' },
    state,
    changes: ['write /etc/hostname (0644)', 'set the host name to node2'],
  },
  {
    name: 'cloud-init is kept off',
    args: { name: 'node1' },
    state: { ...state, cloud: { type: 'directory' } },
    changes: ['create /etc/cloud/cloud.cfg.d/99-runbook-hostname.cfg (0644)'],
  },
  { name: 'not a name', args: { name: 'node_1' }, state, invalid: /must be a host name/ },
  { name: 'too long', args: { name: `${'a'.repeat(60)}.example.org` }, state, invalid: /at most 64/ },
])

const HOSTS = '127.0.0.1 localhost\n127.0.1.1 old.example.org old extra # ours\n'
t.equal(
  editHosts(HOSTS, '127.0.1.1', 'new.example.org', 'old'),
  '127.0.0.1 localhost\n127.0.1.1\tnew.example.org new old.example.org extra\n',
)
t.equal(editHosts('127.0.0.1 localhost', '10.0.0.1', 'new', 'old'), '127.0.0.1 localhost\n10.0.0.1\tnew\n')
for (const hosts of [HOSTS, '']) {
  const once = editHosts(hosts, '127.0.1.1', 'new.example.org', 'old.example.org')
  t.equal(editHosts(once, '127.0.1.1', 'new.example.org', 'new.example.org'), once)
}
