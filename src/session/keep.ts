/** Collects output up to a number of bytes; what comes after them is counted out, not kept. */
export class Keep {
  readonly #max: number
  #chunks: Buffer[] = []
  #bytes = 0
  truncated = false

  constructor(max: number) {
    this.#max = max
  }

  add(chunk: Buffer): void {
    const room = this.#max - this.#bytes
    if (chunk.length > room) this.truncated = true
    if (room <= 0) return
    const kept = chunk.length > room ? chunk.subarray(0, room) : chunk
    this.#chunks.push(kept)
    this.#bytes += kept.length
  }

  /** All that was kept, in memory of its own. */
  take(): Buffer {
    const all = Buffer.concat(this.#chunks)
    this.#chunks = []
    return all
  }
}
