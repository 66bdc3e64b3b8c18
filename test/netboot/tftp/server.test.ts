import { spawnSync } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { encodeRequest, OPCODE } from '../../../src/netboot/tftp/packet.ts'
import { type TftpEvent, TftpServer, type TftpServerOptions } from '../../../src/netboot/tftp/server.ts'

const BIG = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * 31) & 255))

async function serve(t: Test, options: TftpServerOptions = {}) {
  const dir = t.testdir({ root: { 'a.txt': 'one\ntwo\n', sub: { 'b.bin': 'b' } }, outside: { secret: 'secret' } })
  const root = join(dir, 'root')
  writeFileSync(join(root, 'big'), BIG)
  symlinkSync('../outside/secret', join(root, 'leak'))
  symlinkSync('../outside', join(root, 'leakdir'))
  symlinkSync('sub/b.bin', join(root, 'inside'))
  const events: TftpEvent[] = []
  const server = new TftpServer({
    root,
    addresses: ['127.0.0.1'],
    port: 0,
    onEvent: (event) => events.push(event),
    ...options,
  })
  await server.start()
  t.teardown(() => server.close())
  return { server, events, root }
}

async function client(t: Test, address = '127.0.0.1'): Promise<Socket> {
  const socket = createSocket('udp4')
  await new Promise<void>((done) => socket.bind(0, address, done))
  t.teardown(() => socket.close())
  return socket
}

const request = (file: string, options: Record<string, string> = {}, mode = 'octet', write = false): Buffer =>
  encodeRequest({ write, file, mode, options: new Map(Object.entries(options)) })

function next(socket: Socket): Promise<{ bytes: Buffer; port: number }> {
  return new Promise((done, fail) => {
    const timer = setTimeout(() => fail(new Error('no answer within 20 s')), 20_000)
    socket.once('message', (bytes, { port }) => {
      clearTimeout(timer)
      done({ bytes, port })
    })
  })
}

/** Bytes that are in use, after the garbage is gone: what 10,000 clients in this process received is, resident or not. */
function alive(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Loads a file in lock-step: its bytes and the options that were acknowledged, or the error. */
async function load(t: Test, port: number, message: Buffer, blockSize = 512) {
  const socket = await client(t)
  const parts: Buffer[] = []
  const options: string[] = []
  socket.send(message, port, '127.0.0.1')
  for (;;) {
    const { bytes, port: from } = await next(socket)
    const ack = Buffer.from(bytes.subarray(0, 4))
    ack[1] = OPCODE.ack
    if (bytes[1] === OPCODE.error) return { error: bytes[3], text: bytes.toString('latin1', 4, bytes.length - 1), from }
    if (bytes[1] === OPCODE.oack) {
      options.push(...bytes.toString('latin1', 2).split('\0').slice(0, -1))
      ack.writeUInt16BE(0, 2)
    } else parts.push(bytes.subarray(4))
    socket.send(ack, from, '127.0.0.1')
    if (bytes[1] === OPCODE.data && bytes.length - 4 < blockSize) return { bytes: Buffer.concat(parts), options, from }
  }
}

t.test('files', async (t) => {
  const virtual = (name: string, from: string): string | undefined =>
    name === 'autoexec.ipxe' ? `#!ipxe\necho ${from}\n` : undefined
  const { server, events } = await serve(t, { virtual })
  const { port } = server
  for (const [name, message, expected] of [
    ['a file', request('a.txt'), 'one\ntwo\n'],
    ['a leading slash', request('/a.txt'), 'one\ntwo\n'],
    ['two of them', request('//sub//b.bin'), 'b'],
    ['the end of a DHCP option', request('a.txt\xff'), 'one\ntwo\n'],
    ['a symlink inside', request('inside'), 'b'],
    ['netascii', request('a.txt', {}, 'NetASCII'), 'one\r\ntwo\r\n'],
    ['a script made for the client', request('/autoexec.ipxe'), '#!ipxe\necho 127.0.0.1\n'],
  ] as const) {
    const result = await load(t, port, message)
    t.equal(result.bytes?.toString(), expected, name)
  }
  const ascii = await load(t, port, request('a.txt', { tsize: '0' }, 'netascii'))
  t.strictSame(ascii.options, ['tsize', '10'], 'tsize is that of what is sent')
  const big = await load(t, port, request('big', { blksize: '1400', tsize: '0' }), 1400)
  t.ok(big.bytes?.equals(BIG))
  t.strictSame(big.options, ['blksize', '1400', 'tsize', '300000'])
  t.not(big.from, port, 'from a port of its own')
  // The last acknowledgement is on its way.
  while (server.size > 0) await new Promise((done) => setTimeout(done, 5))
  t.equal(events.filter(({ outcome }) => outcome === 'done').length, 9)
})

t.test('what cannot be had', async (t) => {
  const { server } = await serve(t)
  for (const [name, message, error] of [
    ['nothing there', request('revocations_sku.efi'), 1],
    ['below a file', request('a.txt/x'), 1],
    ['a folder', request('sub'), 1],
    ['a very long name', request('x'.repeat(300)), 1],
    ['out of the root', request('../outside/secret'), 2],
    ['with backslashes', request('..\\outside\\secret'), 2],
    ['by a symlink', request('leak'), 2],
    ['by a symlink to a folder', request('leakdir/secret'), 2],
    ['no name', request('/'), 2],
    ['writing', request('new', {}, 'octet', true), 2],
    ['mail', request('a.txt', {}, 'mail'), 4],
  ] as const) {
    t.match(await load(t, server.port, message), { error, text: /./ }, name)
  }
  t.equal(server.size, 0)
})

t.test('one port for all', async (t) => {
  const { server } = await serve(t, { transferPorts: 'single' })
  const results = await Promise.all(
    Array.from({ length: 5 }, () => load(t, server.port, request('big', { blksize: '1468' }), 1468)),
  )
  for (const { bytes, from } of results) {
    t.ok(bytes?.equals(BIG))
    t.equal(from, server.port)
  }
})

t.test('a range of ports', async (t) => {
  const from = 20_000 + (process.pid % 20_000)
  const { server } = await serve(t, { transferPorts: { from, to: from + 1 } })
  const ports = new Set<number | undefined>()
  for (let i = 0; i < 4; i++) ports.add((await load(t, server.port, request('a.txt'))).from)
  t.strictSame(ports, new Set([from, from + 1]))
})

t.test('firmware that only asks for the size', async (t) => {
  const { server, events } = await serve(t)
  const socket = await client(t)
  socket.send(request('big', { tsize: '0' }), server.port, '127.0.0.1')
  const { port } = await next(socket)
  socket.send(Buffer.from('\0\x05\0\0User aborted the transfer\0'), port, '127.0.0.1')
  while (server.size > 0) await new Promise((done) => setTimeout(done, 5))
  t.match(events.at(-1), { outcome: 'stopped', reason: 'User aborted the transfer', file: 'big', size: 300_000 })
})

t.test('a request that comes again gets one transfer; one for another file replaces it', async (t) => {
  const { server } = await serve(t)
  const socket = await client(t)
  const first = request('big')
  socket.send(first, server.port, '127.0.0.1')
  const { bytes } = await next(socket)
  t.equal(bytes.readUInt16BE(2), 1)
  socket.send(first, server.port, '127.0.0.1')
  socket.send(request('a.txt'), server.port, '127.0.0.1')
  const second = await next(socket)
  t.equal(second.bytes.toString('latin1', 4), 'one\ntwo\n')
  t.equal(server.size, 1)
})

t.test('strangers on a transfer port get error 5', async (t) => {
  const { server } = await serve(t)
  const owner = await client(t)
  owner.send(request('big'), server.port, '127.0.0.1')
  const { port } = await next(owner)
  const stranger = await client(t)
  stranger.send(Buffer.of(0, 4, 0, 1), port, '127.0.0.1')
  t.equal((await next(stranger)).bytes[3], 5)
  owner.send(Buffer.of(0, 4, 0, 1), port, '127.0.0.1')
  t.equal((await next(owner)).bytes.readUInt16BE(2), 2, 'and do not disturb its owner')
})

t.test('lost messages are sent again', async (t) => {
  const { server } = await serve(t)
  const socket = await client(t)
  socket.send(request('a.txt', { timeout: '1' }), server.port, '127.0.0.1')
  const first = await next(socket)
  const second = await next(socket)
  t.strictSame(second.bytes, first.bytes)
})

t.test('a file that changes is sent anew', async (t) => {
  const { server, root } = await serve(t)
  t.equal((await load(t, server.port, request('a.txt'))).bytes?.toString(), 'one\ntwo\n')
  writeFileSync(join(root, 'a.txt'), 'three\n')
  t.equal((await load(t, server.port, request('a.txt'))).bytes?.toString(), 'three\n')
  mkdirSync(join(root, 'later'))
  writeFileSync(join(root, 'later/c'), 'c')
  t.equal((await load(t, server.port, request('later/c'))).bytes?.toString(), 'c')
})

t.test('10,000 half-open transfers: bounded memory, and service goes on', async (t) => {
  const { server, events } = await serve(t, { mostTransfers: 10_000, cache: 4 << 20 })
  const flood: Socket[] = []
  // 250 addresses with 64 ports each, in turns that the receive buffer can take. Block sizes differ, so that no two
  // addresses share chunks.
  for (let i = 0; i < 250; i++) {
    const socket = createSocket('udp4')
    flood.push(socket)
    await new Promise<void>((done) => socket.bind(0, `127.1.${i >> 7}.${(i & 127) + 1}`, done))
  }
  const sockets = await Promise.all(
    flood.map(async (first, i) => {
      const { address } = first.address()
      const more = Array.from({ length: 41 }, () => createSocket('udp4'))
      await Promise.all(more.map((socket) => new Promise<void>((done) => socket.bind(0, address, done))))
      return { all: [first, ...more], blksize: String(1468 - i) }
    }),
  )
  t.teardown(() => {
    for (const { all } of sockets) for (const socket of all) socket.close()
  })
  const before = alive()
  for (const { all, blksize } of sockets) {
    for (const socket of all) socket.send(request('big', { blksize }), server.port, '127.0.0.1')
    await new Promise((done) => setTimeout(done, 2))
  }
  const gaveWay = (): number => server.counters.failed ?? 0
  for (let i = 0; (server.size < 10_000 || gaveWay() === 0) && i < 1000; i++)
    await new Promise((done) => setTimeout(done, 10))
  t.equal(server.size, 10_000)
  const grown = (alive() - before) / 2 ** 20
  t.ok(grown < 50, `${grown.toFixed()} MB`)
  t.equal((await load(t, server.port, request('a.txt'))).bytes?.toString(), 'one\ntwo\n', 'those before it give way')
  t.ok(events.some(({ reason }) => reason === 'the client does not answer, and others ask'))
})

t.test('transfers that are under way give way to none', async (t) => {
  const { server } = await serve(t, { mostTransfers: 2 })
  const [one, two] = [await client(t), await client(t)]
  for (const socket of [one, two]) {
    socket.send(request('big'), server.port, '127.0.0.1')
    const { port } = await next(socket)
    socket.send(Buffer.of(0, OPCODE.ack, 0, 1), port, '127.0.0.1')
    t.equal((await next(socket)).bytes[3], 2)
  }
  const three = await client(t)
  three.send(request('a.txt'), server.port, '127.0.0.1')
  for (let i = 0; server.counters.busy === undefined && i < 500; i++) await sleep(20)
  t.match([server.size, server.counters], [2, { busy: 1, failed: undefined }])
})

t.test('a sender that claims port 0, which nothing can be sent to, is nobody', async (t) => {
  const { server } = await serve(t)
  const script = `use Socket; socket(my $s, AF_INET, SOCK_RAW, 17) or exit 77; my $d = "\\0\\1a.txt\\0octet\\0";
    send($s, pack('nnnn', 0, ${server.port}, 8 + length $d, 0) . $d, 0, pack_sockaddr_in(0, inet_aton('127.0.0.1'))) or die $!`
  const { status } = spawnSync('perl', ['-e', script])
  if (status === 77) return t.comment('only root may send such packets')
  const socket = await client(t)
  for (let i = 0; server.counters.malformed === undefined && i < 500; i++) await sleep(20)
  t.match(server.counters, { malformed: 1, started: undefined })
  socket.send(request('a.txt'), server.port, '127.0.0.1')
  t.equal((await next(socket)).bytes[1], OPCODE.data, 'service goes on')
})

t.test('a name is told without what a terminal would obey', async (t) => {
  const { server, events } = await serve(t)
  const socket = await client(t)
  socket.send(request(`x\x1b[2J\n12:00:00  node-1  installed${'y'.repeat(400)}`), server.port, '127.0.0.1')
  await next(socket)
  t.equal(events[0]!.file, `x?[2J?12:00:00  node-1  installed${'y'.repeat(167)}`)
})
