/** The machines of bench/storm.ts, in a process of their own: `clients.ts INTERFACE COUNT SPREAD`. Prints one JSON object. */
import { createSocket } from 'node:dgram'
import { Agent } from 'node:http'
import { decode, type Packet } from '../../src/netboot/dhcp/packet.ts'
import { type Booted, Machine, type Wire } from './machine.ts'

const [link, count, spread] = [process.argv[2]!, Number(process.argv[3]), Number(process.argv[4])]

/** The address of machine `i` is `10.77.4.0 + i`; bench/storm.ts gives them out. */
const macOf = (i: number): string => `52:54:00:77:${hex(i >> 8)}:${hex(i & 255)}`
const hex = (byte: number): string => byte.toString(16).padStart(2, '0')

const socket = createSocket({ type: 'udp4', reuseAddr: true, recvBufferSize: 8 << 20 })
const heard = new Map<number, (packet: Packet) => void>()
socket.on('message', (bytes) => {
  const packet = decode(bytes)
  if (packet) heard.get(packet.xid)?.(packet)
})
await new Promise<void>((resolve) => socket.bind(68, '0.0.0.0', resolve))
socket.setBroadcast(true)
// Only what is on the other side of this interface.
const wire: Wire = {
  send: (bytes) => socket.send(bytes, 67, link),
  hear: (xid, then) => heard.set(xid, then),
}
const agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })
const booted: Booted[] = []
const failed: string[] = []
await Promise.all(
  Array.from({ length: count }, async (_, i) => {
    await new Promise((done) => setTimeout(done, (i * spread * 1000) / count))
    try {
      booted.push(await new Machine(macOf(i), 1 + i * 16, wire, agent).boot())
    } catch (error) {
      failed.push(`${macOf(i)}: ${(error as Error).message}`)
    }
  }),
)
socket.close()
process.stdout.write(JSON.stringify({ booted, failed }))
