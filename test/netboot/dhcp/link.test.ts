import t from 'tap'
import { formatIp4 } from '../../../src/netboot/address.ts'
import { linksFor } from '../../../src/netboot/dhcp/link.ts'
import type { DhcpSettings } from '../../../src/netboot/dhcp/network.ts'
import { OPTION, subOptions } from '../../../src/netboot/dhcp/options.ts'
import type { Packet } from '../../../src/netboot/dhcp/packet.ts'
import { makePacket } from './packets.ts'
import { far, farMachine, held, ip, machine, option, rack } from './setting.ts'

const from = (address: string): [number, Buffer] => [OPTION.serverIdentifier, option(address)]
t.test('links', async (t) => {
  const settings: DhcpSettings = { mode: 'server', unknown: 'pool', networks: [rack, far] }
  const two = { at: undefined, locals: [ip('10.77.0.1'), ip('10.88.0.1')] }
  const virtual = { at: undefined, locals: [ip('10.77.0.1'), ip('10.77.0.5')] }
  const relayed = makePacket('discover', [], { giaddr: ip('10.88.0.254') })
  const selected = makePacket('discover', [[OPTION.relayAgentInformation, subOptions([[5, option('10.77.0.0')]])]], {
    giaddr: ip('172.16.0.1'),
  })
  const show = (...args: Parameters<typeof linksFor>): string =>
    linksFor(...args)
      .map(({ address, network }) => `${formatIp4(address)} ${network?.name ?? '-'}`)
      .join(', ')
  const viaLoopback = (options: [number, Buffer][]): Packet =>
    makePacket('discover', options, { giaddr: ip('172.16.0.1') })
  const wantsLink = viaLoopback([[OPTION.subnetSelection, option('10.77.0.0')]])
  const both = viaLoopback([
    [OPTION.subnetSelection, option('10.77.0.0')],
    [OPTION.relayAgentInformation, subOptions([[5, option('10.88.0.0')]])],
  ])
  const nonsense = viaLoopback([[OPTION.relayAgentInformation, Buffer.of(5, 9, 1)]])
  const alone = makePacket('discover', [[OPTION.subnetSelection, option('10.88.0.0')]])
  const packet = makePacket('discover')
  for (const [name, actual, expected] of [
    [
      'one network',
      show(packet, undefined, undefined, settings, { ...two, locals: [ip('10.77.0.1')] }),
      '10.77.0.1 rack',
    ],
    ["the machine's address", show(packet, farMachine, undefined, settings, two), '10.88.0.1 far'],
    ['its lease', show(packet, undefined, held('10.77.0.101'), settings, two), '10.77.0.1 rack'],
    ['two addresses of one network', show(packet, undefined, undefined, settings, virtual), '10.77.0.1 rack'],
    [
      'the one that it chose of two',
      show(makePacket('request', [from('10.77.0.5')]), undefined, undefined, settings, virtual),
      '10.77.0.5 rack',
    ],
    ['it cannot be told', show(packet, undefined, undefined, settings, two), ''],
    ['the kernel told', show(packet, undefined, undefined, settings, { ...two, at: ip('10.88.0.1') }), '10.88.0.1 far'],
    [
      'the server that it chose',
      show(makePacket('request', [from('10.88.0.1')]), undefined, undefined, settings, two),
      '10.88.0.1 far',
    ],
    ['a relay', show(relayed, undefined, undefined, settings, { ...two, at: ip('10.77.0.1') }), '10.77.0.1 far'],
    [
      'a relay with link selection',
      show(selected, undefined, undefined, settings, { ...two, at: ip('10.77.0.1') }),
      '10.77.0.1 rack',
    ],
    ['a client with subnet selection', show(wantsLink, undefined, undefined, settings, two), '10.77.0.1 rack'],
    ['the relay knows better', show(both, undefined, undefined, settings, two), '10.77.0.1 far'],
    ['a relay that makes no sense', show(nonsense, undefined, undefined, settings, two), '10.77.0.1 -'],
    [
      'subnet selection without a relay is not heeded',
      show(alone, undefined, undefined, settings, { ...two, locals: [ip('10.77.0.1')] }),
      '10.77.0.1 rack',
    ],
    [
      'a renewal from behind a relay',
      show(makePacket('request', [], { ciaddr: ip('10.88.0.9') }), undefined, undefined, settings, {
        at: ip('10.77.0.1'),
        locals: [ip('10.77.0.1')],
      }),
      '10.77.0.1 far',
    ],
    [
      'a proxy answers everywhere',
      show(packet, undefined, undefined, { ...settings, mode: 'proxy', networks: [] }, two),
      '10.77.0.1 -, 10.88.0.1 -',
    ],
    ['no interface is up', show(packet, machine, undefined, settings, { at: undefined, locals: [] }), ''],
  ] as const) {
    t.equal(actual, expected, name)
  }
})
