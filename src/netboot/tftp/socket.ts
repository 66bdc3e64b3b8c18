import { createSocket, type Socket } from 'node:dgram'
import { UserError } from '../../shared/errors.ts'

export type { Socket }

/** Acknowledgements of a storm wait here; the kernel caps it at net.core.rmem_max. Bytes. */
const RECEIVE_BUFFER = 4 << 20
/** Windows of many transfers leave at once. */
const SEND_BUFFER = 4 << 20

/** A bound UDP socket; UserError when the port cannot be had. */
export async function openSocket(address: string, port: number): Promise<Socket> {
  // Addresses are always numeric; Node's default would put each send through dns.lookup.
  const socket = createSocket({ type: 'udp4', lookup: (host, _options, callback) => callback(null, host, 4) })
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
