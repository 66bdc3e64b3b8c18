/** Looks for other DHCP servers: two on one network, each sure of itself, are the field's classic outage. */

import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { UserError } from '../../shared/errors.ts'
import { formatIp4, type Ip4, parseIp4 } from '../address.ts'
import { CLIENT_PORT, SERVER_PORT } from './addressing.ts'
import { OPTION, readIp4, readText } from './options.ts'
import { BOOTREPLY, decode, encode } from './packet.ts'
import { makeDiscover } from './request.ts'

export interface OtherServer {
  readonly interface: string
  readonly server: Ip4
  /** What it would give; 0 from a proxyDHCP server. */
  readonly offered: Ip4
  readonly bootfile: string | undefined
}

/**
 * Broadcasts a DISCOVER of a PXE client on each interface, which plain, boot and proxy servers all answer, and gives
 * the servers that are not us. Takes `seconds`; dnsmasq thinks for three before its first offer. Nothing is accepted,
 * so nobody's lease is used up for long. UserError when port 68 cannot be had.
 */
export async function probe(interfaces: readonly string[], seconds = 4): Promise<OtherServer[]> {
  const found = new Map<string, OtherServer>()
  const asked = new Map<number, string>()
  const ours = new Set<Ip4>()
  const sockets = []
  try {
    const listener = await open('0.0.0.0')
    sockets.push(listener)
    listener.on('message', (bytes) => {
      const packet = decode(bytes)
      const name = packet && asked.get(packet.xid)
      if (packet === undefined || name === undefined || packet.op !== BOOTREPLY) return
      const server = readIp4(packet.options, OPTION.serverIdentifier)
      if (server === undefined || ours.has(server)) return
      const bootfile = readText(packet.options, OPTION.bootfileName) ?? (packet.file || undefined)
      found.set(`${name} ${server}`, { interface: name, server, offered: packet.yiaddr, bootfile })
    })
    const known = networkInterfaces()
    for (const name of interfaces) {
      for (const { family, address, mac } of known[name] ?? []) {
        if (family !== 'IPv4') continue
        ours.add(parseIp4(address)!)
        const xid = randomInt(2 ** 32)
        const discover = makeDiscover({ mac, client: 'uefi', xid })
        if (discover === undefined) continue
        asked.set(xid, name)
        // From the interface's own address, so that the broadcast leaves by it.
        const sender = await open(address)
        sockets.push(sender)
        sender.send(encode(discover), SERVER_PORT, formatIp4(0xffffffff), () => {})
      }
    }
    await pause(seconds * 1000)
  } finally {
    for (const socket of sockets) socket.close()
  }
  return [...found.values()]
}

async function open(address: string) {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  await new Promise<void>((done, fail) => {
    socket.once('error', (error) => {
      socket.close()
      const message = `cannot look for other DHCP servers: UDP port ${CLIENT_PORT} on ${address}: ${error.message}`
      fail(new UserError({ message, hint: 'run as root, beside no DHCP client that keeps the port to itself' }))
    })
    socket.bind(CLIENT_PORT, address, done)
  })
  socket.setBroadcast(true)
  return socket
}
