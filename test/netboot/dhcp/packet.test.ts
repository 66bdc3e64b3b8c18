import t from 'tap'
import { OPTION } from '../../../src/netboot/dhcp/options.ts'
import { decode, encode, type Packet, replyLimit } from '../../../src/netboot/dhcp/packet.ts'
import fc from '../../property.ts'
import { FUZZ, FUZZ_TIMEOUT } from '../fuzz.ts'
import { readPcap } from '../pcap.ts'
import { firmware, makePacket } from './packets.ts'

const uint32 = fc.integer({ min: 0, max: 0xffffffff })
const text = (most: number) =>
  fc.uint8Array({ maxLength: most }).map((bytes) => Buffer.from(bytes.map((byte) => byte || 1)).toString('latin1'))
const value = (most: number) => fc.uint8Array({ maxLength: most }).map((bytes) => Buffer.from(bytes))
const code = fc.integer({ min: 1, max: 254 }).filter((n) => n !== OPTION.overload)

const packets: fc.Arbitrary<Packet> = fc.record({
  op: fc.constantFrom(1, 2),
  htype: fc.integer({ min: 0, max: 255 }),
  hops: fc.integer({ min: 0, max: 255 }),
  xid: uint32,
  secs: fc.integer({ min: 0, max: 0xffff }),
  flags: fc.integer({ min: 0, max: 0xffff }),
  ciaddr: uint32,
  yiaddr: uint32,
  siaddr: uint32,
  giaddr: uint32,
  chaddr: value(16),
  sname: text(63),
  file: text(127),
  options: fc.array(fc.tuple(code, value(300)), { maxLength: 4 }).map((entries) => new Map(entries)),
})

t.test('what is written reads the same', async () => {
  fc.assert(
    fc.property(packets, (packet) => {
      // Relay agent information is written last, wherever it stood.
      const { options, ...fields } = decode(encode(packet))!
      const { options: expected, ...expectedFields } = packet
      return (
        JSON.stringify(fields) === JSON.stringify(expectedFields) &&
        options.size === expected.size &&
        [...expected].every(([key, bytes]) => options.get(key)?.equals(bytes))
      )
    }),
  )
})

t.test('any bytes give a packet or nothing, never a throw', async (t) => {
  t.setTimeout(FUZZ_TIMEOUT)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 800 }), (bytes) => {
      decode(Buffer.from(bytes))
    }),
    FUZZ,
  )
  // Random bytes hardly ever have the cookie: real packets with some bytes changed get further.
  const real = readPcap('uefi').filter(({ port }) => port === 67)
  const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))
  let parsed = 0
  fc.assert(
    fc.property(fc.nat(real.length - 1), fc.array(change, { maxLength: 8 }), fc.nat(400), (which, changes, cut) => {
      const bytes = Buffer.from(real[which]!.payload)
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte
      const packet = decode(bytes.subarray(0, Math.max(240, bytes.length - cut)))
      if (packet === undefined) return
      parsed++
      const again = decode(encode(packet, replyLimit(packet)))
      if (again === undefined) throw new Error('written but not readable')
    }),
    FUZZ,
  )
  t.ok(parsed > 100, 'enough of them are packets')
})

t.test('what is not a packet', async (t) => {
  const good = encode(makePacket('discover', firmware(7)))
  t.ok(decode(good))
  const bad = (edit: (bytes: Buffer) => Buffer | undefined): void => {
    const bytes = Buffer.from(good)
    t.equal(decode(edit(bytes) ?? bytes), undefined)
  }
  bad((bytes) => bytes.subarray(0, 239))
  bad((bytes) => void bytes.writeUInt8(3, 0))
  bad((bytes) => void bytes.writeUInt8(17, 2))
  bad((bytes) => void bytes.writeUInt8(0, 236))
  bad((bytes) => void bytes.writeUInt8(255, 241))
  bad((bytes) => bytes.subarray(0, 241))
})

t.test('options go on in file and sname (overload), and are read from there', async (t) => {
  const big = new Map([
    [OPTION.messageType, Buffer.of(5)],
    [12, Buffer.alloc(120, 'h')],
    [15, Buffer.alloc(120, 'd')],
    [43, Buffer.alloc(100, 'v')],
    [119, Buffer.alloc(60, 's')],
    [OPTION.relayAgentInformation, Buffer.from('0102cafe', 'hex')],
  ])
  const bytes = encode(makePacket(undefined, big), 548)
  t.ok(bytes.length <= 548)
  const packet = decode(bytes)!
  for (const [key, expected] of big) t.strictSame(packet.options.get(key), expected, `option ${key}`)
  t.notOk(packet.options.has(OPTION.overload))
  t.strictSame(bytes.subarray(-6 - 1, -1).subarray(0, 6), Buffer.from('520401 02cafe'.replace(' ', ''), 'hex'))

  t.test('the boot file moves to option 67 alone when its field is needed', async (t) => {
    const file = 'ipxe.efi'
    const options = new Map([...big, [OPTION.bootfileName, Buffer.from(`${file}\0`)]])
    const tight = decode(encode(makePacket(undefined, options, { file }), 548))!
    t.equal(tight.file, '')
    t.equal(tight.options.get(OPTION.bootfileName)?.toString(), `${file}\0`)
  })

  t.test('a field that is in use is not overwritten', async (t) => {
    const kept = decode(encode(makePacket(undefined, big, { file: 'other', sname: 'name' }), 548))!
    t.equal(kept.file, 'other')
    t.equal(kept.sname, 'name')
    t.equal(kept.options.get(OPTION.messageType)?.[0], 5)
    t.notOk(kept.options.has(119), 'what comes last and does not fit is left out')
  })
})

t.test('any options fit in any reply, or are left out', async (t) => {
  const options = fc.array(fc.tuple(fc.constantFrom(12, 43, 61, 67, 82, 97), fc.integer({ min: 0, max: 1200 })))
  fc.assert(
    fc.property(options, fc.integer({ min: 548, max: 1472 }), fc.boolean(), (lengths, limit, named) => {
      const all = [[54, 4] as const, ...lengths].map(([code, length]) => [code, Buffer.alloc(length, code)] as const)
      const bytes = encode(makePacket('ack', all, named ? { file: 'f', sname: 's' } : {}), limit)
      const packet = decode(bytes)
      return bytes.length <= limit && packet?.options.get(53)?.[0] === 5 && packet.options.get(54)?.length === 4
    }),
    FUZZ,
  )
  const agent = [OPTION.relayAgentInformation, Buffer.alloc(255, 1)] as const
  t.equal(
    decode(encode(makePacket('ack', [agent]), 548))!.options.get(82)?.length,
    255,
    'an agent adds up to 255 bytes',
  )
  const long = [OPTION.relayAgentInformation, Buffer.alloc(600, 1)] as const
  t.notOk(decode(encode(makePacket('ack', [long]), 548))!.options.has(82), 'what no agent can have added')
})

t.test('size of a reply', async (t) => {
  for (const [asked, limit] of [
    [undefined, 548],
    [300, 548],
    [576, 548],
    [1472, 1444],
    [65280, 1472], // EDK2's REQUEST
  ] as const) {
    const options: [number, Buffer][] =
      asked === undefined ? [] : [[OPTION.maxMessageSize, Buffer.of(asked >> 8, asked & 255)]]
    t.equal(replyLimit(makePacket('discover', options)), limit, String(asked))
  }
  t.equal(encode(makePacket('discover')).length, 300, 'padded to a BOOTP message')
})
