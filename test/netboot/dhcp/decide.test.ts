import t from 'tap'
import { formatIp4 } from '../../../src/netboot/address.ts'
import { identify } from '../../../src/netboot/dhcp/client.ts'
import { decide } from '../../../src/netboot/dhcp/decide.ts'
import type { Lease } from '../../../src/netboot/dhcp/leases.ts'
import { messageName, OPTION } from '../../../src/netboot/dhcp/options.ts'
import type { Packet } from '../../../src/netboot/dhcp/packet.ts'
import { firmware, IPXE, makePacket } from './packets.ts'
import { contextOf, far, farMachine, held, ip, NOW, OTHER, option, pooled, SERVER, type Setting } from './setting.ts'

/** `OFFER 10.77.0.10 -> 255.255.255.255:68 | reason | bound 10.77.0.10`, which is all of a decision in a line. */
function show(packet: Packet, setting: Setting): string {
  const { reply, to, lease, reason } = decide(packet, identify(packet), contextOf(setting))
  const answer = reply
    ? `${messageName(reply.options.get(OPTION.messageType)![0])} ${formatIp4(reply.yiaddr)} -> ${formatIp4(to!.address)}:${to!.port}`
    : 'silence'
  return `${answer} | ${reason}${lease ? ` | ${lease.state} ${formatIp4(lease.address)} ${(lease.expires - NOW) / 1000}s` : ''}`
}

const other = (address: string): Lease => held(address, { mac: '52:54:00:00:00:99' })
const wants = (address: string): [number, Buffer] => [OPTION.requestedAddress, option(address)]
const from = (address: string): [number, Buffer] => [OPTION.serverIdentifier, option(address)]
const all = '255.255.255.255:68'
const unknown = { machine: undefined }

t.test('decisions', async (t) => {
  for (const [name, packet, setting, expected] of [
    // DISCOVER
    [
      'a known machine gets its address',
      makePacket('discover'),
      {},
      `OFFER 10.77.0.10 -> ${all} | configured address | offered 10.77.0.10 60s`,
    ],
    ['an unknown one gets nothing', makePacket('discover', firmware(7)), unknown, 'silence | unknown machine'],
    [
      'a known one without an address gets one of a pool',
      makePacket('discover'),
      { machine: pooled },
      `OFFER 10.77.0.100 -> ${all} | address from a pool | offered 10.77.0.100 60s`,
    ],
    [
      'the one that it wants, if it is free',
      makePacket('discover', [wants('10.77.0.102')]),
      { machine: pooled },
      `OFFER 10.77.0.102 -> ${all} | address from a pool | offered 10.77.0.102 60s`,
    ],
    [
      'not one that another has',
      makePacket('discover', [wants('10.77.0.102')]),
      { machine: pooled, leases: [other('10.77.0.102')] },
      `OFFER 10.77.0.100 -> ${all} | address from a pool | offered 10.77.0.100 60s`,
    ],
    [
      'the one that it has, which stays bound',
      makePacket('discover', [wants('10.77.0.100')]),
      { machine: pooled, leases: [held('10.77.0.101')] },
      `OFFER 10.77.0.101 -> ${all} | has this lease`,
    ],
    [
      'the one that it had',
      makePacket('discover'),
      { machine: pooled, leases: [held('10.77.0.101', { expires: NOW - 1 })] },
      `OFFER 10.77.0.101 -> ${all} | address from a pool | offered 10.77.0.101 60s`,
    ],
    [
      'an expired lease of another is free',
      makePacket('discover'),
      {
        machine: pooled,
        leases: [other('10.77.0.100'), other('10.77.0.101'), { ...other('10.77.0.102'), expires: NOW }].map(
          (lease, i) => ({ ...lease, mac: `52:54:00:00:01:0${i}` }),
        ),
      },
      `OFFER 10.77.0.102 -> ${all} | address from a pool | offered 10.77.0.102 60s`,
    ],
    [
      'a full pool',
      makePacket('discover'),
      {
        machine: pooled,
        leases: ['100', '101', '102'].map((n) => ({ ...other(`10.77.0.${n}`), mac: `52:54:00:00:01:${n.slice(1)}` })),
      },
      'silence | no free address in network rack',
    ],
    [
      'a network without a pool',
      makePacket('discover'),
      { machine: pooled, network: far },
      'silence | no address configured',
    ],
    [
      'an address of another network',
      makePacket('discover'),
      { machine: farMachine },
      'silence | configured address 10.88.0.7 is not in network rack (10.77.0.0/24)',
    ],
    [
      'a configured address of a pool that another has',
      makePacket('discover'),
      { machine: { name: 'n', address: ip('10.77.0.101') }, leases: [other('10.77.0.101')] },
      'silence | configured address 10.77.0.101 is in use by 52:54:00:00:00:99',
    ],
    [
      'a configured address whose old NIC was replaced',
      makePacket('discover'),
      { leases: [other('10.77.0.10')] },
      `OFFER 10.77.0.10 -> ${all} | configured address | offered 10.77.0.10 60s`,
    ],
    [
      'a configured address that was declined',
      makePacket('discover'),
      { leases: [held('10.77.0.10', { mac: '', state: 'declined' })] },
      'silence | configured address 10.77.0.10 is in use by a host that is not configured',
    ],
    ['no network here', makePacket('discover'), { network: undefined }, 'silence | no network on this interface'],
    [
      'no network for a relay',
      makePacket('discover', [], { giaddr: ip('10.66.0.1') }),
      { network: undefined, relays: ['10.66.0.0/16'] },
      'silence | no network for what relay 10.66.0.1 sends',
    ],
    [
      'a relay that nobody named',
      makePacket('discover', [], { giaddr: ip('10.66.0.1') }),
      {},
      'silence | relay 10.66.0.1 is in none of the networks; relays: in netboot.yml can name it',
    ],
    [
      'a relay that is not among those named, in a network of ours',
      makePacket('discover', [], { giaddr: ip('10.77.0.253') }),
      { relays: ['10.77.0.254/32'] },
      'silence | relay 10.77.0.253 is not in relays: of netboot.yml',
    ],
    [
      'a relay that was named',
      makePacket('discover', [], { giaddr: ip('10.77.0.254') }),
      { relays: ['10.77.0.254/32'] },
      'OFFER 10.77.0.10 -> 10.77.0.254:67 | configured address | offered 10.77.0.10 60s',
    ],
    [
      'where no relay is believed',
      makePacket('discover', [], { giaddr: ip('10.77.0.254') }),
      { relays: [] },
      'silence | relay 10.77.0.254 is not in relays: of netboot.yml',
    ],
    [
      'proxy: a relay that nobody named',
      makePacket('discover', firmware(7), { giaddr: ip('10.66.0.1') }),
      { mode: 'proxy' },
      'silence | relay 10.66.0.1 is in none of the networks; relays: in netboot.yml can name it',
    ],
    [
      'through a relay',
      makePacket('discover', [], { giaddr: ip('10.77.0.254') }),
      {},
      'OFFER 10.77.0.10 -> 10.77.0.254:67 | configured address | offered 10.77.0.10 60s',
    ],
    // those who are not known
    [
      'pool: anyone',
      makePacket('discover'),
      { ...unknown, unknown: 'pool' },
      `OFFER 10.77.0.100 -> ${all} | address from a pool | offered 10.77.0.100 60s`,
    ],
    [
      'enroll: who boots from the network',
      makePacket('discover', firmware(7)),
      { ...unknown, unknown: 'enroll' },
      `OFFER 10.77.0.100 -> ${all} | address from a pool | offered 10.77.0.100 60s`,
    ],
    [
      'enroll: nobody else',
      makePacket('discover'),
      { ...unknown, unknown: 'enroll' },
      'silence | unknown machine, not booting from the network',
    ],
    [
      'enroll: the system that was booted',
      makePacket('discover'),
      { ...unknown, unknown: 'enroll', leases: [held('10.77.0.101')] },
      `OFFER 10.77.0.101 -> ${all} | has this lease`,
    ],
    // REQUEST, SELECTING
    [
      'takes the offer',
      makePacket('request', [from(SERVER), wants('10.77.0.10')]),
      {},
      `ACK 10.77.0.10 -> ${all} | took the offer | bound 10.77.0.10 600s`,
    ],
    [
      'takes an offer that a crash forgot',
      makePacket('request', [from(SERVER), wants('10.77.0.101')]),
      { machine: pooled },
      `ACK 10.77.0.101 -> ${all} | took the offer | bound 10.77.0.101 600s`,
    ],
    [
      "takes another server's offer",
      makePacket('request', [from(OTHER), wants('10.77.0.10')]),
      { leases: [held('10.77.0.10', { state: 'offered' })] },
      'silence | meant for another server, 10.77.0.2 | offered 10.77.0.10 0s',
    ],
    [
      'takes what was not offered',
      makePacket('request', [from(SERVER), wants('10.77.0.11')]),
      {},
      `NAK 0.0.0.0 -> ${all} | has 10.77.0.10, not 10.77.0.11`,
    ],
    [
      'takes what was given to another meanwhile',
      makePacket('request', [from(SERVER), wants('10.77.0.100')]),
      { machine: pooled, leases: [other('10.77.0.100')] },
      `NAK 0.0.0.0 -> ${all} | has 10.77.0.101, not 10.77.0.100`,
    ],
    [
      'takes the offer, which a relay gave as its own',
      makePacket('request', [from('10.77.0.254'), wants('10.77.0.10')], { giaddr: ip('10.77.0.254') }),
      { identifier: '10.77.0.254' },
      'ACK 10.77.0.10 -> 10.77.0.254:67 | took the offer | bound 10.77.0.10 600s',
    ],
    [
      'takes the offer, made before the relay gave them as its own',
      makePacket('request', [from(SERVER), wants('10.77.0.10')], { giaddr: ip('10.77.0.254') }),
      { identifier: '10.77.0.254' },
      'ACK 10.77.0.10 -> 10.77.0.254:67 | took the offer | bound 10.77.0.10 600s',
    ],
    ['takes nothing', makePacket('request', [from(SERVER)]), {}, 'silence | REQUEST without an address'],
    // REQUEST, INIT-REBOOT
    [
      'reboots with its address',
      makePacket('request', [wants('10.77.0.10')]),
      {},
      `ACK 10.77.0.10 -> ${all} | rebooted with a lease | bound 10.77.0.10 600s`,
    ],
    [
      'reboots in another network',
      makePacket('request', [wants('192.168.1.5')]),
      {},
      `NAK 0.0.0.0 -> ${all} | 192.168.1.5 is not in network rack (10.77.0.0/24)`,
    ],
    [
      'reboots in another network, through a relay',
      makePacket('request', [wants('192.168.1.5')], { giaddr: ip('10.77.0.254') }),
      {},
      'NAK 0.0.0.0 -> 10.77.0.254:67 | 192.168.1.5 is not in network rack (10.77.0.0/24)',
    ],
    [
      'reboots with a lease that we do not know of',
      makePacket('request', [wants('10.77.0.50')]),
      { machine: pooled },
      'silence | no record of 10.77.0.50 for this client',
    ],
    ['reboots unknown', makePacket('request', [wants('192.168.1.5')]), unknown, 'silence | unknown machine'],
    // REQUEST, RENEWING and REBINDING
    [
      'renews',
      makePacket('request', [], { ciaddr: ip('10.77.0.101') }),
      { machine: pooled, leases: [held('10.77.0.101')] },
      'ACK 10.77.0.101 -> 10.77.0.101:68 | renewed | bound 10.77.0.101 600s',
    ],
    [
      'renews an address that is no longer its own',
      makePacket('request', [], { ciaddr: ip('10.77.0.101') }),
      { leases: [held('10.77.0.101')] },
      `NAK 0.0.0.0 -> ${all} | has 10.77.0.10, not 10.77.0.101`,
    ],
    // the rest
    [
      'INFORM',
      makePacket('inform', [], { ciaddr: ip('10.77.0.77') }),
      {},
      'ACK 0.0.0.0 -> 10.77.0.77:68 | parameters only',
    ],
    ['INFORM without an address', makePacket('inform'), {}, 'silence | INFORM without an address'],
    [
      'INFORM from anywhere',
      makePacket('inform', IPXE, { ciaddr: ip('192.168.1.5') }),
      {},
      'silence | INFORM from 192.168.1.5, outside rack',
    ],
    [
      'INFORM as a machine of another network',
      makePacket('inform', IPXE, { ciaddr: ip('10.77.0.77') }),
      { machine: farMachine },
      'silence | asks from 10.77.0.77, and is configured in another network, with 10.88.0.7',
    ],
    [
      'DECLINE',
      makePacket('decline', [from(SERVER), wants('10.77.0.10')]),
      {},
      'silence | 10.77.0.10 is in use by another host; not given to anyone for 10 minutes | declined 10.77.0.10 600s',
    ],
    [
      'DECLINE of what it does not have',
      makePacket('decline', [from(SERVER), wants('10.77.0.100')]),
      { leases: [other('10.77.0.100')] },
      'silence | declined an address that it does not have',
    ],
    [
      'RELEASE',
      makePacket('release', [from(SERVER)], { ciaddr: ip('10.77.0.101') }),
      { machine: pooled, leases: [held('10.77.0.101')] },
      'silence | released 10.77.0.101 | bound 10.77.0.101 0s',
    ],
    [
      'RELEASE of what it does not have',
      makePacket('release', [from(SERVER)], { ciaddr: ip('10.77.0.100') }),
      { machine: pooled, leases: [held('10.77.0.101')] },
      'silence | released an address that it does not have',
    ],
    ['BOOTP', makePacket(undefined), {}, 'silence | BOOTP without a DHCP message type'],
    ['an OFFER of another server', makePacket('offer', [], { op: 2 }), {}, 'silence | not a request'],
    ['an OFFER that says it is a request', makePacket('offer'), {}, 'silence | not a client message'],
    ['no MAC', makePacket('discover', [], { chaddr: Buffer.alloc(0) }), {}, 'silence | no hardware address'],
    // proxyDHCP
    [
      'proxy: a boot file and no address',
      makePacket('discover', firmware(7)),
      { mode: 'proxy', network: undefined },
      `OFFER 0.0.0.0 -> ${all} | boot file beside another DHCP server`,
    ],
    [
      'proxy: the address is for the other server',
      makePacket('request', firmware(7)),
      { mode: 'proxy' },
      'silence | left to the DHCP server of the site',
    ],
    ['proxy: an operating system', makePacket('discover'), { mode: 'proxy' }, 'silence | not booting from the network'],
    [
      'proxy: nothing to boot',
      makePacket('discover', firmware(7)),
      { mode: 'proxy', local: true },
      'silence | nothing to boot for pxe',
    ],
    ['proxy: unknown', makePacket('discover', firmware(7)), { mode: 'proxy', ...unknown }, 'silence | unknown machine'],
  ] as [string, Packet, Setting, string][]) {
    t.equal(show(packet, setting), expected, name)
  }
})
