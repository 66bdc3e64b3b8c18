import { createSocket, type Socket } from 'node:dgram'
import { readSync } from 'node:fs'
import { UserError } from '../../shared/errors.ts'

export type { Socket }

/** Acknowledgements of a storm wait here; the kernel caps it at net.core.rmem_max. Bytes. */
const RECEIVE_BUFFER = 4 << 20
/** Windows of many transfers leave at once. */
const SEND_BUFFER = 4 << 20

/** A bound UDP socket; UserError when the port cannot be had. `shared`: others of ours may be bound to the port too. */
export async function openSocket(address: string, port: number, shared = false): Promise<Socket> {
  // Addresses are always numeric; Node's default would put each send through dns.lookup.
  const socket = createSocket({
    type: 'udp4',
    reusePort: shared,
    lookup: (host, _options, callback) => callback(null, host, 4),
  })
  await new Promise<void>((done, fail) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      socket.close()
      fail(explain(error, address, port))
    }
    socket.once('error', failed)
    socket.bind({ address, port }, () => {
      socket.off('error', failed)
      done()
    })
  })
  // A client that is gone, an interface that went away: retransmission and its end deal with both.
  socket.on('error', () => {})
  socket.setRecvBufferSize(RECEIVE_BUFFER)
  socket.setSendBufferSize(SEND_BUFFER)
  return socket
}

/**
 * A socket on a port that `openConnected` can be used with. SO_REUSEPORT would give us a port that another process of
 * ours has, so the port is first had alone.
 */
export async function openShared(address: string, port: number): Promise<Socket> {
  const alone = await openSocket(address, port)
  const had = alone.address().port
  await new Promise<void>((done) => alone.close(done))
  return openSocket(address, had, true)
}

export interface Connected {
  readonly socket: Socket
  /** For reading and writing without Node's machinery, which costs more than the kernel's work for a small packet. */
  readonly fd: number
}

/**
 * A socket on one of our shared ports that hears one client alone; the kernel gives it what that client sends. Until it
 * is connected it is bound to no address, so that the shared socket, which is, goes on to get what others send. Rejects
 * where the client is then not written to from the address it knows.
 */
export async function openConnected(
  local: { address: string; port: number },
  client: { address: string; port: number },
): Promise<Connected> {
  const socket = await openSocket('0.0.0.0', local.port, true)
  try {
    await new Promise<void>((done, fail) => {
      socket.connect(client.port, client.address, ((error?: Error) => (error ? fail(error) : done())) as () => void)
    })
    const { address } = socket.address()
    if (local.address !== address && local.address !== '0.0.0.0') throw new Error(`the way there is from ${address}`)
    const fd = descriptor(socket)
    if (fd === undefined) throw new Error('this Node tells no descriptors of UDP sockets')
    // A shared socket without an address shares with this one what comes before it is connected.
    while (readNow(fd, IGNORED) >= 0);
    return { socket, fd }
  } catch (error) {
    socket.close()
    throw error
  }
}

const IGNORED = Buffer.alloc(1)

/** Bytes read; -1 when nothing is there. Throws ECONNREFUSED when the client said that it does not listen. */
export function readNow(fd: number, into: Buffer): number {
  try {
    return readSync(fd, into, 0, into.length, null)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return -1
    throw error
  }
}

/**
 * Node has no public way to a socket's descriptor and warns of this one (DEP0112). Where it is gone, nothing breaks:
 * transfers stay in the main thread. `sender.test.ts` notices.
 */
function descriptor(socket: Socket): number | undefined {
  const { noDeprecation } = process
  process.noDeprecation = true
  try {
    const fd = (socket as { _handle?: { fd?: number } })._handle?.fd
    return fd !== undefined && fd >= 0 ? fd : undefined
  } finally {
    process.noDeprecation = noDeprecation ?? false
  }
}

function explain(error: NodeJS.ErrnoException, address: string, port: number): Error {
  const hints: Record<string, string> = {
    EADDRINUSE: `see who has it: ss -ulpn 'sport = :${port}'`,
    EACCES: 'ports below 1024 need CAP_NET_BIND_SERVICE: run as root or as the systemd unit does',
    EADDRNOTAVAIL: `no interface has the address ${address}`,
  }
  const hint = hints[error.code ?? '']
  return hint === undefined
    ? error
    : new UserError({ message: `cannot listen on ${address}, UDP port ${port}: ${error.code}`, hint }, { cause: error })
}
