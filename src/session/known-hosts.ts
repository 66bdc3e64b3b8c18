import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { appendFile, mkdir, open, readFile, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { matchPatterns } from './patterns.ts'

/** One line of a known_hosts file; the format is in sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". */
export interface KnownHost {
  readonly file: string
  readonly line: number
  readonly marker: 'revoked' | 'cert-authority' | undefined
  readonly hosts: readonly string[] | HashedName
  /** Key type, e.g. `ssh-ed25519`. */
  readonly type: string
  readonly key: Buffer
}

interface HashedName {
  readonly salt: Buffer
  readonly hash: Buffer
}

/** Parses a file; lines that make no sense are passed over, as OpenSSH does. */
export function parseKnownHosts(text: string, file: string): KnownHost[] {
  const entries: KnownHost[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const words = line.split(/[ \t]+/)
    const marker = words[0]!.startsWith('@') ? words.shift()!.slice(1) : undefined
    if (marker !== undefined && marker !== 'revoked' && marker !== 'cert-authority') continue
    const [names, type, base64] = words
    if (!names || !type || !base64) continue
    const key = Buffer.from(base64, 'base64')
    const hosts = parseNames(names)
    if (!hosts || keyType(key) !== type) continue
    entries.push({ file, line: index + 1, marker, hosts, type, key })
  }
  return entries
}

function parseNames(names: string): readonly string[] | HashedName | undefined {
  if (!names.startsWith('|')) return names.toLowerCase().split(',')
  const [, version, salt, hash] = names.split('|')
  if (version !== '1' || !salt || !hash) return undefined
  return { salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') }
}

/** The type that a public key blob names (RFC 4253 section 6.6); empty when it is no key. */
export function keyType(key: Buffer): string {
  if (key.length < 4) return ''
  const length = key.readUInt32BE(0)
  return length > 64 || key.length < 4 + length ? '' : key.toString('latin1', 4, 4 + length)
}

/** `SHA256:…` as ssh-keygen -l prints it. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
}

/** The name under which a host stands in known_hosts: `[host]:port` unless the port is 22. */
export function knownName(host: string, port: number): string {
  return port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`
}

function matches({ hosts }: KnownHost, name: string): boolean {
  if (!('salt' in hosts)) return matchPatterns(hosts, name)
  const hash = createHmac('sha1', hosts.salt).update(name).digest()
  return hash.length === hosts.hash.length && timingSafeEqual(hash, hosts.hash)
}

export type Verdict =
  | { readonly verdict: 'ok' }
  | { readonly verdict: 'unknown' }
  /** `entries`: the lines that hold other keys, the revoked key, or the authority. */
  | { readonly verdict: 'changed' | 'revoked' | 'cert-authority'; readonly entries: readonly KnownHost[] }

/** The entries of several files; one object serves all hosts that use the same files. */
export class KnownHosts {
  readonly files: readonly string[]
  /** Why files could not be read that are there: what stands in them is not known. */
  readonly unreadable: readonly string[]
  readonly #plain = new Map<string, KnownHost[]>()
  /** Hashed names and patterns, which must be tried one by one. */
  readonly #others: KnownHost[] = []

  constructor(files: readonly string[]) {
    this.files = files
    const unreadable: string[] = []
    for (const file of files) {
      let text: string
      try {
        text = readFileSync(file, 'utf8')
      } catch (error) {
        if (!isMissing(error)) unreadable.push((error as Error).message)
        continue
      }
      this.add(parseKnownHosts(text, file))
    }
    this.unreadable = unreadable
  }

  add(entries: readonly KnownHost[]): void {
    for (const entry of entries) {
      if ('salt' in entry.hosts || entry.hosts.some((host) => /[*?!]/.test(host))) this.#others.push(entry)
      else for (const host of entry.hosts) this.#plain.set(host, [...(this.#plain.get(host) ?? []), entry])
    }
  }

  find(name: string): KnownHost[] {
    return [...(this.#plain.get(name) ?? []), ...this.#others.filter((entry) => matches(entry, name))]
  }

  /** Key types known for a name: what we ask the server for first, so that it shows us a key that we can compare. */
  types(name: string, plainName: string): Set<string> {
    const trusted = (entry: KnownHost) => entry.marker === undefined
    const own = this.find(name).filter(trusted)
    return new Set((own.length > 0 ? own : this.find(plainName).filter(trusted)).map((entry) => entry.type))
  }

  /**
   * Judges a key. Any other key known for the name is a change, also one of another type: a stranger in between could
   * offer just that. A host on another port may be known under its plain name (as OpenSSH has it), by that very key only.
   */
  check(name: string, plainName: string, key: Buffer): Verdict {
    const found = this.find(name)
    const plain = name === plainName ? [] : this.find(plainName)
    const same = (entry: KnownHost) => entry.key.equals(key)
    const revoked = [...found, ...plain].filter((entry) => entry.marker === 'revoked' && same(entry))
    if (revoked.length > 0) return { verdict: 'revoked', entries: revoked }
    const trusted = found.filter((entry) => entry.marker === undefined)
    if (trusted.some(same)) return { verdict: 'ok' }
    if (trusted.length > 0) return { verdict: 'changed', entries: trusted }
    if (plain.some((entry) => entry.marker === undefined && same(entry))) return { verdict: 'ok' }
    const authorities = found.filter((entry) => entry.marker === 'cert-authority')
    return authorities.length > 0 ? { verdict: 'cert-authority', entries: authorities } : { verdict: 'unknown' }
  }

  /**
   * Records a key in the first file, unless another process was faster; `hashed` as ssh does with HashKnownHosts. One that is no
   * regular file (UserKnownHostsFile /dev/null) remembers nothing, and is left alone; the key holds for this process. Throws
   * what the file system says.
   */
  async record(name: string, plainName: string, key: Buffer, hashed = false): Promise<Verdict> {
    const file = this.files[0]
    if (!file) return { verdict: 'ok' }
    const there = await stat(file).catch(orMissing)
    if (there !== undefined && !there.isFile() && !there.isDirectory()) {
      this.add([{ file, line: 0, marker: undefined, hosts: [name], type: keyType(key), key }])
      return { verdict: 'ok' }
    }
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    return await withLockFile(`${file}.lock`, async () => {
      const text = (await readFile(file, 'utf8').catch(orMissing)) ?? ''
      const fresh = new KnownHosts([])
      fresh.add(parseKnownHosts(text, file))
      const now = fresh.check(name, plainName, key)
      if (now.verdict !== 'unknown') return now
      const line = `${hashed ? hashName(name) : name} ${keyType(key)} ${key.toString('base64')}\n`
      await appendFile(file, text === '' || text.endsWith('\n') ? line : `\n${line}`, { mode: 0o600 })
      this.add(parseKnownHosts(line, file).map((entry) => ({ ...entry, line: text.split('\n').length })))
      return { verdict: 'ok' as const }
    })
  }
}

const isMissing = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR'].includes(String((error as NodeJS.ErrnoException).code))

function orMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error
}

function hashName(name: string): string {
  const salt = randomBytes(20)
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`
}

/** A lock file that stays the same for so long was left behind by a process that died: the work takes milliseconds. */
const STALE_MS = 5_000

/** Does the work while no other process of ours does it. */
export async function withLockFile<T>(path: string, work: () => Promise<T>): Promise<T> {
  // By a clock that only runs on: the file's time may lie hours ahead, of a disk's server or before this clock was set.
  let seen: { mtimeMs: number; since: number } | undefined
  for (;;) {
    try {
      await (await open(path, 'wx', 0o600)).close()
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      const mtimeMs = (await stat(path).catch(() => undefined))?.mtimeMs
      if (mtimeMs === undefined) continue
      if (seen?.mtimeMs !== mtimeMs) seen = { mtimeMs, since: performance.now() }
      if (performance.now() - seen.since > STALE_MS) await unlink(path).catch(() => {})
      else await sleep(5 + Math.random() * 20)
    }
  }
  try {
    return await work()
  } finally {
    await unlink(path).catch(() => {})
  }
}
