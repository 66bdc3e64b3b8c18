import { globSync, readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { globSource } from '../shared/glob.ts'

const found = new Map<string, readonly string[]>()

/** The files that an Include of ssh_config means, sorted; looked for once a process. */
export function included(pattern: string): readonly string[] {
  let files = found.get(pattern)
  if (!files) {
    files = lookFor(pattern).sort()
    found.set(pattern, files)
  }
  return files
}

/** `ssh_config.d/*.conf` of every Debian is not worth what it takes to load Node's globs. */
function lookFor(pattern: string): string[] {
  const folder = dirname(pattern)
  if (/[*?[{\\]/.test(folder) || /[{\\]/.test(pattern)) return globSync(pattern)
  const name = basename(pattern)
  const matches = new RegExp(`^${globSource(name)}`)
  try {
    return readdirSync(folder)
      .filter((file) => matches.test(file) && (name.startsWith('.') || !file.startsWith('.')))
      .map((file) => join(folder, file))
  } catch {
    return []
  }
}
