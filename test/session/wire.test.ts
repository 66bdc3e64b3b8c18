import t from 'tap'
import { PacketCutter, PacketReader, packet, string, uint32, WireError } from '../../src/session/wire.ts'
import fc from '../property.ts'

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))

/** Cuts `stream` at the given lengths, again and again. */
function* pieces(stream: Buffer, cuts: readonly number[]): Generator<Buffer> {
  for (let at = 0, i = 0; at < stream.length; i++) {
    const length = Math.max(1, cuts[i % Math.max(1, cuts.length)] ?? stream.length)
    yield stream.subarray(at, at + length)
    at += length
  }
}

t.test('packets come out as they went in, whatever the chunks are', async (t) => {
  const several = fc.array(bytes(50), { maxLength: 8 })
  const property = fc.property(several, fc.array(fc.nat(70), { maxLength: 12 }), (packets, cuts) => {
    const seen: Buffer[] = []
    const cutter = new PacketCutter(50, (one) => seen.push(Buffer.from(one)))
    for (const piece of pieces(Buffer.concat(packets.map((one) => packet(one))), cuts)) cutter.push(piece)
    t.strictSame(seen, packets)
  })
  fc.assert(property, { numRuns: 500 })
})

t.test('a packet that is too long is refused at its length', async (t) => {
  const cutter = new PacketCutter(50, () => {})
  cutter.push(packet(Buffer.alloc(50)))
  cutter.push(Buffer.from([0, 0, 0]))
  t.throws(() => cutter.push(Buffer.from([51])), WireError)
})

t.test('a large packet in small chunks takes time in proportion to its length', async (t) => {
  const content = Buffer.alloc(4_000_000, 'x')
  let seen: Buffer | undefined
  const cutter = new PacketCutter(content.length, (one) => {
    seen = one
  })
  // Copying what is there at each chunk would move 160 GB.
  for (const piece of pieces(packet(content), [50])) cutter.push(piece)
  t.ok(seen?.equals(content))
})

t.test('fields come out as they went in, and nothing is read beyond the end', async (t) => {
  const property = fc.property(fc.nat(2 ** 31), bytes(20), fc.boolean(), fc.nat(40), (number, text, flag, cut) => {
    const whole = Buffer.concat([uint32(number), string(text), Buffer.from([Number(flag)])])
    const read = (from: PacketReader) => [from.uint32(), from.string(), from.boolean(), from.left]
    t.strictSame(read(new PacketReader(whole)), [number, text, flag, 0])
    if (cut < whole.length) t.throws(() => read(new PacketReader(whole.subarray(0, cut))), WireError)
  })
  fc.assert(property, { numRuns: 500 })
  t.strictSame(new PacketReader(string('zwölf')).string().toString(), 'zwölf')
})
