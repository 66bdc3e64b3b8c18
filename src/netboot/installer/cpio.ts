/** An initial RAM disk as the kernel unpacks it: cpio, "newc" (Documentation/driver-api/early-userspace/buffer-format.rst). */

export interface CpioEntry {
  /** Without a leading slash. */
  readonly path: string
  /** File type and permissions, as in stat(2). */
  readonly mode: number
  /** Contents of a file, target of a link. */
  readonly data?: Uint8Array | undefined
  /** Of a device file: major, minor. */
  readonly device?: readonly [number, number] | undefined
}

export const MODE = {
  directory: 0o040755,
  file: 0o100644,
  program: 0o100755,
  link: 0o120777,
  device: 0o020600,
} as const

/**
 * The same bytes for the same entries: sorted, numbered from 1, owned by root, from 1970. Folders above an entry are made.
 * Throws for two entries with the same path, which is a bug.
 */
export function cpio(entries: Iterable<CpioEntry>): Buffer {
  const all = new Map<string, CpioEntry>()
  for (const entry of entries) {
    if (all.has(entry.path) && entry.mode !== MODE.directory) throw new Error(`${entry.path} is in the archive twice`)
    all.set(entry.path, entry)
    for (let path = parent(entry.path); path !== '' && !all.has(path); path = parent(path)) {
      all.set(path, { path, mode: MODE.directory })
    }
  }
  const sorted = [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
  return Buffer.concat([
    ...sorted.flatMap((entry, i) => record(entry, i + 1)),
    ...record({ path: 'TRAILER!!!', mode: 0 }, 0),
  ])
}

function record({ path, mode, data = Buffer.alloc(0), device = [0, 0] }: CpioEntry, inode: number): Buffer[] {
  const name = Buffer.from(`${path}\0`)
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, ...device, name.length, 0]
  const head = Buffer.from(`070701${fields.map((n) => n.toString(16).toUpperCase().padStart(8, '0')).join('')}`)
  return [head, name, padding(head.length + name.length), Buffer.from(data), padding(data.length)]
}

/** To the next multiple of four. */
function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4)
}

function parent(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}
