import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { delayProxy } from './delay-proxy.ts'

const DELAY = 50

/** A server that greets and then echoes. */
async function echoServer() {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => {})
    socket.write('hello')
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, target: { host: '127.0.0.1', port: (server.address() as AddressInfo).port } }
}

t.test('delays what is sent each way, once a round trip', async (t) => {
  const { server, target } = await echoServer()
  await using proxy = await delayProxy(target, DELAY)
  const greetings: number[] = []
  const echoes: number[] = []
  for (let i = 0; i < 5; i++) {
    const started = performance.now()
    const socket = connect(proxy.port, proxy.address)
    t.equal(await received(socket), 'hello')
    greetings.push(performance.now() - started)
    const sent = performance.now()
    socket.write('ping')
    t.equal(await received(socket), 'ping')
    echoes.push(performance.now() - sent)
    socket.destroy()
  }
  // The fastest of five: others wait for a busy machine besides.
  for (const [what, times, trips] of [
    ['handshake and greeting', greetings, 2],
    ['echo', echoes, 1],
  ] as const) {
    const expected = 2 * DELAY * trips
    const fastest = Math.min(...times)
    t.ok(
      fastest >= expected - 2 && fastest < expected + DELAY / 2,
      `${what}: ${expected} ms, took ${fastest.toFixed(1)} ms`,
    )
  }
  server.close()
})

t.test('passes all bytes in order, and the end of them, without limiting the rate', async (t) => {
  const { server, target } = await echoServer()
  await using proxy = await delayProxy(target, DELAY)
  const bytes = Buffer.alloc(20 << 20, 'abcdefghijklm')
  const started = performance.now()
  const socket = connect({ port: proxy.port, host: proxy.address, allowHalfOpen: true })
  socket.end(bytes)
  const received = await buffer(socket)
  const elapsed = performance.now() - started
  t.equal(received.length, bytes.length + 5)
  t.ok(received.subarray(5).equals(bytes))
  t.ok(elapsed < 5000, `20 MB both ways took ${elapsed} ms`)
  server.close()
})

t.test('cuts, stalls and resumes', async (t) => {
  const { server, target } = await echoServer()
  await using proxy = await delayProxy(target, 1)
  const open = async () => {
    const socket = connect(proxy.port, proxy.address)
    await once(socket, 'data')
    return socket
  }
  const first = await open()
  proxy.stall()
  first.write('late')
  t.equal(await Promise.race([received(first), sleep(100, 'nothing')]), 'nothing')
  proxy.resume()
  t.equal(await received(first), 'late')
  t.equal(proxy.connections(), 1)
  proxy.cut()
  const [error] = await once(first, 'error')
  t.match(error, { code: 'ECONNRESET' })
  const second = await open()
  t.equal(proxy.connections(), 1)
  second.destroy()
  server.close()
})

t.test('resets the client when the target does not answer', async (t) => {
  const { server, target } = await echoServer()
  server.close()
  await once(server, 'close')
  await using proxy = await delayProxy(target, 1)
  const [error] = await once(connect(proxy.port, proxy.address), 'error')
  t.match(error, { code: 'ECONNRESET' })
})

function received(socket: Socket): Promise<string> {
  return once(socket, 'data').then(([chunk]) => String(chunk))
}
