/** Packets and data types as SSH's protocols write them (RFC 4251 section 5): numbers big-endian, strings with their length before. */

/** What came is not what the protocol says. */
export class WireError extends Error {
  override readonly name = 'WireError'
}

/** Takes a stream apart into packets, each behind its length as a uint32. Those longer than `longest` bytes are a WireError. */
export class PacketCutter {
  readonly #longest: number
  readonly #onPacket: (packet: Buffer) => void
  #held: Buffer[] = []
  #bytes = 0
  /** As long as fewer bytes are there, it is of no use to look at them. */
  #wanted = 4

  constructor(longest: number, onPacket: (packet: Buffer) => void) {
    this.#longest = longest
    this.#onPacket = onPacket
  }

  /** The packets that `chunk` completes are handed on at once, as views of it where it holds all of one. */
  push(chunk: Buffer): void {
    this.#held.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes < this.#wanted) return
    const all = this.#held.length === 1 ? chunk : Buffer.concat(this.#held)
    let at = 0
    for (;;) {
      this.#wanted = 4
      if (all.length - at < 4) break
      const length = all.readUInt32BE(at)
      if (length > this.#longest) throw new WireError(`a packet of ${length} bytes`)
      this.#wanted = 4 + length
      if (all.length - at < this.#wanted) break
      at += this.#wanted
      this.#onPacket(all.subarray(at - length, at))
    }
    this.#held = at < all.length ? [all.subarray(at)] : []
    this.#bytes = all.length - at
  }
}

/** Reads one packet from its beginning. Every method throws a WireError where the packet is too short for it. */
export class PacketReader {
  readonly #packet: Buffer
  #at = 0

  constructor(packet: Buffer) {
    this.#packet = packet
  }

  get left(): number {
    return this.#packet.length - this.#at
  }

  byte(): number {
    return this.#take(1)[0]!
  }

  boolean(): boolean {
    return this.byte() !== 0
  }

  uint32(): number {
    return this.#take(4).readUInt32BE()
  }

  string(): Buffer {
    return this.#take(this.uint32())
  }

  #take(bytes: number): Buffer {
    if (bytes > this.left) throw new WireError('a packet that is cut off')
    this.#at += bytes
    return this.#packet.subarray(this.#at - bytes, this.#at)
  }
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Text is UTF-8. */
export function string(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([uint32(bytes.length), bytes])
}

/** A packet with its length before it. */
export function packet(...parts: readonly Buffer[]): Buffer {
  return string(Buffer.concat(parts))
}
