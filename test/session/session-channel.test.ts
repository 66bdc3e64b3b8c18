/** Channels of the connection protocol (RFC 4254) beside a model of the host. */
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { type Carrier, ChannelRefused, MESSAGE, SessionChannel } from '../../src/session/session-channel.ts'
import { PacketReader, string, uint32, WireError } from '../../src/session/wire.ts'
import fc from '../property.ts'

/** What carries a channel in a test: keeps what was sent, behind the recipient's number. */
class Host implements Carrier {
  readonly sent: [type: number, message: PacketReader][] = []
  readonly forgotten: SessionChannel[] = []
  readonly channel: SessionChannel

  constructor(command = 'true') {
    this.channel = new SessionChannel(7, command, this)
  }

  send(type: number, ...parts: readonly Buffer[]): void {
    this.sent.push([type, new PacketReader(Buffer.concat(parts))])
  }

  whenWritable(go: () => void): void {
    setImmediate(go)
  }

  forget(channel: SessionChannel): void {
    this.forgotten.push(channel)
  }

  /** A message to the channel, behind its number. */
  say(type: number, ...parts: readonly Buffer[]): void {
    this.channel.receive(type, new PacketReader(Buffer.concat(parts)))
  }

  /** Opens it as the host's number 42. */
  confirm(window = 1000, longest = 100): void {
    this.say(MESSAGE.openConfirmation, uint32(42), uint32(window), uint32(longest))
  }

  types(): number[] {
    return this.sent.map(([type]) => type)
  }
}

t.test('a command from its opening to its end', async (t) => {
  const host = new Host('echo ü')
  const { channel } = host
  const [type, open] = host.sent[0]!
  t.strictSame([type, open.string().toString(), open.uint32()], [MESSAGE.open, 'session', 7])
  const [window, longest] = [open.uint32(), open.uint32()]
  t.ok(window >= longest && longest >= 32768, 'as much as RFC 4253 section 6.1 wants')
  host.confirm()
  await channel.opened
  const [kind, request] = host.sent[1]!
  t.strictSame([kind, request.uint32(), request.string().toString()], [MESSAGE.request, 42, 'exec'])
  t.strictSame([request.boolean(), request.string().toString(), request.left], [true, 'echo ü', 0])
  host.say(MESSAGE.success)
  host.say(MESSAGE.data, string('out'))
  host.say(MESSAGE.extendedData, uint32(1), string('err'))
  host.say(MESSAGE.extendedData, uint32(2), string('of no kind that anybody knows'))
  channel.stdin.end()
  await turn()
  t.equal(host.sent.at(-1)![0], MESSAGE.eof)
  host.say(MESSAGE.eof)
  host.say(MESSAGE.request, string('exit-status'), Buffer.from([0]), uint32(4))
  t.equal(await channel.exit, 4)
  host.say(MESSAGE.close)
  t.strictSame([host.sent.at(-1)![0], host.sent.at(-1)![1].uint32()], [MESSAGE.close, 42])
  t.strictSame(host.forgotten, [channel])
  const [out, err] = [await channel.stdout.toArray(), await channel.stderr.toArray()]
  t.strictSame([Buffer.concat(out).toString(), Buffer.concat(err).toString()], ['out', 'err'], 'read after the end')
})

t.test('how a channel may end', async (t) => {
  const refused = new Host()
  refused.say(MESSAGE.openFailure, uint32(2), string('open failed'), string(''))
  await t.rejects(refused.channel.opened, new ChannelRefused(2, 'open failed'))
  t.equal(refused.forgotten.length, 1)

  const early = new Host()
  early.channel.close()
  t.strictSame([await early.channel.exit, early.types()], [null, [MESSAGE.open]], 'the host has no number for it yet')
  early.confirm()
  t.strictSame(early.types(), [MESSAGE.open, MESSAGE.close], 'nothing is run')
  await t.rejects(early.channel.opened)
  early.say(MESSAGE.close)
  t.equal(early.forgotten.length, 1)

  const signal = new Host()
  signal.confirm()
  signal.say(MESSAGE.request, string('exit-signal'), Buffer.from([0]), string('KILL'), Buffer.from([0]), string(''))
  t.equal(await signal.channel.exit, null)

  const unable = new Host()
  unable.confirm()
  unable.say(MESSAGE.failure)
  t.strictSame([await unable.channel.exit, unable.types().at(-1)], [null, MESSAGE.close])

  const lost = new Host()
  lost.confirm()
  lost.say(MESSAGE.data, string('before'))
  lost.channel.end()
  t.equal(await lost.channel.exit, null)
  t.equal(Buffer.concat(await lost.channel.stdout.toArray()).toString(), 'before')

  const twice = new Host()
  twice.confirm()
  twice.channel.close()
  twice.channel.close()
  twice.say(MESSAGE.data, string('on its way'))
  twice.say(MESSAGE.close)
  t.strictSame(twice.types(), [MESSAGE.open, MESSAGE.request, MESSAGE.close])
})

t.test('requests that nobody knows are answered, if they want it', async (t) => {
  const host = new Host()
  host.confirm()
  host.say(MESSAGE.request, string('keepalive@openssh.com'), Buffer.from([1]))
  host.say(MESSAGE.request, string('eow@openssh.com'), Buffer.from([0]))
  t.strictSame(host.types().slice(2), [MESSAGE.failure])
})

t.test('standard input keeps to what the host takes', async (t) => {
  const property = fc.asyncProperty(
    fc.array(fc.nat(2000), { maxLength: 5 }),
    fc.nat(3000),
    fc.integer({ min: 1, max: 700 }),
    fc.array(fc.integer({ min: 100, max: 2000 }), { minLength: 1, maxLength: 5 }),
    async (writes, window, longest, adjusts) => {
      const host = new Host()
      host.confirm(window, longest)
      const content = writes.map((length, i) => Buffer.alloc(length, 65 + i))
      for (const chunk of content) host.channel.stdin.write(chunk)
      host.channel.stdin.end()
      const taken: Buffer[] = []
      let room = window
      let at = 2
      for (let i = 0; ; i++) {
        for (; at < host.sent.length; at++) {
          const [type, message] = host.sent[at]!
          if (type === MESSAGE.eof) {
            t.ok(Buffer.concat(taken).equals(Buffer.concat(content)))
            return
          }
          if (type !== MESSAGE.data || message.uint32() !== 42) throw new Error(`a message of type ${type}`)
          const piece = message.string()
          room -= piece.length
          if (piece.length > longest || room < 0) throw new Error('more than the host takes')
          taken.push(piece)
        }
        if (room === 0) {
          room += adjusts[i % adjusts.length]!
          host.say(MESSAGE.windowAdjust, uint32(room))
        }
        await turn()
      }
    },
  )
  await fc.assert(property, { numRuns: 100 })
})

t.test('output stops where nobody reads, and goes on where somebody does', async (t) => {
  const host = new Host()
  host.confirm()
  const { channel } = host
  const open = host.sent[0]![1]
  open.string()
  open.uint32()
  let room = open.uint32()
  const window = room
  const kilobyte = string(Buffer.alloc(1024, 'x'))
  let at = 2
  /** Sends a window, or as much as there is room for. */
  const fill = (type: number, ...before: readonly Buffer[]) => {
    let bytes = 0
    for (;;) {
      for (; at < host.sent.length; at++) {
        const [type, message] = host.sent[at]!
        if (type !== MESSAGE.windowAdjust || message.uint32() !== 42) throw new Error(`a message of type ${type}`)
        room += message.uint32()
      }
      if (room < 1024 || bytes >= window) return bytes
      host.say(type, ...before, kilobyte)
      room -= 1024
      bytes += 1024
    }
  }
  t.equal(fill(MESSAGE.data), window, 'exactly the window')
  t.throws(() => host.say(MESSAGE.data, kilobyte), WireError)
  let read = 0
  channel.stdout.on('data', (chunk: Buffer) => {
    read += chunk.length
  })
  let sent = window
  while (sent < 20 * window) {
    await turn()
    sent += fill(MESSAGE.data)
  }
  await turn()
  t.equal(read, sent)
  // Both streams share the room; one that is not read leaves the other what it does not hold.
  let errors = 0
  channel.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.length
  })
  channel.stdout.pause()
  sent = fill(MESSAGE.data)
  t.ok(sent >= window / 2)
  channel.stderr.resume()
  t.equal(fill(MESSAGE.extendedData, uint32(1)), 0)
  channel.stdout.resume()
  while (errors < 5 * window) {
    await turn()
    fill(MESSAGE.extendedData, uint32(1))
  }
})

t.test('whoever reads in whichever way gets all', async (t) => {
  for (const way of ['iterate', 'read all', 'read some'] as const) {
    const host = new Host()
    host.confirm()
    const { stdout } = host.channel
    let room = 2 * 1024 * 1024
    let at = 2
    let sent = 0
    let read = 0
    let ended = false
    const piece = string(Buffer.alloc(32_768))
    const write = async () => {
      while (sent < 12_000_000) {
        for (; at < host.sent.length; at++) {
          const message = host.sent[at]![1]
          message.uint32()
          room += message.uint32()
        }
        if (room >= 32_768) {
          host.say(MESSAGE.data, piece)
          room -= 32_768
          sent += 32_768
        } else await turn()
      }
      host.say(MESSAGE.eof)
    }
    const take = async () => {
      if (way === 'iterate') for await (const chunk of stdout) read += chunk.length
      else {
        stdout.on('end', () => {
          ended = true
        })
        while (!ended) {
          const chunk = stdout.read(way === 'read all' ? undefined : 100_000) ?? stdout.read()
          if (chunk) read += chunk.length
          await turn()
        }
      }
    }
    await Promise.all([write(), take()])
    t.equal(read, sent, way)
  }
})

t.test('no message does anything but what it may', async (t) => {
  const types = fc.oneof(fc.integer({ min: 91, max: 100 }), fc.nat(255))
  const fields = fc.oneof(
    fc.uint8Array({ maxLength: 12 }).map((array) => Buffer.from(array)),
    fc.nat(2 ** 32 - 1).map(uint32),
    fc.constantFrom('exit-status', 'exit-signal', 'x11', '').map(string),
    fc.nat(3000).map((length) => string(Buffer.alloc(length))),
  )
  const message = fc.tuple(
    types,
    fc.array(fields, { maxLength: 4 }).map((parts) => Buffer.concat(parts)),
  )
  const property = fc.asyncProperty(fc.boolean(), fc.array(message, { maxLength: 12 }), async (opened, messages) => {
    const host = new Host()
    if (opened) host.confirm()
    host.channel.stdout.resume()
    for (const [type, content] of messages) {
      if (host.forgotten.length > 0) break
      try {
        host.say(type, content)
      } catch (error) {
        if (!(error instanceof WireError)) throw error
        host.channel.end()
        break
      }
    }
    if (host.forgotten.length === 0) host.channel.end()
    t.equal(host.types().filter((type) => type === MESSAGE.close).length <= 1, true)
    await host.channel.exit
  })
  await fc.assert(property, { numRuns: 1000 })
})
