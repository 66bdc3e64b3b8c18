/**
 * Resources name what reads look at and changes touch: `file:/etc/fstab`, `sysctl:net.ipv4.ip_forward`, `unit:kubelet`.
 * A name that ends in `*` means all that begin so; `*` alone is a change that nobody can put a name to.
 */

export const EVERYTHING = '*'

/** A file, or a folder and all below it. */
export const fileTree = (path: string): string[] => [`file:${path}`, `file:${path === '/' ? '' : path}/*`]

/** Whether two resource names can mean the same thing. A folder's file does not touch the folder. */
export function overlap(a: string, b: string): boolean {
  if (a.endsWith('*')) {
    const stem = a.slice(0, -1)
    return b.endsWith('*') ? stem.startsWith(b.slice(0, -1)) || b.startsWith(stem) : b.startsWith(stem)
  }
  return b.endsWith('*') ? a.startsWith(b.slice(0, -1)) : a === b
}

/** A set of touched resources that answers quickly whether a read is affected. */
export class Touched {
  #exact = new Set<string>()
  #wild: string[] = []

  add(resources: Iterable<string>): void {
    for (const r of resources) {
      if (r.endsWith('*')) this.#wild.push(r)
      else this.#exact.add(r)
    }
  }

  /** As `affects`, without what can touch everything. */
  affectsByName(reads: Iterable<string>): boolean {
    if (!this.#wild.includes(EVERYTHING)) return this.affects(reads)
    const named = new Touched()
    named.add([...this.#exact, ...this.#wild.filter((w) => w !== EVERYTHING)])
    return named.affects(reads)
  }

  affects(reads: Iterable<string>): boolean {
    for (const r of reads) {
      if (this.#exact.has(r)) return true
      if (this.#wild.some((w) => overlap(w, r))) return true
      if (r.endsWith('*')) for (const e of this.#exact) if (overlap(e, r)) return true
    }
    return false
  }

  get empty(): boolean {
    return this.#exact.size === 0 && this.#wild.length === 0
  }
}
