import t from 'tap'
import ufw from '../../modules/ufw.ts'
import type { Module } from '../../src/module/index.ts'
import { table } from './table.ts'

const now = (more: object = {}) => ({
  status: 'inactive',
  policies: { incoming: 'DROP', outgoing: 'ACCEPT', routed: 'DROP' },
  logging: 'low',
  ...more,
})
const api = { rule: 'allow', from_ip: '10.0.0.0/8', to_port: 6443, proto: 'tcp' }

table(ufw as Module, [
  {
    name: 'a rule',
    args: api,
    state: { now: now(), rule: false },
    changes: ['add the rule: allow from 10.0.0.0/8 to any port 6443 proto tcp'],
  },
  { name: 'a rule that is there', args: api, state: { now: now(), rule: true }, changes: [] },
  {
    name: 'a rule that is to go',
    args: { ...api, delete: true, comment: 'not looked at' },
    state: { now: now(), rule: true },
    changes: ['delete the rule: allow from 10.0.0.0/8 to any port 6443 proto tcp'],
  },
  { name: 'a rule that is gone', args: { ...api, delete: true }, state: { now: now(), rule: false }, changes: [] },
  {
    name: 'all parts of a rule, in the order of ufw(8)',
    args: {
      ...{ rule: 'limit', direction: 'in', interface: 'eth0', log: true, from_ip: 'fd00::/8', from_port: '1:2' },
      ...{ to_ip: 'fd00::1', port: '80,443', proto: 'udp', comment: 'why it is there' },
    },
    state: { now: now(), rule: false },
    changes: [
      'add the rule: limit in on eth0 log from fd00::/8 port 1:2 to fd00::1 port 80,443 proto udp comment why it is there',
    ],
  },
  {
    name: 'forwarding from one card to another',
    args: { rule: 'allow', route: true, interface_in: 'cni0', interface_out: 'eth0' },
    state: { now: now(), rule: false },
    changes: ['add the rule: route allow in on cni0 out on eth0 from any to any'],
  },
  {
    name: 'an application, and on, in this order',
    args: { state: 'enabled', rule: 'allow', name: 'OpenSSH' },
    state: { now: now(), rule: false },
    changes: ['add the rule: allow from any to any app OpenSSH', 'enabled ufw'],
  },
  { name: 'on already', args: { state: 'enabled' }, state: { now: now({ status: 'active' }) }, changes: [] },
  { name: 'off', args: { state: 'disabled' }, state: { now: now({ status: 'active' }) }, changes: ['disabled ufw'] },
  {
    name: 'a policy',
    args: { policy: 'allow', direction: 'routed' },
    state: { now: now() },
    changes: ['allow what is routed'],
  },
  { name: 'a policy that holds', args: { default: 'deny' }, state: { now: now() }, changes: [] },
  { name: 'logging at whatever level', args: { logging: 'on' }, state: { now: now() }, changes: [] },
  { name: 'another level', args: { logging: 'high' }, state: { now: now() }, changes: ['log: high'] },
  { name: 'nothing wanted', args: { direction: 'in' }, state: {}, invalid: /say what is wanted/ },
  { name: 'ports of nothing', args: { state: 'enabled', port: 22 }, state: {}, invalid: /a rule needs `rule`/ },
  {
    name: 'an option as an address',
    args: { rule: 'allow', from_ip: '--dry-run' },
    state: {},
    invalid: /must be an address/,
  },
  { name: 'words as a port', args: { rule: 'allow', port: '22; id' }, state: {}, invalid: /must be as in 22/ },
  { name: 'a quote in a comment', args: { ...api, comment: "it's" }, state: {}, invalid: /may not hold/ },
  { name: 'a direction of the wrong kind', args: { ...api, direction: 'routed' }, state: {}, invalid: /in or out/ },
  {
    name: 'both cards without route',
    args: { rule: 'deny', interface_in: 'a', interface_out: 'b' },
    state: {},
    invalid: /`route`/,
  },
])

t.test('what ufw prints', (t) => {
  const module = ufw as Module
  const ask = (args: object, state: string, rule = '') =>
    module
      .probe(module.args.parse(args))
      .from([{ out: Buffer.from(state), rc: 0 }, ...(rule ? [{ out: Buffer.from(rule), rc: 0 }] : [])] as never) as {
      now: unknown
      rule?: boolean
    }
  const files =
    'DEFAULT_INPUT_POLICY="DROP"\nDEFAULT_OUTPUT_POLICY="ACCEPT"\nDEFAULT_FORWARD_POLICY="REJECT"\nLOGLEVEL=off\n'
  t.same(ask({ state: 'enabled' }, `Status: active\n${files}`).now, {
    status: 'active',
    policies: { incoming: 'DROP', outgoing: 'ACCEPT', routed: 'REJECT' },
    logging: 'off',
  })
  const there = (args: object, rule: string) => ask(args, `Status: inactive\n${files}`, rule).rule
  t.equal(there(api, 'Skipping adding existing rule\nSkipping adding existing rule (v6)\n'), true)
  t.equal(
    there(api, 'Skipping adding existing rule\n*filter\n### tuple ### …\nRules updated (v6)\n'),
    false,
    'one of two',
  )
  const left = (four: number, six: number) =>
    `*filter\n:ufw-user-input - [0:0]\n${'### tuple ### a\n'.repeat(four)}COMMIT\n*filter\n:ufw6-user-input - [0:0]\n` +
    `${'### tuple ### a\n'.repeat(six)}COMMIT\nRules updated\n=== files\n2\n1\n`
  const gone = { ...api, delete: true }
  t.equal(there(gone, left(2, 1)), false, 'nothing would be deleted')
  t.equal(there(gone, left(1, 1)), true, 'of IPv4')
  t.equal(there(gone, left(2, 0)), true, 'of IPv6')
  t.end()
})
