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
  const started = performance.now()
  const socket = connect(proxy.port, proxy.address)
  const [greeting] = await once(socket, 'data')
  const greeted = performance.now() - started
  t.equal(String(greeting), 'hello')
  t.ok(
    greeted >= 4 * DELAY - 2 && greeted < 4 * DELAY + 100,
    `handshake and greeting: two round trips, took ${greeted} ms`,
  )
  const sent = performance.now()
  socket.write('ping')
  t.equal(String((await once(socket, 'data'))[0]), 'ping')
  const echoed = performance.now() - sent
  t.ok(echoed >= 2 * DELAY - 2 && echoed < 2 * DELAY + 100, `echo: one round trip, took ${echoed} ms`)
  socket.destroy()
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
