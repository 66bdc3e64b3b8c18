/** Opening files that a stranger named, and only those below a folder. */
import { constants } from 'node:fs'
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'

/** Why a file was not opened; errors of the file system come as they are. */
export class NotBelow extends Error {
  readonly why: 'outside' | 'not a file'

  constructor(why: NotBelow['why']) {
    super(why === 'outside' ? 'not below the root' : 'not a file')
    this.why = why
  }
}

export interface Opened {
  readonly handle: FileHandle
  /** Bytes. */
  readonly size: number
  /** Changes when the file does. */
  readonly id: string
  readonly modified: Date
}

/**
 * Opens a regular file below `root` to read. `path` is from `cleanName`. Where the opened file really is decides,
 * symlinks resolved, with no gap between the check and the use. Rejects with NotBelow or the file system's error.
 */
export async function openBelow(root: string, path: string): Promise<Opened> {
  const real = await realRoot(root)
  // Not blocking: a FIFO would wait for its writer.
  const handle = await open(join(real, path), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  try {
    const where = await readlink(`/proc/self/fd/${handle.fd}`)
    if (!where.startsWith(real === sep ? sep : real + sep)) throw new NotBelow('outside')
    const stat = await handle.stat({ bigint: true })
    if (!stat.isFile()) throw new NotBelow('not a file')
    const id = `${stat.dev.toString(36)}-${stat.ino.toString(36)}-${stat.mtimeNs.toString(36)}-${stat.size.toString(36)}`
    return { handle, size: Number(stat.size), id, modified: stat.mtime }
  } catch (error) {
    await handle.close()
    throw error
  }
}

const roots = new Map<string, { readonly path: Promise<string>; readonly until: number }>()
/** A storm's requests share one look at the root; a symlink that is pointed elsewhere is seen this many ms later. */
const ROOT_AGE = 1000

function realRoot(root: string): Promise<string> {
  const now = performance.now()
  const known = roots.get(root)
  if (known && known.until > now) return known.path
  const path = realpath(root)
  roots.set(root, { path, until: now + ROOT_AGE })
  // One that is not there yet is looked for again at once.
  path.catch(() => roots.delete(root))
  return path
}
