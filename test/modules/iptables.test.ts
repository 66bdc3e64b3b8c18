import t from 'tap'
import iptables from '../../modules/iptables.ts'
import type { Module } from '../../src/module/index.ts'
import { table } from './table.ts'

const missing = { found: [{ there: false }] }
const there = { found: [{ there: true }] }
const api = { chain: 'INPUT', protocol: 'tcp', destination_port: 6443, jump: 'ACCEPT' }
const script = (want: string) => (changes: readonly { script?: string }[]) => {
  if (!changes[0]?.script?.includes(want)) throw new Error(changes[0]?.script)
}

table(iptables as Module, [
  {
    name: 'a rule',
    args: api,
    state: missing,
    changes: ['add a rule to INPUT (filter): -p tcp -j ACCEPT --destination-port 6443'],
    check: script('iptables -w 30 -t filter -A INPUT -p tcp -j ACCEPT --destination-port 6443'),
  },
  { name: 'a rule that is there', args: api, state: there, changes: [] },
  {
    name: 'a rule at a place',
    args: { ...api, action: 'insert', rule_num: '3', wait: '5' },
    state: missing,
    changes: ['insert a rule to INPUT (filter): -p tcp -j ACCEPT --destination-port 6443'],
    check: script('iptables -w 5 -t filter -I INPUT 3 -p tcp'),
  },
  {
    name: 'a rule that is to go, however often it is there',
    args: { ...api, state: 'absent' },
    state: there,
    changes: ['remove the rule of INPUT (filter): -p tcp -j ACCEPT --destination-port 6443'],
    check: script('while iptables -w 30 -t filter -C INPUT'),
  },
  { name: 'a rule that is gone', args: { ...api, state: 'absent' }, state: missing, changes: [] },
  {
    name: 'one of two',
    args: { ...api, ip_version: 'both' },
    state: { found: [{ there: true }, { there: false }] },
    changes: ['add a rule to INPUT (IPv6, filter): -p tcp -j ACCEPT --destination-port 6443'],
    check: script('ip6tables -w 30 -t filter -A INPUT'),
  },
  {
    name: 'all parts, in Ansible’s order',
    args: {
      ...{
        chain: 'FORWARD',
        protocol: 'tcp',
        source: '!10.0.0.0/8',
        destination: 'fd00::/8',
        match: 'tcp',
        syn: 'negate',
      },
      ...{
        tcp_flags: { flags: 'ALL', flags_set: ['ACK', 'RST'] },
        jump: 'REJECT',
        in_interface: 'eth+',
        out_interface: '! eth1',
      },
      ...{
        destination_ports: ['80', '443:444'],
        source_port: '1:2',
        ctstate: 'NEW,RELATED',
        src_range: '10.0.0.1-10.0.0.2',
      },
      ...{
        match_set: 'a',
        match_set_flags: 'src',
        limit: '5/min',
        limit_burst: 3,
        uid_owner: 0,
        reject_with: 'tcp-reset',
      },
      ...{ comment: 'why it is there', ip_version: 'ipv6', icmp_type: 'echo-request' },
    },
    state: missing,
    changes: [
      'add a rule to FORWARD (IPv6, filter): -p tcp ! -s 10.0.0.0/8 -d fd00::/8 -m tcp --tcp-flags ALL ACK,RST -j REJECT ' +
        '-m multiport --dports 80,443:444 -i eth+ ! -o eth1 --source-port 1:2 ! --syn -m conntrack --ctstate NEW,RELATED ' +
        '-m iprange --src-range 10.0.0.1-10.0.0.2 -m set --match-set a src -m limit --limit 5/min --limit-burst 3 ' +
        '-m owner --uid-owner 0 --reject-with tcp-reset --icmpv6-type echo-request -m comment --comment "why it is there"',
    ],
  },
  {
    name: 'what a value brings along',
    args: { chain: 'INPUT', reject_with: 'icmp-port-unreachable' },
    state: missing,
    changes: ['add a rule to INPUT (filter): -j REJECT --reject-with icmp-port-unreachable'],
  },
  {
    name: 'what is logged',
    args: { chain: 'INPUT', log_prefix: 'no: ', log_level: 'info' },
    state: missing,
    changes: ['add a rule to INPUT (filter): -j LOG --log-prefix "no: " --log-level info'],
  },
  {
    name: 'the old module of states',
    args: { chain: 'INPUT', match: ['state'], ctstate: ['NEW'], jump: 'ACCEPT' },
    state: missing,
    changes: ['add a rule to INPUT (filter): -m state -j ACCEPT --state NEW'],
  },
  {
    name: 'a policy',
    args: { chain: 'FORWARD', policy: 'DROP' },
    state: { found: [{ there: true, policy: 'ACCEPT' }] },
    changes: ['policy of FORWARD (filter): DROP'],
  },
  {
    name: 'a policy that holds',
    args: { chain: 'FORWARD', policy: 'DROP' },
    state: { found: [{ there: true, policy: 'DROP' }] },
    changes: [],
  },
  { name: 'nothing to flush', args: { flush: true, table: 'nat' }, state: missing, changes: [] },
  {
    name: 'a table',
    args: { flush: true, table: 'nat' },
    state: there,
    changes: ['remove all rules of all chains (nat)'],
  },
  {
    name: 'a chain',
    args: { chain: 'MINE', chain_management: true },
    state: missing,
    changes: ['create chain MINE (filter)'],
  },
  {
    name: 'a chain that is to go',
    args: { chain: 'MINE', chain_management: true, state: 'absent' },
    state: there,
    changes: ['remove chain MINE (filter)'],
  },
  { name: 'a rule without a chain', args: { jump: 'DROP' }, state: {}, invalid: /give `chain`/ },
  { name: 'nothing wanted', args: { chain: 'INPUT' }, state: {}, invalid: /say what the rule is/ },
  { name: 'a rule beside a policy', args: { ...api, policy: 'DROP' }, state: {}, invalid: /task of its own/ },
  { name: 'an option as a chain', args: { ...api, chain: '-F' }, state: {}, invalid: /name of a chain/ },
  { name: 'an option as a value', args: { ...api, source: '-F' }, state: {}, invalid: /value of iptables/ },
  { name: 'a log that accepts', args: { ...api, log_prefix: 'x' }, state: {}, invalid: /need `jump: LOG`/ },
])

t.test('what iptables prints', (t) => {
  const module = iptables as Module
  const ask = (args: object, out: string, rc = 0) =>
    (module.probe(module.args.parse(args)).from([{ out: Buffer.from(out), rc }] as never) as { found: unknown[] })
      .found[0]
  t.same(ask(api, ''), { there: true })
  t.same(ask(api, 'iptables: Bad rule (does a matching rule exist in that chain?).', 1), { there: false })
  t.same(ask(api, "iptables v1.8.9 (nf_tables): Chain 'MINE' does not exist", 2), { there: false })
  t.throws(() => ask(api, 'iptables v1.8.9 (nf_tables): unknown protocol "x" specified', 2), /unknown protocol/)
  t.throws(() => ask(api, 'sh: iptables: not found', 127), /is not installed/)
  t.same(ask({ chain: 'INPUT', policy: 'DROP' }, '-P INPUT ACCEPT\n-A INPUT -j DROP\n'), {
    there: true,
    policy: 'ACCEPT',
  })
  t.match(ask({ chain: 'INPUT', flush: true }, '-P INPUT ACCEPT\n'), { there: false })
  t.match(ask({ flush: true }, '-P INPUT ACCEPT\n-A INPUT -j DROP\n'), { there: true })
  t.end()
})
