/** UDP datagrams of a capture file (libpcap, Ethernet, little-endian), enough for the captures beside this file. */
import { readFileSync } from 'node:fs'

export interface Datagram {
  readonly sourcePort: number
  readonly port: number
  readonly payload: Buffer
}

export function readPcap(name: string): Datagram[] {
  const bytes = readFileSync(new URL(`pcaps/${name}.dhcp-tftp.pcap`, import.meta.url))
  if (bytes.readUInt32LE(0) !== 0xa1b2c3d4 || bytes.readUInt32LE(20) !== 1) throw new Error(`${name}: not such a file`)
  const datagrams: Datagram[] = []
  for (let at = 24; at < bytes.length; ) {
    const captured = bytes.readUInt32LE(at + 8)
    const ip = bytes.subarray(at + 16 + 14, at + 16 + captured)
    const udp = ip.subarray((ip[0]! & 15) * 4)
    datagrams.push({
      sourcePort: udp.readUInt16BE(0),
      port: udp.readUInt16BE(2),
      payload: udp.subarray(8, udp.readUInt16BE(4)),
    })
    at += 16 + captured
  }
  return datagrams
}
