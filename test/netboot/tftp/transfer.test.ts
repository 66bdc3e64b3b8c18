import t from 'tap'
import { blocksPerChunk, bufferContent, type Content, countBlocks } from '../../../src/netboot/tftp/content.ts'
import { negotiate } from '../../../src/netboot/tftp/options.ts'
import { Transfer } from '../../../src/netboot/tftp/transfer.ts'
import fc from '../../property.ts'

/** A client by RFC 7440: takes blocks in order, acknowledges each window and what it has when one is out of order. */
class Client {
  readonly parts: Buffer[] = []
  next = 1
  inWindow = 0
  done = false
  readonly #blockSize: number
  readonly #windowSize: number

  constructor(blockSize: number, windowSize: number) {
    this.#blockSize = blockSize
    this.#windowSize = windowSize
  }

  /** The block to acknowledge, if any. */
  take(message: Buffer): number | undefined {
    if (message[1] === 6) return this.next === 1 ? 0 : undefined
    if (message.readUInt16BE(2) !== (this.next & 0xffff)) return this.timeout()
    this.parts.push(message.subarray(4))
    this.next++
    this.inWindow++
    if (message.length - 4 < this.#blockSize) this.done = true
    return this.done || this.inWindow === this.#windowSize ? this.timeout() : undefined
  }

  timeout(): number {
    this.inWindow = 0
    return (this.next - 1) & 0xffff
  }
}

interface Wire {
  /** True for a message that is lost; asked once for each. */
  lost: () => boolean
  /** True for a message that comes twice. */
  doubled?: () => boolean
}

/** Runs a transfer over a wire in a world where time passes only when nothing else happens. */
async function run(content: Content, options: Record<string, string>, { lost, doubled = () => false }: Wire) {
  const terms = negotiate(new Map(Object.entries(options)), content.size)
  const client = new Client(terms.blockSize, terms.windowSize)
  const wire: Buffer[] = []
  let sent = 0
  let failure: Error | undefined
  const transfer = new Transfer(
    content,
    terms,
    (bytes, offset, length) => {
      sent++
      if (!lost()) wire.push(Buffer.from(bytes.subarray(offset, offset + length)))
    },
    (error) => {
      failure = error
    },
  )
  let now = 0
  transfer.start(now)
  for (let steps = 0; !transfer.done && !failure && steps < 200_000; steps++) {
    const message = wire.shift()
    if (message !== undefined) {
      const block = client.take(message)
      const times = block === undefined || lost() ? 0 : doubled() ? 2 : 1
      for (let i = 0; i < times; i++) transfer.acknowledge(block!, now)
      continue
    }
    await new Promise((done) => setImmediate(done))
    if (wire.length > 0) continue
    now += 100
    // The client's own timer, at another pace than ours.
    if (now % 700 === 0 && client.next > 1 && !lost()) transfer.acknowledge(client.timeout(), now)
    if (!transfer.tick(now)) break
  }
  return { received: Buffer.concat(client.parts), done: transfer.done, client, sent, now, failure }
}

/** Content whose chunks come later, as from a disk. */
function slowly(content: Content): Content {
  return {
    ...content,
    chunk: async (blockSize, index) => {
      await new Promise((done) => setImmediate(done))
      return content.chunk(blockSize, index)
    },
  }
}

const pattern = (size: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) & 255))
const good: Wire = { lost: () => false }

t.test('every size and window arrives whole over a bad wire', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 20_000 }),
      fc.integer({ min: 100, max: 1468 }),
      fc.integer({ min: 1, max: 20 }),
      fc.boolean(),
      fc.integer({ min: 0, max: 25 }),
      fc.infiniteStream(fc.nat(99)),
      async (size, blksize, windowsize, slow, loss, dice) => {
        const bytes = pattern(size)
        const content = slow ? slowly(bufferContent(bytes)) : bufferContent(bytes)
        const roll = (): number => dice.next().value as number
        // Bad, not cut: an exchange that is lost more often than there are tries rightly ends a transfer. So one packet and
        // its answer get through after each loss.
        let through = 0
        const lost = (): boolean => {
          if (through-- > 0 || roll() >= loss) return false
          through = 2
          return true
        }
        const wire = { lost, doubled: () => roll() < 10 }
        const result = await run(content, { blksize: `${blksize}`, windowsize: `${windowsize}` }, wire)
        // The last acknowledgement may be lost and the client gone, but the client has it all.
        return result.client.done && result.received.equals(bytes)
      },
    ),
    { numRuns: 60 },
  )
})

t.test('a good wire carries each block once', async (t) => {
  for (const [size, blockSize] of [
    [0, 512],
    [511, 512],
    [512, 512],
    [513, 512],
    [300_000, 1468],
    [1468 * blocksPerChunk(1468) * 2, 1468],
  ] as const) {
    for (const windowsize of [1, 4, 16]) {
      const options = { blksize: `${blockSize}`, windowsize: `${windowsize}` }
      const { received, done, sent } = await run(bufferContent(pattern(size)), options, good)
      t.ok(done)
      t.ok(received.equals(pattern(size)), `${size} bytes`)
      t.equal(sent, countBlocks(size, blockSize) + 1, 'blocks and the option acknowledgement')
    }
  }
})

t.test('more than 65535 blocks: numbers go on from 0', async (t) => {
  const bytes = pattern(8 * 70_000 + 3)
  for (const windowsize of ['1', '7']) {
    const { received, done } = await run(bufferContent(bytes), { blksize: '8', windowsize }, good)
    t.ok(done)
    t.ok(received.equals(bytes))
  }
})

t.test("an acknowledgement that comes twice doubles nothing (Sorcerer's Apprentice)", async (t) => {
  const { sent, done } = await run(bufferContent(pattern(51_200)), {}, { ...good, doubled: () => true })
  t.ok(done)
  t.equal(sent, 101)
})

t.test('a client that goes away is given up after half a minute, with pauses that grow', async (t) => {
  let sent = 0
  const times: number[] = []
  let now = 0
  const transfer = new Transfer(
    bufferContent(pattern(5000)),
    negotiate(new Map(), 5000),
    () => {
      sent++
      times.push(now)
    },
    () => {},
  )
  transfer.start(0)
  while (transfer.tick(now)) now += 100
  t.strictSame(times, [0, 1000, 3000, 7000, 15000, 23000, 31000])
  t.equal(sent, 7)
  t.equal(now, 39_000)
})

t.test("the client's timeout option is kept", async (t) => {
  const times: number[] = []
  let now = 0
  const terms = negotiate(new Map([['timeout', '20']]), 10)
  const transfer = new Transfer(
    bufferContent(pattern(10)),
    terms,
    () => times.push(now),
    () => {},
  )
  transfer.start(0)
  for (; times.length < 3; now += 100) transfer.tick(now)
  t.strictSame(times, [0, 20_000, 40_000])
})

t.test('acknowledgements of what was not sent are ignored', async (t) => {
  const blocks: number[] = []
  const transfer = new Transfer(
    bufferContent(pattern(5000)),
    negotiate(new Map(), 5000),
    (bytes, offset) => {
      blocks.push(bytes.readUInt16BE(offset + 2))
    },
    () => {},
  )
  transfer.start(0)
  for (const block of [2, 9, 65535, 1]) transfer.acknowledge(block, 0)
  t.strictSame(blocks, [1, 2])
})

t.test('a file that cannot be read any more', async (t) => {
  const broken: Content = { ...bufferContent(pattern(10)), chunk: () => Promise.reject(new Error('EIO')) }
  const { failure } = await run(broken, {}, good)
  t.match(failure, { message: 'EIO' })
})
