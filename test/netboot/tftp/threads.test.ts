import { writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { negotiate } from '../../../src/netboot/tftp/options.ts'
import { ERROR, encodeError, encodeRequest, OPCODE } from '../../../src/netboot/tftp/packet.ts'
import { Senders } from '../../../src/netboot/tftp/senders.ts'
import { type TftpEvent, TftpServer, type TftpServerOptions } from '../../../src/netboot/tftp/server.ts'
import { openShared, type Socket } from '../../../src/netboot/tftp/socket.ts'
import { BYTES, descriptors, SIZE, socketOn, take, until } from './sending.ts'

async function serve(t: Test, options: TftpServerOptions = {}) {
  const root = t.testdir({ 'a.txt': 'one\n' })
  const path = join(root, 'file')
  writeFileSync(path, BYTES)
  const events: TftpEvent[] = []
  const threads: Worker[] = []
  const seen = (worker: Worker): number => threads.push(worker)
  process.on('worker', seen)
  const server = new TftpServer({
    root,
    addresses: ['127.0.0.1'],
    port: 0,
    threads: 2,
    onEvent: (event) => events.push(event),
    ...options,
  })
  await server.start()
  t.teardown(async () => {
    await server.close()
    process.off('worker', seen)
  })
  return { server, events, threads, path }
}

const request = (file: string, windowsize = 1): Buffer =>
  encodeRequest({
    write: false,
    file,
    mode: 'octet',
    options: new Map([
      ['blksize', '1468'],
      ['windowsize', String(windowsize)],
    ]),
  })

/** Loads the file. */
async function load(t: Test, server: TftpServer, windowsize = 1): Promise<{ bytes: Buffer; ports: Set<number> }> {
  const client = await socketOn(t)
  const ports = new Set<number>()
  const received = take(client, { window: windowsize, ports })
  client.send(request('file', windowsize), server.port, '127.0.0.1')
  return { bytes: await received, ports }
}

/** A transfer that a thread goes on with and whose client then acknowledges nothing more; where it comes from. */
async function pause(t: Test, server: TftpServer): Promise<{ client: Socket; port: number }> {
  for (;;) {
    const handed = server.counters.handed ?? 0
    const client = await socketOn(t)
    let from = 0
    let last = 0
    client.on('message', (bytes, { port }) => {
      from = port
      if (bytes[1] === OPCODE.oack || bytes[1] === OPCODE.data) last = performance.now()
      // 50 blocks are more than enough to be under way.
      const block = bytes[1] === OPCODE.oack ? 0 : bytes.readUInt16BE(2)
      if (block <= 50) client.send(Buffer.of(0, OPCODE.ack, 0, block), port, '127.0.0.1')
    })
    client.send(request('file'), server.port, '127.0.0.1')
    await until('it pauses', () => last > 0 && performance.now() - last > 200)
    if ((server.counters.handed ?? 0) > handed) return { client, port: from }
    // The threads had not started yet.
    client.send(encodeError(ERROR.other, 'again'), from, '127.0.0.1')
  }
}

t.test('long transfers go on in threads, and arrive whole', async (t) => {
  const { server, events, threads, path } = await serve(t)
  let loaded = 0
  await until('one went on in a thread', async () => {
    for (const windowsize of [1, 4]) {
      const results = await Promise.all([load(t, server, windowsize), load(t, server, windowsize)])
      for (const { bytes, ports } of results) {
        t.ok(bytes.equals(BYTES))
        t.equal(ports.size, 1, 'from one port')
        loaded++
      }
    }
    return (server.counters.handed ?? 0) >= 8
  })
  t.equal(threads.length, 2)
  await until('all have ended', () => server.size === 0)
  const done = events.filter(({ outcome }) => outcome === 'done')
  t.equal(done.length, loaded)
  for (const event of done) t.match(event, { bytes: SIZE, size: SIZE, file: 'file' })
  await until('all is closed', async () => (await descriptors(path)) === 0)
})

t.test('what is short or made up stays', async (t) => {
  const { server } = await serve(t, { virtual: (name) => (name === 'made' ? BYTES : undefined) })
  for (let i = 0; i < 3; i++) {
    const client = await socketOn(t)
    const received = take(client)
    client.send(request(i === 0 ? 'a.txt' : 'made'), server.port, '127.0.0.1')
    t.ok((await received).equals(i === 0 ? Buffer.from('one\n') : BYTES))
  }
  t.equal(server.counters.handed, undefined)
})

t.test('a thread dies: its transfers end with a word, and service goes on without it', async (t) => {
  const { server, events, threads, path } = await serve(t)
  await pause(t, server)
  await Promise.all(threads.map((thread) => thread.terminate()))
  await until('it has ended', () =>
    events.some(({ outcome, reason }) => outcome === 'failed' && /thread/.test(reason!)),
  )
  const handed = server.counters.handed
  t.ok((await load(t, server)).bytes.equals(BYTES))
  t.equal(server.counters.handed, handed)
  await until('all have ended', () => server.size === 0)
  await until('all is closed', async () => (await descriptors(path)) === 0)
})

t.test('closing while threads send', async (t) => {
  const { server, events, threads, path } = await serve(t)
  await pause(t, server)
  let exits = 0
  for (const thread of threads) thread.once('exit', () => exits++)
  await server.close()
  t.equal(exits, 2)
  t.match(events.at(-1), { outcome: 'failed', reason: 'the server stops' })
  await until('all is closed', async () => (await descriptors(path)) === 0)
})

t.test('a client that asks for another file gets it', async (t) => {
  const { server, events, path } = await serve(t)
  const { client } = await pause(t, server)
  const answer = new Promise<void>((done) => {
    client.on('message', (bytes) => bytes.toString('latin1', 4) === 'one\n' && done())
  })
  client.send(request('a.txt'), server.port, '127.0.0.1')
  await answer
  t.ok(events.some(({ outcome, reason }) => outcome === 'stopped' && reason === 'the client asked anew'))
  await until('the first is closed', async () => (await descriptors(path)) === 0)
})

t.test('limits count those in threads, which tell how far they are and when they end', async (t) => {
  const { server, events } = await serve(t, { mostPerClient: 2 })
  const one = await pause(t, server)
  await pause(t, server)
  t.equal(server.size, 2)
  await until('progress is told', () => [...server.transfers()].every(({ bytes }) => bytes === 50 * 1468))
  const third = await socketOn(t)
  third.send(request('file'), server.port, '127.0.0.1')
  await until('the third is not served', () => server.counters.busy === 1)
  one.client.send(encodeError(ERROR.other, 'enough'), one.port, '127.0.0.1')
  await until('the first has ended', () => server.size === 1)
  t.match(events.at(-1), { outcome: 'stopped', reason: 'enough', bytes: 50 * 1468 })
})

t.test('one port for all, or no threads: all stay', async (t) => {
  for (const options of [{ transferPorts: 'single' }, { threads: 0 }] as const) {
    const { server, threads } = await serve(t, options)
    t.ok((await load(t, server)).bytes.equals(BYTES))
    t.strictSame([server.counters.handed, threads.length], [undefined, 0])
  }
})

t.test('lock-step fills a thread before the next, windows go to the idlest', async (t) => {
  const path = join(t.testdir({}), 'file')
  writeFileSync(path, BYTES)
  const handle = await open(path)
  const shared = await openShared('127.0.0.1', 0)
  const senders = new Senders({ threads: 2, cache: 1 << 20 })
  t.teardown(async () => {
    await senders.close()
    shared.close()
    await handle.close()
  })
  let ended = 0
  const take = async (windowsize: number): Promise<number | undefined> =>
    senders.take(
      {
        local: { address: '127.0.0.1', port: shared.address().port },
        client: { address: '127.0.0.1', port: (await socketOn(t)).address().port },
        file: { fd: handle.fd, id: 'file', size: SIZE },
        terms: negotiate(new Map([['windowsize', String(windowsize)]]), SIZE),
        block: 1,
      },
      { declined: () => t.fail('declined'), progress: () => {}, ended: () => ended++ },
    )
  t.equal(await take(1), undefined, 'they only start now')
  await until('they have started', () => senders.loads.length === 2)
  const ids: (number | undefined)[] = []
  for (let i = 0; i < 66; i++) ids.push(await take(1))
  t.strictSame(senders.loads, [64, 2])
  for (let i = 0; i < 3; i++) ids.push(await take(4))
  t.strictSame(senders.loads, [64, 5])
  for (const id of ids) senders.stop(id!)
  await until('all have ended', () => ended === 69)
  t.strictSame(senders.loads, [0, 0])
})
