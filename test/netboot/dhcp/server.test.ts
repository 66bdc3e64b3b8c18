import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Ip4, parseIp4, parseSubnet } from '../../../src/netboot/address.ts'
import { defaultBoot } from '../../../src/netboot/dhcp/boot.ts'
import { Leases } from '../../../src/netboot/dhcp/leases.ts'
import type { DhcpSettings } from '../../../src/netboot/dhcp/network.ts'
import { MESSAGE, OPTION } from '../../../src/netboot/dhcp/options.ts'
import { decode, encode } from '../../../src/netboot/dhcp/packet.ts'
import { type DhcpEvent, DhcpServer } from '../../../src/netboot/dhcp/server.ts'
import fc from '../../property.ts'
import { FUZZ, FUZZ_TIMEOUT } from '../fuzz.ts'
import { readPcap } from '../pcap.ts'
import { MemoryTransport } from './memory-transport.ts'
import { firmware, IPXE, MAC, makePacket } from './packets.ts'

const ip = (text: string): Ip4 => parseIp4(text)!
const SERVER = Buffer.of(10, 77, 0, 1)

async function serve(t: Test, settings: Partial<DhcpSettings> = {}, boot = defaultBoot()) {
  const transport = new MemoryTransport('10.77.0.1')
  const path = join(t.testdir(), 'leases')
  const leases = await Leases.open(path)
  const events: DhcpEvent[] = []
  const troubles: string[] = []
  const server = new DhcpServer({
    settings: {
      mode: 'server',
      unknown: 'ignore',
      networks: [
        {
          name: 'rack',
          subnet: parseSubnet('10.77.0.0/24')!,
          pools: [{ from: ip('10.77.0.100'), to: ip('10.77.0.200') }],
        },
      ],
      ...settings,
    },
    transport,
    leases,
    machine: ({ mac }) => (mac === MAC ? { name: 'node-1', address: ip('10.77.0.10') } : undefined),
    boot,
    onEvent: (event) => events.push(event),
    onTrouble: (message) => troubles.push(message),
  })
  await server.start()
  t.teardown(async () => {
    await server.close()
    await leases.close()
  })
  return { transport, leases, events, troubles, server, path }
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition() && i < 1000; i++) await new Promise((done) => setTimeout(done, 2))
}

t.test('an exchange: the ACK comes when the lease is on the disk', async (t) => {
  const { transport, events, server, path } = await serve(t)
  transport.deliver(encode(makePacket('discover', firmware(7))))
  t.equal(transport.sent.length, 1, 'an OFFER does not wait')
  transport.deliver(
    encode(
      makePacket('request', [
        ...firmware(7),
        [OPTION.serverIdentifier, SERVER],
        [OPTION.requestedAddress, Buffer.of(10, 77, 0, 10)],
      ]),
    ),
  )
  t.equal(transport.sent.length, 1, 'an ACK does')
  await until(() => transport.sent.length === 2)
  const { packet, to, from, port } = transport.sent[1]!
  t.equal(packet.options.get(OPTION.messageType)?.[0], MESSAGE.ack)
  t.strictSame({ to, from, port }, { to: { address: 0xffffffff, port: 68 }, from: ip('10.77.0.1'), port: 67 })
  const written = await Leases.open(path)
  t.equal(written.of(MAC)?.address, ip('10.77.0.10'))
  await written.close()
  t.strictSame(
    events.map(({ message, answer, machine, kind, address, file, reason }) =>
      [message, answer, machine, kind, address, file, reason].join(' '),
    ),
    [
      'DISCOVER OFFER node-1 pxe 10.77.0.10 ipxe.efi configured address',
      'REQUEST ACK node-1 pxe 10.77.0.10 ipxe.efi took the offer',
    ],
  )
  t.strictSame(server.counters, { DISCOVER: 1, OFFER: 1, REQUEST: 1, ACK: 1 })
})

t.test('a lease that cannot be written is not acknowledged, unless the inventory has the address', async (t) => {
  const { transport, leases, events, troubles } = await serve(t, { unknown: 'pool' })
  leases.set = () => Promise.reject(new Error('no space left on device'))
  const ask = (last: number, chaddr?: Buffer): void => {
    const options = [OPTION.requestedAddress, Buffer.of(10, 77, 0, last)] as const
    transport.deliver(encode(makePacket('request', [options, [OPTION.serverIdentifier, SERVER]], chaddr && { chaddr })))
  }
  ask(100, Buffer.from('525400000001', 'hex'))
  await until(() => events.length > 0)
  t.strictSame(transport.sent, [])
  t.match(troubles, [/52:54:00:00:00:01 cannot be written: no space left/])
  t.equal(events[0]?.reason, 'the lease could not be written')
  ask(10)
  await until(() => events.length > 1)
  t.match(transport.sent, [{ packet: { yiaddr: ip('10.77.0.10') } }], 'a configured one cannot be given to another')
  t.match(troubles[1], /52:54:00:aa:bb:00 cannot be written: no space left/)
})

t.test('when too many wait for the disk, the others ask again', async (t) => {
  const { transport, leases, events, server } = await serve(t)
  let waiting = 9_999
  Object.defineProperty(leases, 'waiting', { get: () => waiting })
  const discover = encode(makePacket('discover', firmware(7)))
  transport.deliver(discover)
  waiting = 10_000
  transport.deliver(discover)
  t.equal(transport.sent.length, 1)
  t.equal(events.length, 1)
  t.match(server.counters, { DISCOVER: 2, OFFER: 1, overload: 1 })
})

t.test('unknown machines are seen, and not answered', async (t) => {
  const { transport, events } = await serve(t)
  transport.deliver(encode(makePacket('discover', IPXE, { chaddr: Buffer.from('525400000001', 'hex') })))
  t.strictSame(transport.sent, [])
  t.match(events, [{ mac: '52:54:00:00:00:01', kind: 'ipxe', answer: undefined, reason: 'unknown machine' }])
})

t.test('a relay that is not believed is told of and counted', async (t) => {
  const { transport, events, server } = await serve(t, { relays: [parseSubnet('10.77.0.254/32')!] })
  for (const giaddr of [ip('10.77.0.253'), ip('10.77.0.254')])
    transport.deliver(encode(makePacket('discover', IPXE, { giaddr })), { at: ip('10.77.0.1') })
  t.match(transport.sent, [{ to: { address: ip('10.77.0.254'), port: 67 } }])
  t.match(server.counters, { DISCOVER: 2, OFFER: 1, strange_relay: 1 })
  t.match(events[0], { machine: 'node-1', relay: '10.77.0.253', reason: /10\.77\.0\.253 is not in relays:/ })
})

t.test('our own search for other servers is nobody who wants to boot', async (t) => {
  const { transport, events, server } = await serve(t, { unknown: 'pool' })
  const discover = encode(makePacket('discover', IPXE, { chaddr: Buffer.from('525400000001', 'hex') }))
  transport.deliver(discover, { from: { address: ip('10.77.0.1'), port: 68 } })
  t.strictSame([transport.sent, events, server.counters], [[], [], { own: 1 }])
  transport.deliver(discover, { from: { address: ip('10.77.0.2'), port: 68 } })
  t.equal(transport.sent.length, 1)
})

t.test('port 4011 answers from port 4011, to where the question came from', async (t) => {
  const { transport } = await serve(t, { mode: 'proxy' })
  const question = readPcap('proxy').find(({ port }) => port === 4011)!
  const at = ip('10.77.0.1')
  const client = { address: ip('10.77.0.10'), port: 4011 }
  transport.deliver(Buffer.from(question.payload), { port: 4011, at, from: client })
  t.match(transport.sent, [{ to: client, from: at, port: 4011, packet: { file: 'ipxe.efi', yiaddr: 0 } }])
})

t.test('what goes wrong with one packet is told, and the next one is answered', async (t) => {
  let full = true
  const { transport, troubles, server } = await serve(t, {}, (...about) => {
    if (full) throw new Error('database or disk is full')
    return defaultBoot()(...about)
  })
  const discover = encode(makePacket('discover', firmware(7)))
  const request = encode(makePacket('request', [...firmware(7), [OPTION.requestedAddress, Buffer.of(10, 77, 0, 10)]]))
  transport.deliver(discover)
  transport.deliver(request)
  t.match(troubles, ['a packet of 52:54:00:aa:bb:00 cannot be answered: database or disk is full', /disk is full/])
  t.equal(server.counters.failed, 2)
  full = false
  transport.deliver(discover)
  t.equal(transport.sent.length, 1)
  transport.send = () => {
    throw new Error('the socket is closed')
  }
  transport.deliver(request)
  await until(() => troubles.length === 3)
  t.match(troubles[2], /the socket is closed/, 'after the wait for the disk, too')
})

t.test('a sender that claims port 0, which nothing can be sent to, is nobody', async (t) => {
  const { transport, server } = await serve(t, { mode: 'proxy' })
  const question = readPcap('proxy').find(({ port }) => port === 4011)!
  const from = { address: ip('10.77.0.10'), port: 0 }
  transport.deliver(Buffer.from(question.payload), { port: 4011, at: ip('10.77.0.1'), from })
  t.strictSame([transport.sent, server.counters], [[], { malformed: 1 }])
})

t.test('interfaces are gone', async (t) => {
  const { transport, events } = await serve(t)
  transport.locals = []
  transport.deliver(encode(makePacket('discover')))
  t.match(events, [{ reason: /cannot tell which interface/ }])
})

t.test('any bytes at all: counted, and service goes on', async (t) => {
  t.setTimeout(FUZZ_TIMEOUT)
  const { transport, server } = await serve(t, { unknown: 'pool' })
  const real = ['uefi', 'bios', 'http', 'proxy'].flatMap((name) => readPcap(name).filter(({ port }) => port === 67))
  const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))
  fc.assert(
    fc.property(
      fc.nat(real.length - 1),
      fc.array(change, { maxLength: 6 }),
      fc.array(fc.tuple(fc.constantFrom(12, 43, 60, 61, 77, 82, 93, 97), fc.nat(700)), { maxLength: 3 }),
      fc.constantFrom(67, 4011),
      fc.boolean(),
      (which, changes, more, port, direct) => {
        const packet = decode(Buffer.from(real[which]!.payload))!
        for (const [code, length] of more) packet.options.set(code, Buffer.alloc(length, 7))
        const bytes = encode(packet)
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte
        transport.sent.length = 0
        transport.deliver(bytes, { port, at: direct ? ip('10.77.0.1') : undefined })
      },
    ),
    FUZZ,
  )
  t.ok((server.counters.malformed ?? 0) > 0)
  t.notOk(server.counters.failed)
  await new Promise((done) => setTimeout(done, 50))
  transport.sent.length = 0
  transport.deliver(encode(makePacket('discover')))
  t.equal(transport.sent.length, 1)
})
