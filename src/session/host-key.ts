import { fingerprint, type KnownHosts, keyType, knownName } from './known-hosts.ts'
import { SessionError } from './session.ts'

/** Whose key a hop expects and what to do about one that is new. */
export interface HostKeys {
  readonly known: KnownHosts
  /** HostKeyAlias or the host's name as the user wrote it, and its port (an alias stands without one). */
  readonly name: string
  readonly plainName: string
  readonly policy: 'check' | 'accept-new'
  readonly hashed: boolean
}

export function hostKeysFor(
  known: KnownHosts,
  host: string,
  port: number,
  alias: string | undefined,
  policy: HostKeys['policy'],
  hashed: boolean,
): HostKeys {
  const plainName = (alias ?? host).toLowerCase()
  return { known, name: alias === undefined ? knownName(host, port) : plainName, plainName, policy, hashed }
}

/** What we ask for without a reason to ask for something else; best first. SHA-1 signatures (ssh-rsa) come last. */
const ALGORITHMS = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
  'ssh-rsa',
]

/** Signature algorithms for host keys, those of the key types that known_hosts holds first. */
export function keyAlgorithms({ known, name, plainName }: HostKeys): string[] {
  const types = known.types(name, plainName)
  const isKnown = (algorithm: string) => types.has(algorithm.startsWith('rsa-sha2-') ? 'ssh-rsa' : algorithm)
  return [...ALGORITHMS.filter(isKnown), ...ALGORITHMS.filter((algorithm) => !isKnown(algorithm))]
}

/** Throws SessionError `host_key` unless the key is known, or is new and may be recorded. */
export async function checkHostKey(host: string, keys: HostKeys, key: Buffer): Promise<void> {
  const { known, name, plainName } = keys
  let result = known.check(name, plainName, key)
  if (result.verdict === 'unknown' && known.unreadable.length > 0)
    throw new SessionError(
      'host_key',
      host,
      `whether the key of ${name} is known cannot be told: ${known.unreadable.join('; ')}`,
    )
  if (result.verdict === 'unknown' && keys.policy === 'accept-new') {
    result = await known.record(name, plainName, key, keys.hashed).catch((error: Error) => {
      const message = `the key of ${name} is not known, and cannot be recorded: ${error.message}`
      throw new SessionError('host_key', host, message, {
        hint: `make ${known.files[0]} writable for you, or name another file (UserKnownHostsFile)`,
      })
    })
  }
  if (result.verdict === 'ok') return
  const offered = `${keyType(key)} ${fingerprint(key)}`
  if (result.verdict === 'unknown') {
    throw new SessionError('host_key', host, `the key of ${name} is not known: ${offered}`, {
      hint: `compare it with "ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub" on the host's console, then use --accept-new-host-keys${known.files[0] ? ` (records it in ${known.files[0]})` : ''}`,
    })
  }
  const lines = result.entries
    .map((entry) => `${entry.file}:${entry.line} (${entry.type} ${fingerprint(entry.key)})`)
    .join(', ')
  if (result.verdict === 'changed') {
    throw new SessionError(
      'host_key',
      host,
      `the key of ${name} has CHANGED: known is ${lines}, the host shows ${offered}`,
      {
        hint: `somebody may be listening in. Only if you know why it changed (a reinstalled host): ssh-keygen -R '${name}'`,
      },
    )
  }
  if (result.verdict === 'revoked') {
    throw new SessionError('host_key', host, `the key of ${name} is REVOKED by ${lines}: ${offered}`)
  }
  throw new SessionError('host_key', host, `${name} is known by a certificate authority only: ${lines}`, {
    hint: 'this transport cannot check host certificates: use connection "openssh" for this host',
  })
}
