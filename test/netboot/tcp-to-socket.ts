/** `node tcp-to-socket.ts ADDRESS PORT SOCKET`: what is behind a Unix socket, at an address of the network namespace that it runs in. */
import { connect, createServer } from 'node:net'

const [address, port, path] = process.argv.slice(2)
createServer((client) => {
  const upstream = connect(path!)
  for (const [one, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    one.pipe(other)
    one.on('error', () => other.destroy())
  }
}).listen(Number(port), address)
