import { createHash } from 'node:crypto'
import type { Socket } from 'node:dgram'
import { truncateSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { negotiate } from '../../../src/netboot/tftp/options.ts'
import { ERROR, encodeError, OPCODE } from '../../../src/netboot/tftp/packet.ts'
import { type Handover, type Said, Sender } from '../../../src/netboot/tftp/sender.ts'
import { openShared } from '../../../src/netboot/tftp/socket.ts'
import { BYTES, descriptors, SIZE, socketOn, take, until } from './sending.ts'

/** A sender, the socket that its transfers' clients know, a file, and what it says. */
async function setUp(t: Test) {
  const path = join(t.testdir({}), 'file')
  writeFileSync(path, BYTES)
  const shared = await openShared('127.0.0.1', 0)
  const said: Said[] = []
  const sender = new Sender({ cache: 1 << 20, say: (word) => said.push(word) })
  const handle: FileHandle = await open(path)
  t.teardown(async () => {
    sender.close()
    shared.close()
    await handle.close().catch(() => {})
  })
  let ids = 0
  const handover = (client: Socket | number, options: Record<string, string> = {}, block = 1): Handover => ({
    id: ++ids,
    local: { address: '127.0.0.1', port: shared.address().port },
    client: { address: '127.0.0.1', port: typeof client === 'number' ? client : client.address().port },
    file: { fd: handle.fd, id: 'file', size: SIZE },
    terms: negotiate(new Map(Object.entries({ blksize: '1468', ...options })), SIZE),
    block,
  })
  const ended = (id: number) => said.find((word) => word.what === 'ended' && word.id === id)
  return { path, shared, said, sender, handle, handover, ended }
}

t.test('a transfer goes on where it was, from the port that its client knows', async (t) => {
  const { sender, handover, ended, shared, path } = await setUp(t)
  for (const window of [1, 4, 16]) {
    const client = await socketOn(t)
    const ports = new Set<number>()
    const received = take(client, { window, from: 11, ports })
    const order = handover(client, { windowsize: String(window) }, 11)
    await sender.take(order)
    t.ok((await received).equals(BYTES.subarray(10 * 1468)), `window ${window}`)
    t.strictSame(ports, new Set([shared.address().port]))
    await until('it has ended', () => ended(order.id) !== undefined)
    t.match(ended(order.id), { outcome: 'done', bytes: SIZE })
  }
  await until('all is closed but ours', async () => (await descriptors(path)) === 1)
})

/** Clients in a thread of their own: acknowledge each block and tell, once all have all, what they got. */
const CLIENTS = `
const { createHash } = require('node:crypto')
const { createSocket } = require('node:dgram')
const { parentPort, workerData } = require('node:worker_threads')
const hashes = []
for (let i = 0; i < workerData; i++) {
  const socket = createSocket('udp4')
  const hash = createHash('sha256')
  let next = 1
  socket.on('message', (bytes, { port }) => {
    if (bytes[1] !== 3 || bytes.readUInt16BE(2) !== next) return
    hash.update(bytes.subarray(4))
    socket.send(Buffer.of(0, 4, next >> 8, next & 255), port, '127.0.0.1', () => {
      if (bytes.length < 1472) socket.close()
    })
    next++
    if (bytes.length === 1472) return
    hashes.push(hash.digest('hex'))
    if (hashes.length === workerData) parentPort.postMessage({ hashes })
  })
  socket.bind(0, '127.0.0.1', () => parentPort.postMessage({ port: socket.address().port }))
}`

t.test('many at once: acknowledgements are looked for and found', async (t) => {
  const { sender, handover, said } = await setUp(t)
  const MANY = 40
  const sum = createHash('sha256').update(BYTES).digest('hex')
  let all = 0
  // Whether one is there in time is up to the scheduler, so it may take several goes.
  await until('one was found', async () => {
    const worker = new Worker(CLIENTS, { eval: true, workerData: MANY, execArgv: [] })
    const ports: number[] = []
    const hashes = new Promise<string[]>((done) => {
      worker.on('message', (word: { port?: number; hashes?: string[] }) => {
        if (word.port !== undefined) ports.push(word.port)
        if (word.hashes) done(word.hashes)
      })
    })
    await until('they listen', () => ports.length === MANY)
    await Promise.all(ports.map((port) => sender.take(handover(port))))
    t.strictSame(new Set(await hashes), new Set([sum]))
    await worker.terminate()
    all += MANY
    await until('all have ended', () => said.filter(({ what }) => what === 'ended').length === all)
    return sender.counters.found > 0
  })
})

t.test('what others send to the port is not taken for the client', async (t) => {
  const { sender, handover, shared, ended } = await setUp(t)
  const [client, stranger] = [await socketOn(t), await socketOn(t)]
  const strange: Buffer[] = []
  shared.on('message', (bytes) => strange.push(bytes))
  const order = handover(client)
  const first = new Promise<void>((done) => client.once('message', () => done()))
  await sender.take(order)
  await first
  stranger.send(encodeError(ERROR.other, 'stop'), shared.address().port, '127.0.0.1')
  await until('the shared socket has it', () => strange.length === 1)
  const received = take(client)
  t.ok((await received).equals(BYTES), 'block 1 comes again, and the rest')
  await until('it has ended', () => ended(order.id) !== undefined)
  t.match(ended(order.id), { outcome: 'done' })
})

/** Sends a byte, waits for it to come back, sends the next: on many sockets, until all have had so many. */
const ECHOES = `
const { createSocket } = require('node:dgram')
const { parentPort, workerData: { port, sockets, times } } = require('node:worker_threads')
let left = sockets
for (let i = 0; i < sockets; i++) {
  const socket = createSocket('udp4')
  let count = 0
  socket.on('message', () => {
    if (++count < times) return socket.send('x', port, '127.0.0.1')
    socket.close()
    if (--left === 0) parentPort.postMessage('all came back')
  })
  socket.send('x', port, '127.0.0.1')
}`

t.test('while sockets are opened on a port, what others send to it is not lost', async (t) => {
  const { sender, handover, shared, said } = await setUp(t)
  shared.on('message', (bytes, { address, port }) => shared.send(bytes, port, address))
  const workerData = { port: shared.address().port, sockets: 20, times: 1000 }
  const echoes = new Worker(ECHOES, { eval: true, workerData, execArgv: [] })
  let isDone = false
  echoes.once('message', () => {
    isDone = true
  })
  const client = await socketOn(t)
  await until('all came back', async () => {
    for (let i = 0; i < 20; i++) {
      const order = handover(client)
      await sender.take(order)
      sender.stop(order.id)
    }
    return isDone
  })
  t.ok(said.length >= 2, `${said.length} transfers`)
  t.notOk(said.some(({ what }) => what === 'declined'))
  await echoes.terminate()
})

t.test('a client that says stop, and one whose port is closed', async (t) => {
  const { sender, handover, ended, shared, path } = await setUp(t)
  const stopping = await socketOn(t)
  const one = handover(stopping)
  stopping.once('message', () => stopping.send(encodeError(ERROR.other, 'enough'), shared.address().port, '127.0.0.1'))
  await sender.take(one)
  await until('it has ended', () => ended(one.id) !== undefined)
  t.match(ended(one.id), { outcome: 'stopped', reason: 'enough' })
  const gone = await socketOn(t)
  const two = handover(gone)
  await new Promise<void>((done) => gone.close(done))
  await sender.take(two)
  await until('it has ended', () => ended(two.id) !== undefined)
  t.match(ended(two.id), { outcome: 'failed', reason: 'the client does not listen any more' })
  await until('all is closed but ours', async () => (await descriptors(path)) === 1)
})

t.test('a file that is cut short while it is sent: the client is told', async (t) => {
  const { sender, handover, ended, path } = await setUp(t)
  const client = await socketOn(t)
  truncateSync(path, 1000)
  const told = new Promise<Buffer>((done) => client.once('message', done))
  const order = handover(client)
  await sender.take(order)
  const error = await told
  t.equal(error[1], OPCODE.error)
  await until('it has ended', () => ended(order.id) !== undefined)
  t.match(ended(order.id), { outcome: 'failed', reason: 'the file changed while it was read' })
  await until('all is closed but ours', async () => (await descriptors(path)) === 1)
})

t.test('a slow client is waited for, is told of, and blocks go out again', async (t) => {
  const { sender, handover, said } = await setUp(t)
  const client = await socketOn(t)
  const blocks: number[] = []
  client.on('message', (bytes, { port }) => {
    blocks.push(bytes.readUInt16BE(2))
    if (blocks.length === 1) client.send(Buffer.of(0, OPCODE.ack, 0, 1), port, '127.0.0.1')
  })
  const { id } = handover(client)
  await sender.take({ ...handover(client), id })
  await until('the second comes twice', () => blocks.filter((block) => block === 2).length >= 2)
  const isTold = (word: Said): boolean =>
    word.what === 'progress' && word.acknowledged.some(([which, bytes]) => which === id && bytes === 1468)
  await until('its progress is told', () => said.some(isTold))
  t.notOk(
    said.some(({ what }) => what === 'ended'),
    'and it goes on',
  )
})

t.test('stopped while its socket is being opened, and afterwards', async (t) => {
  const { sender, handover, ended, path } = await setUp(t)
  const [early, late] = [handover(await socketOn(t)), handover(await socketOn(t))]
  const taken = sender.take(early)
  sender.stop(early.id)
  await taken
  t.match(ended(early.id), { outcome: 'stopped', bytes: 0 })
  await sender.take(late)
  sender.stop(late.id)
  sender.stop(late.id)
  t.match(ended(late.id), { outcome: 'stopped' })
  await until('all is closed but ours', async () => (await descriptors(path)) === 1)
})

t.test('what cannot be opened here is declined', async (t) => {
  const { sender, handover, said, path } = await setUp(t)
  const client = await socketOn(t)
  const order = handover(client)
  const alone = await socketOn(t)
  await sender.take({ ...order, local: { address: '127.0.0.1', port: alone.address().port } })
  await sender.take({ ...order, id: 77, file: { ...order.file, fd: 1_000_000 } })
  t.strictSame(said, [
    { what: 'declined', id: order.id },
    { what: 'declined', id: 77 },
  ])
  t.equal(await descriptors(path), 1)
})
