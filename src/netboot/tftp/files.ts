/** The files that may be read: those below one folder, and those that a function makes. */
import { NotBelow, openBelow } from '../open-below.ts'
import { bufferContent, type Content } from './content.ts'
import { toNetascii } from './netascii.ts'
import { type OpenFile, OpenFiles } from './open-files.ts'
import { ERROR } from './packet.ts'

/** A request that gets an ERROR message. */
export class TftpError extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** Makes a file for a client (an IPv4 address); undefined: look in the folder. */
export type Virtual = (
  name: string,
  client: string,
) => Uint8Array | string | undefined | Promise<Uint8Array | string | undefined>

export interface FilesOptions {
  /** Absolute or relative to the working folder. Without one there are virtual files only. */
  readonly root?: string | undefined
  readonly virtual?: Virtual | undefined
  /** Bytes of file chunks kept in memory. */
  readonly cache?: number | undefined
}

export const DEFAULT_CACHE = 256 << 20
/** Netascii changes the length, so it is made in memory; it is for text. Bytes. */
const MOST_NETASCII = 16 << 20

/**
 * The path below the root that a request's name means, or undefined if it leaves it. Firmware sends leading slashes
 * (GRUB), double ones (shim), backslashes (EDK2's loaders), and NUL or 0xff from the end of a DHCP option.
 */
export function cleanName(name: string): string | undefined {
  // Not by a regular expression, which takes the square of what a stranger sends.
  let end = name.length
  while (end > 0 && (name[end - 1] === '\0' || name[end - 1] === '\xff')) end--
  const plain = name.slice(0, end)
  const parts = plain.split(/[/\\]+/).filter((part) => part !== '' && part !== '.')
  const usable = parts.length > 0 && !parts.includes('..') && !plain.includes('\0')
  return usable ? parts.join('/') : undefined
}

export class Files {
  readonly #root: string | undefined
  readonly #virtual: Virtual | undefined
  readonly #files: OpenFiles

  constructor({ root, virtual, cache = DEFAULT_CACHE }: FilesOptions) {
    this.#root = root
    this.#virtual = virtual
    this.#files = new OpenFiles(cache)
  }

  /** Bytes of files in memory. */
  get cached(): number {
    return this.#files.cached
  }

  /** Opens what `name` means for `client`. Rejects with a `TftpError` that says why it cannot be had. */
  async open(name: string, mode: 'octet' | 'netascii', client: string): Promise<Content> {
    const path = cleanName(name)
    if (path === undefined) throw new TftpError(ERROR.access, 'not a name below the root')
    const made = await this.#virtual?.(path, client)
    if (made !== undefined) {
      // A view where it can be: the same bytes may be sent to many.
      const bytes =
        typeof made === 'string' ? Buffer.from(made) : Buffer.from(made.buffer, made.byteOffset, made.length)
      return bufferContent(mode === 'netascii' ? toNetascii(bytes) : bytes)
    }
    const file = await this.#openFile(path)
    if (mode === 'octet') return this.#files.use(file)
    try {
      if (file.size > MOST_NETASCII) throw new TftpError(ERROR.other, 'too long for netascii, use octet')
      const bytes = Buffer.alloc(file.size)
      const { bytesRead } = await file.handle.read(bytes, 0, file.size, 0)
      return bufferContent(toNetascii(bytes.subarray(0, bytesRead)))
    } finally {
      await file.handle.close()
    }
  }

  async #openFile(path: string): Promise<OpenFile> {
    if (this.#root === undefined) throw new TftpError(ERROR.notFound, 'file not found')
    try {
      return await openBelow(this.#root, path)
    } catch (error) {
      throw asTftpError(error)
    }
  }
}

function asTftpError(error: unknown): Error {
  if (error instanceof NotBelow && error.why === 'outside') return new TftpError(ERROR.access, 'not below the root')
  if (error instanceof NotBelow) return new TftpError(ERROR.notFound, 'not a file')
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EACCES' || code === 'EPERM' || code === 'ELOOP') return new TftpError(ERROR.access, 'access denied')
  if (code === 'EMFILE' || code === 'ENFILE' || code === 'EIO') return new TftpError(ERROR.other, 'cannot read now')
  return new TftpError(ERROR.notFound, 'file not found')
}
