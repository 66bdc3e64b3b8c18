/** The real iptables, in the network namespace of a lab host. */
import iptables from '../../modules/iptables.ts'
import { onLab } from './on-lab.ts'

onLab('iptables', async (t, host) => {
  const rules = (chain: string, program = 'iptables') => host.sh(`${program} -S ${chain}`)
  const api = {
    ...{ chain: 'INPUT', source: '10.0.0.0/8', protocol: 'tcp', destination_port: 6443, jump: 'ACCEPT' },
    comment: 'the API server',
  }
  const before = await rules('INPUT')
  t.equal((await host.converge(t, iptables, api)).length, 1)
  t.match(
    await rules('INPUT'),
    /-s 10\.0\.0\.0\/8 -p tcp -m tcp --dport 6443 -m comment --comment "the API server" -j ACCEPT/,
  )
  t.equal((await host.converge(t, iptables, { ...api, ip_version: 'ipv6', source: 'fd00::/8' })).length, 1)
  t.match(await rules('INPUT', 'ip6tables'), /-s fd00::\/8/)
  await host.sh('iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT')
  t.same(
    await host.check(iptables, { chain: 'INPUT', ctstate: 'ESTABLISHED,RELATED', jump: 'ACCEPT' }),
    [],
    'written in another way',
  )
  t.equal((await host.converge(t, iptables, { ...api, source: '!192.168.0.0/16', action: 'insert' })).length, 1)
  t.match(await rules('INPUT'), /^-P INPUT ACCEPT\n-A INPUT ! -s 192\.168\.0\.0\/16 /)

  const mine = { chain: 'MINE', jump: 'DROP', protocol: 'udp', destination_ports: ['53', '5353'] }
  t.equal((await host.check(iptables, mine)).length, 1, 'where the chain is not there yet')
  t.same(await host.converge(t, iptables, { chain: 'MINE', chain_management: true }), ['create chain MINE (filter)'])
  await host.converge(t, iptables, mine)
  t.equal((await host.converge(t, iptables, { chain: 'FORWARD', jump: 'MINE' })).length, 1)
  await host.sh('iptables -A MINE -p udp -m multiport --dports 53,5353 -j DROP')
  t.equal((await host.converge(t, iptables, { ...mine, state: 'absent' })).length, 1, 'both of its like')
  t.equal(await rules('MINE'), '-N MINE\n')
  await host.converge(t, iptables, { chain: 'FORWARD', jump: 'MINE', state: 'absent' })
  await host.converge(t, iptables, { chain: 'MINE', chain_management: true, state: 'absent' })

  t.same(await host.converge(t, iptables, { chain: 'FORWARD', policy: 'DROP' }), ['policy of FORWARD (filter): DROP'])
  const nat = { table: 'nat', chain: 'POSTROUTING', out_interface: 'host0', jump: 'MASQUERADE' }
  t.equal((await host.converge(t, iptables, nat)).length, 1)
  t.same(await host.converge(t, iptables, { table: 'nat', flush: true }), ['remove all rules of all chains (nat)'])
  t.same(await host.converge(t, iptables, { chain: 'INPUT', flush: true }), ['remove all rules of INPUT (filter)'])
  t.equal(await rules('INPUT'), before)
  await t.rejects(host.apply(iptables, { ...api, protocol: 'nothing' }), /nothing/)
})
