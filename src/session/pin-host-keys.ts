import { chmod, mkdir, readFile, realpath, rename, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { UserError } from '../shared/errors.ts'
import { hostKeysFor } from './host-key.ts'
import { KnownHosts, parseKnownHosts, withLockFile } from './known-hosts.ts'
import type { Target } from './session.ts'
import { expandHome, lookupHost } from './ssh-config.ts'

/** The file that a host's keys belong in, and the name that they are looked up under: as its variables and ssh_config say. */
export function keyPlaceOf(target: Target): { readonly file: string; readonly name: string } {
  const config = lookupHost(target.address, target.sshConfigFile, target.user, target.sshOptions)
  const { hostName, hostKeyAlias, userKnownHostsFiles } = config
  const port = target.port ?? config.port ?? 22
  const { name } = hostKeysFor(new KnownHosts([]), hostName, port, hostKeyAlias, 'check', false)
  return { file: expandHome(target.knownHostsFile ?? userKnownHostsFiles[0] ?? '~/.ssh/known_hosts'), name }
}

/**
 * Makes `keys` (`ssh-ed25519 AAAA…`) the only keys that a known_hosts file has for `name`, as knownName() gives it: for a
 * host that was installed anew and told its keys on a way that is trusted. Other names on the same line keep their key;
 * lines of certificate authorities and revoked keys stay.
 */
export async function pinHostKeys(file: string, name: string, keys: readonly string[]): Promise<void> {
  // A link (to a folder of dotfiles, say) stays one; a device such as /dev/null is no place for keys, nor to be replaced.
  const path = await realpath(file).catch(() => file)
  if ((await stat(path).catch(() => undefined))?.isFile() === false)
    throw new UserError({ message: `${file} is no regular file: the host keys of ${name} cannot be written there` })
  await writeKeys(path, name, keys)
}

async function writeKeys(file: string, name: string, keys: readonly string[]): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  await withLockFile(`${file}.lock`, async () => {
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return ''
      throw error
    })
    const mode = text === '' ? 0o600 : (await stat(file)).mode & 0o777
    const kept = text.split('\n').flatMap((line) => without(line, name))
    while (kept.at(-1) === '') kept.pop()
    const lines = [...kept, ...keys.map((key) => `${name} ${key}`)]
    // A new file in its place: whoever reads it meanwhile sees the old one or the new one.
    await writeFile(`${file}.new`, lines.map((line) => `${line}\n`).join(''), { mode })
    await chmod(`${file}.new`, mode)
    await rename(`${file}.new`, file)
  })
}

/** The line without the name; none when it was the only one. */
function without(line: string, name: string): string[] {
  const [entry] = parseKnownHosts(line, '')
  if (entry === undefined || entry.marker !== undefined) return [line]
  const one = new KnownHosts([])
  one.add([entry])
  if (one.find(name).length === 0) return [line]
  if ('salt' in entry.hosts) return []
  const others = entry.hosts.filter((host) => host !== name)
  // A pattern that covers the name covers others too; the exact lines are asked first, and a pattern is not ours to change.
  if (others.length === entry.hosts.length) return [line]
  return others.length === 0
    ? []
    : [
        `${others.join(',')} ${line
          .trim()
          .split(/[ \t]+/)
          .slice(1)
          .join(' ')}`,
      ]
}
