/** The client of ssh's control socket, beside masters that do not behave, and on real ones. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { drained } from '../../src/session/channel.ts'
import { enterProxy, type MuxProxy } from '../../src/session/mux-proxy.ts'
import { retryRefused } from '../../src/session/retry-refused.ts'
import { MESSAGE, type SessionChannel } from '../../src/session/session-channel.ts'
import { PacketCutter, PacketReader, packet, string, uint32 } from '../../src/session/wire.ts'
import fc from '../property.ts'
import { noSshd, startSshd } from './sshd.ts'

t.setTimeout(120_000)

const HELLO = packet(uint32(1), uint32(4), string('info'), string('0'))
const ENTERED = packet(uint32(0x8000000f), uint32(0))

/** A master that greets with `words` and hands what it gets to `answer`. */
async function falseMaster(t: Test, words: Buffer, answer: (socket: Socket, packet: Buffer) => void = () => {}) {
  const folder = await mkdtemp(join(tmpdir(), 'session-mux-'))
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.write(words)
    const cutter = new PacketCutter(300_000, (one) => answer(socket, one))
    socket.on('data', (chunk: Buffer) => cutter.push(chunk))
  }).listen(join(folder, 'm'))
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await rm(folder, { recursive: true, force: true })
  })
  return join(folder, 'm')
}

t.test('masters that are none, or do not want to', async (t) => {
  t.equal(await enterProxy('/nonexistent', 1000), undefined)
  const rows: readonly (readonly [words: Buffer, says: RegExp])[] = [
    [
      Buffer.concat([HELLO, packet(uint32(0x80000003), uint32(0), string('unsupported request'))]),
      /^unsupported request$/,
    ],
    [Buffer.concat([HELLO, packet(uint32(0x80000002), uint32(0), string('Permission denied'))]), /^Permission denied$/],
    [Buffer.concat([packet(uint32(1), uint32(3)), ENTERED]), /version 3/],
    [packet(uint32(2), uint32(4)), /does not greet/],
    [Buffer.concat([HELLO, packet(uint32(0x8000000f), uint32(1))]), /an answer to nothing/],
    [Buffer.concat([HELLO, packet(uint32(0x80000001), uint32(0))]), /an answer of type/],
    [packet(uint32(1)), /cut off/],
    [Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'), /a packet of \d+ bytes/],
  ]
  for (const [words, says] of rows) await t.rejects(enterProxy(await falseMaster(t, words), 20_000), { message: says })
  await t.rejects(enterProxy(await falseMaster(t, HELLO), 200), { message: /no answer within 0.2 s/ })
  const silent = await falseMaster(t, HELLO, (socket) => socket.destroy())
  await t.rejects(enterProxy(silent, 20_000), { message: /ended|EPIPE|ECONNRESET/ })
})

/** Enters a master that is a model of one: `answer` gets type and content of each message. */
async function enterModel(
  t: Test,
  answer: (say: (...parts: Buffer[]) => void, type: number, content: PacketReader) => void,
) {
  let isProxy = 0
  const path = await falseMaster(t, Buffer.concat([HELLO, ENTERED]), (socket, one) => {
    // Its greeting and its request come first.
    if (isProxy++ < 2) return
    const content = new PacketReader(one)
    content.byte()
    answer((...parts) => socket.write(packet(Buffer.from([0]), ...parts)), content.byte(), content)
  })
  return (await enterProxy(path, 20_000))!
}

const of = (type: number) => Buffer.from([type])

t.test('what is asked of us is answered', async (t) => {
  const seen: number[] = []
  const proxy = await enterModel(t, (say, type, content) => {
    seen.push(type)
    if (type !== MESSAGE.open) return
    content.string()
    say(of(80), string('keepalive@openssh.com'), of(1))
    say(of(80), string('hostkeys-00@openssh.com'), of(0))
    say(of(MESSAGE.open), string('x11'), uint32(9), uint32(1), uint32(1))
    say(of(MESSAGE.openConfirmation), uint32(content.uint32()), uint32(5), uint32(1000), uint32(1000))
  })
  const channel = await proxy.open('true')
  while (seen.length < 4) await sleep(10)
  t.strictSame(seen, [MESSAGE.open, 82, MESSAGE.openFailure, MESSAGE.request])
  await proxy.end()
  t.equal(await channel.exit, null)
  t.equal(await proxy.closed, undefined, 'it was us')
  await t.rejects(proxy.open('true'), { message: /ended/ })
})

t.test('what no master may say ends the connection, and nothing else', async (t) => {
  const junk = fc.oneof(
    fc.uint8Array({ maxLength: 30 }).map((array) => Buffer.from(array)),
    fc
      .tuple(fc.integer({ min: 80, max: 101 }), fc.nat(2), fc.uint8Array({ maxLength: 20 }))
      .map(([type, id, rest]) => packet(of(0), of(type), uint32(id), Buffer.from(rest))),
  )
  const property = fc.asyncProperty(fc.array(junk, { minLength: 1, maxLength: 5 }), async (packets) => {
    const words = Buffer.concat([HELLO, ENTERED])
    let told = 0
    const path = await falseMaster(t, words, (socket) => {
      if (++told === 3) socket.end(Buffer.concat(packets))
    })
    const proxy = (await enterProxy(path, 20_000))!
    const opened = proxy.open('true').catch(() => {})
    t.ok((await proxy.closed) instanceof Error)
    await opened
  })
  await fc.assert(property, { numRuns: 100 })
})

t.test('who goes waits for what was asked for', async (t) => {
  let answerLate = () => {}
  const seen: number[] = []
  const proxy = await enterModel(t, (say, type, content) => {
    seen.push(type)
    if (type !== MESSAGE.open) return
    content.string()
    const id = content.uint32()
    answerLate = () => say(of(MESSAGE.openConfirmation), uint32(id), uint32(5), uint32(1000), uint32(1000))
  })
  const opening = proxy.open('true').catch((error: Error) => error)
  while (seen.length === 0) await sleep(10)
  const ended = proxy.end()
  await sleep(50)
  answerLate()
  await ended
  t.ok((await opening) instanceof Error)
  while (seen.length < 2) await sleep(10)
  t.strictSame(seen, [MESSAGE.open, MESSAGE.close], 'the master knows both numbers before it loses us')
})

/** A real master on a real sshd. */
async function realMaster(
  t: Test,
  config: readonly string[] = [],
): Promise<{ proxy: MuxProxy; master: ChildProcess; path: string }> {
  const sshd = await startSshd(config)
  const path = join(sshd.folder, 'm')
  const options = ['-F', 'none', '-i', sshd.key, '-o', `UserKnownHostsFile=${sshd.knownHosts}`, '-p', String(sshd.port)]
  const master = spawn('ssh', [...options, '-M', '-S', path, '-N', '-T', '127.0.0.1'], { stdio: 'ignore' })
  t.teardown(async () => {
    master.kill('SIGKILL')
    await sshd[Symbol.asyncDispose]()
  })
  while (!existsSync(path)) await sleep(20)
  return { proxy: (await enterProxy(path, 20_000))!, master, path }
}

async function textOf(channel: SessionChannel): Promise<string> {
  let text = ''
  channel.stdout.on('data', (chunk: Buffer) => {
    text += chunk
  })
  channel.stderr.on('data', (chunk: Buffer) => {
    text += chunk
  })
  await drained(channel)
  return text
}

t.test('a real master', { skip: noSshd }, async (t) => {
  const { proxy, master, path } = await realMaster(t, ['ClientAliveInterval 1', 'ClientAliveCountMax 2'])

  t.test('standard input, both outputs, exit status', async (t) => {
    const channel = await proxy.open('cat; echo err >&2; exit 7')
    channel.stdin.end('in ')
    t.equal((await textOf(channel)).split(' ').sort().join(' '), ['in', 'err\n'].sort().join(' '))
    t.equal(await channel.exit, 7)
    const killed = await proxy.open('kill -KILL $$')
    t.equal(await killed.exit, null)
  })

  t.test('100 MB there and back', async (t) => {
    const channel = await proxy.open('cat')
    const [there, back] = [createHash('sha256'), createHash('sha256')]
    const read = (async () => {
      for await (const chunk of channel.stdout) back.update(chunk)
    })()
    for (let i = 0; i < 100; i++) {
      const chunk = randomBytes(1024 * 1024)
      there.update(chunk)
      if (!channel.stdin.write(chunk)) await once(channel.stdin, 'drain')
    }
    channel.stdin.end()
    await read
    t.equal(back.digest('hex'), there.digest('hex'))
    t.equal(await channel.exit, 0)
  })

  t.test('a channel that nobody reads holds up no other', async (t) => {
    const stuck = await proxy.open('cat /dev/zero')
    await sleep(200)
    t.ok(stuck.stdout.readableLength > 0 && stuck.stdout.readableLength <= 2 * 1024 * 1024)
    t.equal(await textOf(await proxy.open('echo other')), 'other\n')
    stuck.close()
    t.equal(await stuck.exit, null)
  })

  t.test('many channels, one behind the other and at once', async (t) => {
    for (let i = 0; i < 30; i++) {
      const texts = await Promise.all([1, 2, 3].map(async (n) => textOf(await proxy.open(`echo ${n}`))))
      t.strictSame(texts, ['1\n', '2\n', '3\n'])
    }
  })

  t.test('the host asks now and then whether we are there', async (t) => {
    // Three of its questions go by; two without an answer end the connection.
    t.equal(await textOf(await proxy.open('sleep 4; echo still')), 'still\n')
  })

  t.test('another one beside it, with numbers of its own', async (t) => {
    // A master that is left too early dies of it in one of five such rounds.
    for (let i = 0; i < 40; i++) {
      const other = (await enterProxy(path, 20_000))!
      const long = await proxy.open('read x; echo "$x"')
      t.equal(await textOf(await other.open('echo a')), 'a\n')
      await other.open('read x')
      await other.end()
      long.stdin.end('mine\n')
      t.equal(await textOf(long), 'mine\n')
    }
    t.equal(master.exitCode, null)
    t.equal(master.signalCode, null)
  })

  t.test('a master that dies', async (t) => {
    const channel = await proxy.open('sleep 60')
    master.kill('SIGKILL')
    t.equal(await channel.exit, null)
    t.ok((await proxy.closed) instanceof Error)
    await t.rejects(proxy.open('true'), { message: /ended/ })
  })
})

t.test('a host that opens no more', { skip: noSshd }, async (t) => {
  const { proxy } = await realMaster(t, ['MaxSessions 2'])
  const two = [await proxy.open('cat'), await proxy.open('cat')]
  await t.rejects(proxy.open('cat'), { name: 'ChannelRefused' })
  await t.rejects(proxy.open('cat', AbortSignal.abort(new Error('enough'))), { message: 'enough' })
  for (const channel of two) {
    channel.stdin.end('x')
    t.equal(await textOf(channel), 'x')
  }
  const again = await retryRefused('h1', 20_000, undefined, () => proxy.open('echo y'))
  t.equal(await textOf(again), 'y\n', 'sshd needs a moment to count them out')
  await proxy.end()
})
