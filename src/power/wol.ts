/**
 * Wake-on-LAN: a packet that a sleeping network card wakes its host for (AMD, "Magic Packet Technology", 1995). Nothing
 * answers, so whether it worked is for the caller to find out. The host must have been told to listen before it went
 * down (`ethtool -s IF wol g`), and the packet must come from its own Ethernet.
 */
import { createSocket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PowerAction, PowerDriver } from './driver.ts'
import { PowerError } from './errors.ts'

export interface WolSettings {
  /** Every network card of the host that may wake it; six bytes each. */
  readonly macs: readonly Buffer[]
  /** IPv4 address to send to; the broadcast addresses of all this machine's networks when undefined. */
  readonly broadcast?: string | undefined
  /** UDP port; nobody listens, it only has to pass firewalls. 9 (discard) as everywhere. */
  readonly port: number
  /** SecureOn password: four or six bytes. */
  readonly password?: Buffer | undefined
}

/** Packets get lost and nobody tells. */
const TIMES = 3
const PAUSE_MS = 150

/** Six times 0xff, sixteen times the address, the password. */
export function magicPacket(mac: Buffer, password: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.alloc(6, 0xff), ...Array<Buffer>(16).fill(mac), password])
}

/** `AA:BB:CC:DD:EE:FF`, with `-` or nothing between, or Cisco's `aabb.ccdd.eeff`; undefined when it is no address. */
export function parseMac(text: string): Buffer | undefined {
  const hex = text.trim()
  const isMac =
    /^[0-9a-f]{2}([:-]?)(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$/i.test(hex) || /^(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}$/i.test(hex)
  return isMac ? Buffer.from(hex.replaceAll(/[:.-]/g, ''), 'hex') : undefined
}

interface Route {
  /** Own address to send from: it chooses the network card. */
  readonly from?: string | undefined
  readonly to: string
}

export function wolDriver(host: string, { macs, broadcast, port, password }: WolSettings): PowerDriver {
  const unsupported = (what: string): Promise<never> =>
    Promise.reject(
      new PowerError('unsupported', host, `Wake-on-LAN cannot ${what}`, {
        hint: 'it can only turn a host on; runbook node shutdown and reboot go over SSH',
      }),
    )
  return {
    description: `Wake-on-LAN ${macs.map(showMac).join(', ')}`,
    seesPower: false,
    wakes: macs.map(showMac),
    state: () => Promise.resolve('unknown'),
    async act(action: PowerAction, signal) {
      if (action !== 'on') return unsupported(action === 'reset' ? 'reset a host' : 'turn a host off')
      const routes = broadcast === undefined ? broadcastRoutes() : [{ to: broadcast }]
      const packets = macs.map((mac) => magicPacket(mac, password))
      const failures: unknown[] = []
      let sent = 0
      for (let time = 0; time < TIMES; time++) {
        if (time > 0) await sleep(PAUSE_MS, undefined, { signal })
        for (const route of routes) {
          await send(packets, port, route).then(
            () => sent++,
            (error: unknown) => failures.push(error),
          )
        }
      }
      if (sent > 0) return
      const why = failures[0] instanceof Error ? failures[0].message : 'this machine has no network for broadcasts'
      throw new PowerError('unreachable', host, `no Wake-on-LAN packet could be sent: ${why}`, {
        hint: 'it must be sent from the Ethernet of the host; broadcast: gives the address to send to',
      })
    },
    boot: () => unsupported('choose from where a host boots'),
    async [Symbol.asyncDispose]() {},
  }
}

/** The broadcast address of every IPv4 network that this machine is in. A socket bound to its address sends through it. */
function broadcastRoutes(): Route[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address, netmask }) => ({ from: address, to: broadcastOf(address, netmask) }))
}

/** The last address of a network; for /31 and /32, which have none, all ones. */
export function broadcastOf(address: string, netmask: string): string {
  const [ip, mask] = [address, netmask].map((text) => text.split('.').map(Number))
  if (mask![3]! >= 254) return '255.255.255.255'
  return ip!.map((byte, i) => byte | (~mask![i]! & 0xff)).join('.')
}

async function send(packets: readonly Buffer[], port: number, { from, to }: Route): Promise<void> {
  const socket = createSocket('udp4')
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind(0, from, resolve)
    })
    socket.setBroadcast(true)
    for (const packet of packets) {
      await new Promise<void>((resolve, reject) => {
        socket.send(packet, port, to, (error) => (error ? reject(error) : resolve()))
      })
    }
  } finally {
    socket.close()
  }
}

const showMac = (mac: Buffer): string => mac.toString('hex').replace(/..(?!$)/g, '$&:')
