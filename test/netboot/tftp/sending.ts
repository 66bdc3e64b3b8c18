/** What tests of long transfers share. */
import { createSocket, type Socket } from 'node:dgram'
import { readdir, readlink } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { OPCODE } from '../../../src/netboot/tftp/packet.ts'

export const SIZE = 400_000
export const BYTES = Buffer.from(Uint8Array.from({ length: SIZE }, (_, i) => (i * 31 + (i >> 9)) & 255))

/** Waits for what happens soon, on any machine. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 3000; i++) {
    if (await condition()) return
    await sleep(10)
  }
  throw new Error(`not within 30 s: ${what}`)
}

/** A client's socket. */
export const socketOn = async (t: Test): Promise<Socket> => {
  const socket = createSocket('udp4')
  await new Promise<void>((done) => socket.bind(0, '127.0.0.1', done))
  t.teardown(
    () =>
      new Promise<void>((done) => {
        try {
          socket.close(done)
        } catch {
          done()
        }
      }),
  )
  return socket
}

/** Takes blocks in order, acknowledging each `window`; resolves with the bytes. */
export function take(
  client: Socket,
  { window = 1, from = 1, ports }: { window?: number; from?: number; ports?: Set<number> } = {},
) {
  return new Promise<Buffer>((done) => {
    const parts: Buffer[] = []
    let next = from
    let inWindow = 0
    client.on('message', (bytes, { port }) => {
      ports?.add(port)
      if (bytes[1] === OPCODE.oack && next === 1) client.send(Buffer.of(0, OPCODE.ack, 0, 0), port, '127.0.0.1')
      if (bytes[1] !== OPCODE.data || bytes.readUInt16BE(2) !== next) return
      parts.push(bytes.subarray(4))
      next++
      const isLast = bytes.length - 4 < 1468
      if (++inWindow < window && !isLast) return
      inWindow = 0
      client.send(Buffer.of(0, OPCODE.ack, (next - 1) >> 8, (next - 1) & 255), port, '127.0.0.1')
      if (isLast) done(Buffer.concat(parts))
    })
  })
}

/** Descriptors of this process that are `path`. */
export async function descriptors(path: string): Promise<number> {
  const all = await readdir('/proc/self/fd')
  const targets = await Promise.all(all.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return targets.filter((target) => target === path).length
}
