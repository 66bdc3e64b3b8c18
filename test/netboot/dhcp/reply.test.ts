import t from 'tap'
import { formatIp4, parseMac } from '../../../src/netboot/address.ts'
import { identify } from '../../../src/netboot/dhcp/client.ts'
import { decideBootServer } from '../../../src/netboot/dhcp/decide.ts'
import { OPTION, readText } from '../../../src/netboot/dhcp/options.ts'
import { decode, FLAG_BROADCAST, type Packet } from '../../../src/netboot/dhcp/packet.ts'
import { readPcap } from '../pcap.ts'
import { firmware, IPXE, makePacket } from './packets.ts'
import { contextOf, ip, option, replyOf, SERVER, type Setting } from './setting.ts'

const wants = (address: string): [number, Buffer] => [OPTION.requestedAddress, option(address)]
const unknown = { machine: undefined }
const text = (packet: Packet, code: number): string | undefined => packet.options.get(code)?.toString('latin1')
const hex = (packet: Packet, code: number): string | undefined => packet.options.get(code)?.toString('hex')

t.test('what firmware needs to see', async (t) => {
  t.test('a full OFFER to PXE has no option 60, or EDK2 takes it for BINL', async (t) => {
    const reply = replyOf(makePacket('discover', firmware(7)))
    t.notOk(reply.options.has(OPTION.vendorClass))
    t.equal(text(reply, OPTION.bootfileName), 'ipxe.efi\0', 'ends with a NUL')
    t.equal(reply.file, 'ipxe.efi')
    t.equal(formatIp4(reply.siaddr), SERVER)
    t.equal(text(reply, OPTION.tftpServerName), SERVER)
    t.equal(hex(reply, OPTION.clientMachineId), '0011111111222233334444555555555500', 'echoed')
  })

  t.test('HTTP boot has option 60 and an absolute URL', async (t) => {
    const reply = replyOf(makePacket('discover', firmware(16, 'HTTPClient')))
    t.equal(text(reply, OPTION.vendorClass), 'HTTPClient')
    t.equal(text(reply, OPTION.bootfileName), 'http://10.77.0.1:8080/ipxe.efi\0')
  })

  t.test('iPXE is told not to wait for a proxy', async (t) => {
    const reply = replyOf(makePacket('discover', IPXE))
    t.equal(hex(reply, OPTION.ipxe), 'b00101')
    t.match(text(reply, OPTION.bootfileName), 'http://10.77.0.1:8080/boot.ipxe')
  })

  t.test('the Raspberry Pi finds its menu', async (t) => {
    const reply = replyOf(makePacket('discover', firmware(0), { chaddr: parseMac('dc:a6:32:00:00:01')! }))
    t.equal(text(reply, OPTION.vendorClass), 'PXEClient')
    t.match(text(reply, OPTION.vendorSpecific), 'Raspberry Pi Boot')
    t.notOk(reply.options.has(OPTION.bootfileName))
  })

  t.test('no boot answer: an address and nothing to load', async (t) => {
    const reply = replyOf(makePacket('discover', firmware(7)), { local: true })
    t.equal(formatIp4(reply.yiaddr), '10.77.0.10')
    for (const code of [OPTION.bootfileName, OPTION.vendorClass, OPTION.tftpServerName])
      t.notOk(reply.options.has(code))
    t.equal(reply.file, '')
    t.equal(reply.siaddr, 0)
  })

  t.test('proxyDHCP: 60 for all, the bypass in 43 for BIOS only', async (t) => {
    const uefi = replyOf(makePacket('discover', firmware(7)), { mode: 'proxy' })
    t.equal(text(uefi, OPTION.vendorClass), 'PXEClient')
    t.notOk(uefi.options.has(OPTION.vendorSpecific))
    t.notOk(uefi.options.has(OPTION.leaseTime))
    t.equal(hex(replyOf(makePacket('discover', firmware(0)), { mode: 'proxy' }), OPTION.vendorSpecific), '060108ff')
  })

  t.test('port 4011', async (t) => {
    const ciaddr = ip('10.77.0.10')
    const client = { address: ciaddr, port: 4011 }
    for (const type of ['request', 'inform'] as const) {
      const packet = makePacket(type, firmware(7), { ciaddr })
      const { reply, to } = decideBootServer(packet, identify(packet), contextOf({}), client)
      t.strictSame(to, client)
      t.equal(reply?.yiaddr, 0)
      t.equal(reply?.file, 'ipxe.efi')
      t.equal(reply?.options.get(OPTION.vendorClass)?.toString(), 'PXEClient')
    }
    const ask = makePacket('request', firmware(7))
    for (const [from, giaddr, setting, expected] of [
      ['192.168.1.5', 0, { mode: 'proxy' }, '192.168.1.5 is in none of the networks'],
      ['10.88.0.9', 0, {}, 'asks from 10.88.0.9, and is configured in another network, with 10.77.0.10'],
      ['10.88.0.9', 0, { mode: 'proxy' }, 'boot server'],
      [
        '10.77.0.9',
        ip('10.66.0.1'),
        {},
        'relay 10.66.0.1 is in none of the networks; relays: in netboot.yml can name it',
      ],
    ] as [string, number, Setting, string][]) {
      const { reply, to, reason } = decideBootServer({ ...ask, giaddr }, identify(ask), contextOf(setting), {
        address: ip(from),
        port: 4011,
      })
      t.equal(reason, expected)
      t.strictSame(to, reply && { address: ip(from), port: 4011 })
    }
    for (const [packet, setting] of [
      [makePacket('discover', firmware(7), { ciaddr }), {}],
      [makePacket('request', firmware(7), { ciaddr }), unknown],
      [makePacket('request', [], { ciaddr }), {}],
    ] as [Packet, Setting][]) {
      t.equal(decideBootServer(packet, identify(packet), contextOf(setting), client).reply, undefined)
    }
  })
})

t.test('fields and options of replies', async (t) => {
  const echoed: [number, Buffer][] = [
    [OPTION.clientIdentifier, Buffer.from('01525400aabb00', 'hex')],
    [OPTION.relayAgentInformation, Buffer.from('0104deadbeef', 'hex')],
  ]
  const giaddr = ip('10.77.0.254')

  t.test('identifier and relay information come back', async (t) => {
    const offer = replyOf(makePacket('discover', echoed, { giaddr, flags: 0 }))
    for (const [code, value] of echoed) t.strictSame(offer.options.get(code), value)
    t.equal(offer.giaddr, giaddr)
    t.equal(offer.xid, 0x12345678)
    t.equal(offer.flags, 0)
  })

  t.test('a relay that stands for the server, and a subnet that was chosen', async (t) => {
    const selection: [number, Buffer] = [OPTION.subnetSelection, option('10.77.0.0')]
    for (const packet of [
      makePacket('discover', [selection], { giaddr }),
      makePacket('request', [selection, wants('10.77.0.10')], { giaddr }),
      makePacket('request', [selection, wants('10.1.1.1')], { giaddr }),
    ]) {
      const reply = replyOf(packet, { identifier: '10.77.0.254' })
      t.strictSame(reply.options.get(OPTION.serverIdentifier), option('10.77.0.254'))
      const isNak = reply.options.get(OPTION.messageType)?.[0] === 6
      t.strictSame(reply.options.get(OPTION.subnetSelection), isNak ? undefined : selection[1])
    }
    const boots = replyOf(makePacket('discover', firmware(7), { giaddr }), { identifier: '10.77.0.254' })
    t.equal(formatIp4(boots.siaddr), SERVER, 'files come from us')
    const direct = replyOf(makePacket('discover', [selection]))
    t.notOk(direct.options.has(OPTION.subnetSelection), 'it was not heeded')
  })

  t.test('a NAK has an identifier, a reason, and no address', async (t) => {
    const nak = replyOf(makePacket('request', [...echoed, wants('10.1.1.1')], { giaddr }))
    t.strictSame([...nak.options.keys()].sort(), [53, 54, 56, 61, 82])
    t.equal(nak.flags, FLAG_BROADCAST, 'a relay has to broadcast it')
    t.equal(nak.yiaddr + nak.siaddr + nak.ciaddr, 0)
  })

  t.test('parameters: those asked for, times by RFC 2131', async (t) => {
    const offer = replyOf(makePacket('discover', [[OPTION.parameterRequestList, Buffer.of(6)]]))
    t.strictSame(
      [...offer.options.keys()].sort((a, b) => a - b),
      [1, 3, 6, 51, 53, 54, 58, 59],
    )
    t.equal(hex(offer, OPTION.domainServer), '0a4d00350a4d0036')
    t.equal(hex(offer, OPTION.leaseTime), '00000258')
    t.equal(hex(offer, OPTION.renewalTime), '0000012c')
    t.equal(hex(offer, OPTION.rebindingTime), '0000020d')
    const everything = replyOf(makePacket('discover'))
    t.equal(readText(everything.options, OPTION.hostname), 'node-1')
    t.equal(text(everything, OPTION.domainName), 'example.org')
    t.equal(hex(everything, OPTION.broadcastAddress), '0a4d00ff')
  })

  t.test('INFORM: no lease', async (t) => {
    const ciaddr = ip('10.77.0.10')
    const ack = replyOf(makePacket('inform', [], { ciaddr }))
    t.equal(ack.yiaddr, 0)
    t.equal(ack.ciaddr, ciaddr)
    for (const code of [OPTION.leaseTime, OPTION.renewalTime, OPTION.rebindingTime]) t.notOk(ack.options.has(code))
  })
})

t.test('the real clients are answered as the server that booted them did', async (t) => {
  for (const name of ['uefi', 'bios', 'http', 'shim', 'fast']) {
    const packets = readPcap(name).filter(({ port, sourcePort }) => port + sourcePort === 67 + 68)
    for (const [i, { port, payload }] of packets.entries()) {
      if (port !== 67) continue
      const request = decode(payload)!
      // Their server had the same address; its pool gave 10.77.0.97 to one of them.
      const address = [...packets.slice(i)].map((p) => decode(p.payload)!).find((p) => p.yiaddr !== 0)!.yiaddr
      const file = name === 'shim' ? 'shimx64.efi' : undefined
      const ours = replyOf(request, { machine: { name: 'vm', address }, file })
      const theirs = decode(packets[i + 1]!.payload)!
      t.equal(ours.yiaddr, theirs.yiaddr, `${name} ${i}`)
      t.equal(ours.siaddr, theirs.siaddr)
      t.equal(ours.xid, theirs.xid)
      t.strictSame(ours.options.get(OPTION.messageType), theirs.options.get(OPTION.messageType))
      t.strictSame(ours.options.get(OPTION.vendorClass), theirs.options.get(OPTION.vendorClass))
      t.strictSame(ours.options.get(OPTION.subnetMask), theirs.options.get(OPTION.subnetMask))
      if (!ours.options.get(OPTION.bootfileName)!.includes('boot.ipxe')) {
        t.strictSame(ours.options.get(OPTION.bootfileName), theirs.options.get(OPTION.bootfileName))
      }
    }
  }
})
