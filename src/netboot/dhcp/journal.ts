/**
 * An append-only file of lines, durable before anyone relies on them. Lines appended while a write is under way go out
 * together with the next one, in one write (O_DSYNC): the disk's latency is shared by all who wait, however many they are.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** A write returns when its data is on the disk: one call, and one turn of the thread pool, instead of two. */
const DURABLE = constants.O_RDWR | constants.O_CREAT | constants.O_DSYNC

/** The file grows by this much at a time, so that most syncs write data blocks only and no metadata. */
const GROWTH = 1 << 20

export class Journal {
  readonly #path: string
  #file: FileHandle
  /** Bytes of whole lines; zeros follow, up to `#allocated`. */
  #length: number
  #allocated: number
  #pending: string[] = []
  /** The write that takes the pending lines, until it begins. */
  #batch: Promise<void> | undefined
  /** Settles when all that was begun is done; never rejects. */
  #writing: Promise<void> = Promise.resolve()

  private constructor(path: string, file: FileHandle, length: number) {
    this.#path = path
    this.#file = file
    this.#length = length
    this.#allocated = length
  }

  /**
   * Opens or creates the file and gives each of its lines to `replay`. A last line without its end was being written
   * when the power went: nobody was told of it, and it is cut off.
   */
  static async open(path: string, replay: (line: string) => void): Promise<Journal> {
    const file = await open(path, DURABLE, 0o640)
    try {
      const text = await file.readFile()
      const length = text.lastIndexOf('\n') + 1
      if (length > 0) for (const line of text.toString('utf8', 0, length - 1).split('\n')) replay(line)
      if (text.length > length) await file.truncate(length)
      await syncFolder(dirname(path))
      return new Journal(path, file, length)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Bytes in use, to decide when to compact. */
  get length(): number {
    return this.#length
  }

  /** How many lines wait for the write under way. */
  get waiting(): number {
    return this.#pending.length
  }

  /** Resolves when the line is on the disk; rejects, as for all lines of its batch, when it could not be written. */
  append(line: string): Promise<void> {
    this.#pending.push(line)
    if (this.#batch === undefined) {
      const before = this.#writing
      this.#batch = before.then(() => this.#flush())
      // A failed batch has told its own waiters; the next one tries again.
      this.#writing = this.#batch.catch(() => {})
    }
    return this.#batch
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.from(`${this.#pending.join('\n')}\n`)
    this.#pending = []
    this.#batch = undefined
    try {
      const end = this.#length + bytes.length
      if (end > this.#allocated) await this.#grow(end)
      await writeAll(this.#file, bytes, this.#length)
      this.#length = end
    } catch (error) {
      // A disk that is full may have taken half of the lines: none of them counts.
      await this.#file.truncate(this.#length).catch(() => {})
      this.#allocated = this.#length
      throw error
    }
  }

  /** A disk without room for that has room for many lines yet. */
  async #grow(end: number): Promise<void> {
    try {
      await writeAll(this.#file, Buffer.alloc(GROWTH), end)
      this.#allocated = end + GROWTH
    } catch {
      await this.#file.truncate(this.#length)
      this.#allocated = this.#length
    }
  }

  /**
   * Replaces all lines: a new file beside the old one, then a rename, so that a crash leaves one or the other whole.
   * `lines` is called when the writes under way are done and must give the state that their lines led to.
   */
  compact(lines: () => Iterable<string>): Promise<void> {
    const done = this.#writing.then(() => this.#replace(lines))
    this.#writing = done.catch(() => {})
    return done
  }

  async #replace(lines: () => Iterable<string>): Promise<void> {
    const text = [...lines()].map((line) => `${line}\n`).join('')
    const temporary = `${this.#path}.new`
    const file = await open(temporary, DURABLE | constants.O_TRUNC, 0o640)
    try {
      const bytes = Buffer.from(text)
      await writeAll(file, bytes, 0)
      await rename(temporary, this.#path)
      // From here on the old file has no name: what is written to it would be lost.
      const old = this.#file
      this.#file = file
      this.#length = bytes.length
      this.#allocated = bytes.length
      await old.close()
      await syncFolder(dirname(this.#path))
    } catch (error) {
      if (this.#file !== file) await file.close()
      throw error
    }
  }

  /** Waits for the writes under way and closes the file, without the space that was allocated ahead. */
  async close(): Promise<void> {
    await this.#batch?.catch(() => {})
    await this.#writing
    await this.#file.truncate(this.#length)
    await this.#file.close()
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

/** A new name is durable only when its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
