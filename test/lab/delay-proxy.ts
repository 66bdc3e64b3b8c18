import { once } from 'node:events'
import { type AddressInfo, createServer, Socket } from 'node:net'

export interface DelayProxy extends AsyncDisposable {
  readonly address: string
  readonly port: number
  /** How many connections there are through the proxy. */
  connections(): number
  /** Resets every connection; new ones are taken as before. */
  cut(): void
  /** Lets no byte through in either direction, and says nothing about it, until `resume`: a dead link. */
  stall(): void
  resume(): void
}

/** Bytes in flight each way above which reading pauses: 100 ms at 5 Gbit/s, so that the proxy limits no rate. */
const MAX_IN_FLIGHT = 64 << 20

/**
 * A TCP proxy on loopback that delays every byte by `delayMs` each way, as a long line does. It connects to the target
 * three delays after the client did: a real handshake takes that long (SYN, SYN-ACK, ACK), and here the client sees
 * nothing of it.
 */
export async function delayProxy(target: { host: string; port: number }, delayMs: number): Promise<DelayProxy> {
  const links = new Set<Link>()
  let stalled = false
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const link = openLink(client, target, delayMs, () => stalled)
    links.add(link)
    link.closed.then(() => links.delete(link))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { address, port } = server.address() as AddressInfo
  const cut = () => {
    for (const link of links) link.cut()
  }
  return {
    address,
    port,
    connections: () => links.size,
    cut,
    stall() {
      stalled = true
    },
    resume() {
      stalled = false
      for (const link of links) link.deliver()
    },
    async [Symbol.asyncDispose]() {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}

interface Link {
  /** Both ends are closed and all is delivered. */
  readonly closed: Promise<unknown>
  cut(): void
  /** Passes on what is due. */
  deliver(): void
}

function openLink(
  client: Socket,
  target: { host: string; port: number },
  delayMs: number,
  stalled: () => boolean,
): Link {
  const upstream = new Socket({ allowHalfOpen: true })
  let connected = false
  const up = delayLine(client, upstream, delayMs, () => connected && !stalled())
  const down = delayLine(upstream, client, delayMs, () => !stalled())
  const deliver = () => {
    up()
    down()
  }
  const cut = () => {
    clearTimeout(handshake)
    client.resetAndDestroy()
    upstream.destroy()
  }
  const handshake = setTimeout(() => {
    upstream.setNoDelay().connect(target, () => {
      connected = true
      deliver()
    })
  }, 3 * delayMs)
  for (const socket of [client, upstream]) socket.on('error', cut)
  const closed = Promise.all(
    [client, upstream].map((socket) => new Promise((resolve) => socket.once('close', resolve))),
  )
  return { closed, cut, deliver }
}

/** Passes bytes and the end of `from` on to `to`, each `delayMs` after it came, while `open()`. Returns "try again now". */
function delayLine(from: Socket, to: Socket, delayMs: number, open: () => boolean): () => void {
  const line: { due: number; chunk: Buffer | undefined }[] = []
  let inFlight = 0
  let timer: NodeJS.Timeout | undefined
  const deliver = () => {
    clearTimeout(timer)
    timer = undefined
    if (to.destroyed) line.length = 0
    if (!open()) return
    while (line[0] && line[0].due <= performance.now()) {
      const { chunk } = line.shift()!
      if (!chunk) to.end()
      else to.write(chunk)
      inFlight -= chunk?.length ?? 0
    }
    if (inFlight < MAX_IN_FLIGHT && from.isPaused()) from.resume()
    // Timers of Node may come up to 1 ms early.
    if (line[0]) timer = setTimeout(deliver, Math.ceil(line[0].due - performance.now()))
  }
  const enter = (chunk?: Buffer) => {
    line.push({ due: performance.now() + delayMs, chunk })
    inFlight += chunk?.length ?? 0
    if (inFlight >= MAX_IN_FLIGHT) from.pause()
    timer ??= setTimeout(deliver, delayMs)
  }
  from.on('data', enter)
  from.once('end', () => enter())
  return deliver
}
