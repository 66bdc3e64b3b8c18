import t from 'tap'
import firewalld from '../../modules/firewalld.ts'
import type { Module } from '../../src/module/index.ts'
import { table } from './table.ts'

const now = (permanent: boolean, immediate: boolean, running = true) => ({ now: { running, permanent, immediate } })
const api = { port: '6443/tcp', state: 'enabled' }
const both = { permanent: true, immediate: true }
const argv = (want: string) => (changes: readonly { script?: string }[]) => {
  if (!changes.some(({ script }) => script?.includes(want))) throw new Error(changes.map((c) => c.script).join('\n'))
}

table(firewalld as Module, [
  { name: 'a port, now', args: api, state: now(false, false), changes: ['add port 6443/tcp, now'] },
  { name: 'a port that is open', args: { ...api, ...both }, state: now(true, true), changes: [] },
  {
    name: 'a port, at every start alone',
    args: { ...api, permanent: true, zone: 'public' },
    state: now(false, false),
    changes: ['add port 6443/tcp (public), at every start'],
    check: argv('firewall-cmd --permanent --zone=public --add-port=6443/tcp'),
  },
  {
    name: 'what is lost at the next start',
    args: { ...api, ...both },
    state: now(false, true),
    changes: ['add port 6443/tcp, at every start'],
  },
  {
    name: 'for a while',
    args: { ...api, timeout: 60 },
    state: now(false, false),
    changes: ['add port 6443/tcp, now'],
    check: argv('firewall-cmd --add-port=6443/tcp --timeout=60'),
  },
  {
    name: 'without firewalld',
    args: { ...api, permanent: true },
    state: now(false, false, false),
    changes: ['add port 6443/tcp, at every start'],
    check: argv('firewall-offline-cmd --add-port=6443/tcp'),
  },
  {
    name: 'without firewalld, though it were to be now',
    args: { ...api, ...both },
    state: now(false, false, false),
    fails: /firewalld does not run/,
  },
  {
    name: 'without firewalld, and that is fine',
    args: { ...api, ...both, offline: true },
    state: now(false, false, false),
    changes: ['add port 6443/tcp, at every start'],
  },
  {
    name: 'gone',
    args: { service: 'cockpit', state: 'disabled', ...both },
    state: now(true, true),
    changes: ['remove service cockpit, at every start', 'remove service cockpit, now'],
  },
  {
    name: 'an interface leaves its other zone',
    args: { interface: 'cni0', zone: 'trusted', state: 'enabled' },
    state: now(false, false),
    changes: ['add interface cni0 (trusted), now'],
    check: argv('--zone=trusted --change-interface=cni0'),
  },
  {
    name: 'yes',
    args: { masquerade: true, state: 'enabled' },
    state: now(false, false),
    changes: ['add masquerade, now'],
  },
  { name: 'no and not at all', args: { masquerade: false, state: 'disabled' }, state: now(false, true), changes: [] },
  {
    name: 'no',
    args: { masquerade: false, state: 'enabled' },
    state: now(false, true),
    changes: ['remove masquerade, now'],
  },
  {
    name: 'to another host',
    args: { port_forward: [{ port: 80, proto: 'tcp', toport: '8080', toaddr: '10.0.0.1' }], state: 'enabled' },
    state: now(false, false),
    changes: ['add forward-port port=80:proto=tcp:toport=8080:toaddr=10.0.0.1, now'],
  },
  {
    name: 'a zone',
    args: { zone: 'pods', permanent: true, state: 'present' },
    state: now(false, false),
    changes: ['create the zone (pods), at every start'],
    check: argv('firewall-cmd --permanent --new-zone=pods'),
  },
  {
    name: 'a target that goes back',
    args: { zone: 'pods', permanent: true, target: 'DROP', state: 'absent' },
    state: now(true, false),
    changes: ['set the target default (pods), at every start'],
  },
  { name: 'two things', args: { ...api, service: 'ssh' }, state: {}, invalid: /`service` and `port` need tasks/ },
  { name: 'nothing', args: { state: 'enabled' }, state: {}, invalid: /say what/ },
  { name: 'a port that is there', args: { ...api, state: 'present' }, state: {}, invalid: /enabled` or `disabled/ },
  { name: 'a zone for now', args: { zone: 'pods', state: 'present' }, state: {}, invalid: /`permanent` only/ },
  { name: 'an interface of no zone', args: { interface: 'a', state: 'enabled' }, state: {}, invalid: /needs `zone`/ },
  { name: 'a port without its protocol', args: { ...api, port: '80' }, state: {}, invalid: /6443\/tcp/ },
  { name: 'an option', args: { service: '--reload', state: 'enabled' }, state: {}, invalid: /no blanks/ },
])

t.test('what firewall-cmd prints', (t) => {
  const module = firewalld as Module
  const ask = (out: string, rc = 0) =>
    (module.probe(module.args.parse(api)).from([{ out: Buffer.from(out), rc }] as never) as { now: unknown }).now
  t.same(ask('yes\n\npermanent 0\n\nimmediate 0\n'), { running: true, permanent: true, immediate: true })
  t.same(ask('no\n\npermanent 1\nFirewallD is not running\n\noff 0\n'), {
    running: false,
    permanent: false,
    immediate: false,
  })
  t.match(ask('Error: INVALID_ZONE: pods\n\npermanent 112\n'), { permanent: false }, 'a zone to come')
  t.throws(() => ask('Error: INVALID_SERVICE: x\n\nimmediate 101\n'), /INVALID_SERVICE: x/)
  t.throws(() => ask('', 3), /not installed/)
  t.end()
})
