/**
 * What is sent, cut into DATA messages. Messages stand ready-made, header and all, in chunks of about 128 KiB; a chunk
 * is the same for every transfer of that file with that block size, so fifty machines that load one kernel share its
 * bytes, and sending a block copies nothing.
 */
import type { FileHandle } from 'node:fs/promises'
import { OPCODE } from './packet.ts'

export interface Content {
  /** Bytes. */
  readonly size: number
  /** What it is read from, if from a file; open until `release`. `id` changes when the file does. */
  readonly file?: { readonly fd: number; readonly id: string }
  /**
   * The chunk that holds the blocks `index * blocksPerChunk + 1` and on, `4 + blockSize` bytes each. At once when it
   * is in memory. Rejects when the file cannot be read.
   */
  chunk(blockSize: number, index: number): Buffer | Promise<Buffer>
  /** Begins to read a chunk that will be needed soon. */
  readAhead(blockSize: number, index: number): void
  release(): void
}

const CHUNK = 128 << 10
export const HEADER = 4

export function blocksPerChunk(blockSize: number): number {
  return Math.max(1, Math.floor(CHUNK / blockSize))
}

/** RFC 1350 section 2: a transfer ends with a block that is not full, so an exact multiple has an empty last one. */
export function countBlocks(size: number, blockSize: number): number {
  return Math.floor(size / blockSize) + 1
}

/** A buffer for a chunk with its headers written, and the places in it that the data goes to. */
function frame(size: number, blockSize: number, index: number): { chunk: Buffer; bodies: Buffer[] } {
  const perChunk = blocksPerChunk(blockSize)
  const first = index * perChunk
  const count = Math.min(perChunk, countBlocks(size, blockSize) - first)
  const left = size - first * blockSize
  const data = Math.min(left, count * blockSize)
  const chunk = Buffer.allocUnsafeSlow(data + count * HEADER)
  const bodies: Buffer[] = []
  for (let i = 0; i < count; i++) {
    const at = i * (HEADER + blockSize)
    chunk.writeUInt16BE(OPCODE.data, at)
    // Blocks count on from 0 after 65535, as every client that takes large files expects.
    chunk.writeUInt16BE((first + i + 1) & 0xffff, at + 2)
    const body = chunk.subarray(at + HEADER, Math.min(at + HEADER + blockSize, chunk.length))
    if (body.length > 0) bodies.push(body)
  }
  return { chunk, bodies }
}

/** Content that is in memory: a script made for one machine. */
export function bufferContent(bytes: Buffer): Content {
  return {
    size: bytes.length,
    chunk(blockSize, index) {
      const { chunk, bodies } = frame(bytes.length, blockSize, index)
      let at = index * blocksPerChunk(blockSize) * blockSize
      for (const body of bodies) at += bytes.copy(body, 0, at)
      return chunk
    },
    readAhead() {},
    release() {},
  }
}

/** The chunks used last, up to a number of bytes, whichever files they are of. */
export class ChunkCache {
  readonly #limit: number
  readonly #chunks = new Map<string, Buffer>()
  readonly #reading = new Map<string, Promise<Buffer>>()
  #bytes = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The chunk of the file that `id` names; two that ask for it at once share one read. */
  get(id: string, file: FileHandle, size: number, blockSize: number, index: number): Buffer | Promise<Buffer> {
    const key = `${id} ${blockSize} ${index}`
    const known = this.#chunks.get(key)
    if (known !== undefined) {
      this.#chunks.delete(key)
      this.#chunks.set(key, known)
      return known
    }
    let reading = this.#reading.get(key)
    if (reading === undefined) {
      reading = read(file, size, blockSize, index)
        .then((chunk) => {
          this.#keep(key, chunk)
          return chunk
        })
        .finally(() => this.#reading.delete(key))
      this.#reading.set(key, reading)
    }
    return reading
  }

  #keep(key: string, chunk: Buffer): void {
    this.#chunks.set(key, chunk)
    this.#bytes += chunk.length
    for (const [oldest, old] of this.#chunks) {
      if (this.#bytes <= this.#limit) break
      this.#chunks.delete(oldest)
      this.#bytes -= old.length
    }
  }
}

/** Linux takes 1024 buffers in one call (IOV_MAX). */
const MOST_BUFFERS = 1024

async function read(file: FileHandle, size: number, blockSize: number, index: number): Promise<Buffer> {
  const { chunk, bodies } = frame(size, blockSize, index)
  let position = index * blocksPerChunk(blockSize) * blockSize
  for (let i = 0; i < bodies.length; i += MOST_BUFFERS) {
    const part = bodies.slice(i, i + MOST_BUFFERS)
    const wanted = part.reduce((sum, { length }) => sum + length, 0)
    const { bytesRead } = await file.readv(part, position)
    // A file that was cut short while it was sent has no right end any more.
    if (bytesRead !== wanted) throw new Error('the file changed while it was read')
    position += wanted
  }
  return chunk
}
