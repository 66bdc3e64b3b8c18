/** Files that are being sent: each is open once, however many load it. */
import type { FileHandle } from 'node:fs/promises'
import { ChunkCache, type Content } from './content.ts'

export interface OpenFile {
  readonly handle: FileHandle
  /** Bytes. */
  readonly size: number
  /** Changes when the file does. */
  readonly id: string
}

export class OpenFiles {
  readonly #chunks: ChunkCache
  readonly #open = new Map<string, OpenFile & { users: number }>()

  /** `cache`: bytes of chunks kept in memory. */
  constructor(cache: number) {
    this.#chunks = new ChunkCache(cache)
  }

  /** Bytes of files in memory. */
  get cached(): number {
    return this.#chunks.bytes
  }

  /** What is sent of a file that was just opened. Its handle is closed when the last that loads it is done. */
  async use({ handle, size, id }: OpenFile): Promise<Content> {
    let file = this.#open.get(id)
    if (file === undefined) {
      file = { handle, size, id, users: 0 }
      this.#open.set(id, file)
    } else await handle.close()
    file.users++
    return this.#content(file)
  }

  #content(file: OpenFile & { users: number }): Content {
    let released = false
    const chunk = (blockSize: number, index: number): Buffer | Promise<Buffer> =>
      this.#chunks.get(file.id, file.handle, file.size, blockSize, index)
    return {
      size: file.size,
      file: { fd: file.handle.fd, id: file.id },
      chunk,
      readAhead(blockSize, index) {
        const next = chunk(blockSize, index)
        // When it fails, the transfer will see it on its own turn.
        if (next instanceof Promise) next.catch(() => {})
      },
      release: () => {
        if (released) return
        released = true
        if (--file.users > 0) return
        this.#open.delete(file.id)
        file.handle.close().catch(() => {})
      },
    }
  }
}
