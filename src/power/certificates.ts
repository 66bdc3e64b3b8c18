/** Whose certificate a controller may show: they sign their own, so it is remembered (as ssh does) or pinned. */
import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PeerCertificate } from 'node:tls'
import type { DriverContext } from './driver.ts'
import { PowerError } from './errors.ts'

/**
 * - `remember`: recorded at first sight, refused when it changes
 * - `verify`: signed for this name by an authority of the system (or of NODE_EXTRA_CA_CERTS)
 * - `sha256`: this one, its fingerprint as 64 hex digits in lower case
 */
export type CertificatePolicy = { readonly mode: 'remember' | 'verify' } | { readonly sha256: string }

/** A fingerprint as people have it (`SHA256:AB:CD…`, with or without prefix and colons) as 64 hex digits; undefined when it is none. */
export function parseFingerprint(text: string): string | undefined {
  const hex = text
    .trim()
    .replace(/^sha-?256[:=]/i, '')
    .replaceAll(':', '')
    .toLowerCase()
  return /^[0-9a-f]{64}$/.test(hex) ? hex : undefined
}

const shown = (sha256: string): string => `SHA256:${sha256.toUpperCase().replace(/..(?!$)/g, '$&:')}`

/**
 * Certificates seen, a file each, below `.runbook/`. A file is linked into its place, so that of two processes that see
 * a controller for the first time one records and the other compares, and none reads a half-written file.
 */
export class CertificateStore {
  readonly #base: string
  readonly #folder: string

  /** `base` is the folder in which `.runbook/` stands. */
  constructor(base: string) {
    this.#base = join(base, '.runbook')
    this.#folder = join(this.#base, 'bmc-certificates')
  }

  file(address: string): string {
    return join(this.#folder, `${address.replace(/[^A-Za-z0-9.-]/g, '_')}.json`)
  }

  /** The fingerprint known for `host:port`. Throws PowerError when the file cannot be understood. */
  async known(address: string, host: string): Promise<string | undefined> {
    const file = this.file(address)
    let text: string
    try {
      text = await readFile(file, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    const sha256 = parseFingerprint(fingerprintIn(text))
    if (sha256 !== undefined) return sha256
    throw new PowerError('certificate', host, `${file} does not say which certificate ${address} has`, {
      hint: 'remove the file after you have compared the certificate, and it is recorded anew',
    })
  }

  /** Records it unless one is known by now; returns that one, and undefined when it was recorded. */
  async record(address: string, host: string, sha256: string, subject: string): Promise<string | undefined> {
    await this.#prepare()
    const file = this.file(address)
    const temporary = `${file}.${randomBytes(6).toString('hex')}`
    const content = { address, sha256: shown(sha256), subject, first_seen: new Date().toISOString() }
    await writeFile(temporary, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600, flag: 'wx', flush: true })
    try {
      await link(temporary, file)
      return undefined
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      return await this.known(address, host)
    } finally {
      await unlink(temporary)
    }
  }

  async #prepare(): Promise<void> {
    const first = await mkdir(this.#base, { mode: 0o700 }).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error
        return false
      },
    )
    // Like the journal's: nobody's version control should have what is in here.
    if (first) await writeFile(join(this.#base, '.gitignore'), '*\n')
    await mkdir(this.#folder, { mode: 0o700, recursive: true })
  }
}

function fingerprintIn(text: string): string {
  try {
    const { sha256 } = JSON.parse(text) as { sha256?: unknown }
    return typeof sha256 === 'string' ? sha256 : ''
  } catch {
    return ''
  }
}

export interface CertificateCheck {
  readonly policy: CertificatePolicy
  readonly store: CertificateStore
  readonly context: DriverContext
  /** `host:port`. */
  readonly address: string
}

/** Throws PowerError `certificate` unless the certificate is the right one. Not for `verify`: TLS does that itself. */
export async function checkCertificate(
  { policy, store, context, address }: CertificateCheck,
  certificate: PeerCertificate,
): Promise<void> {
  const { host } = context
  const sha256 = parseFingerprint(certificate.fingerprint256 ?? '')
  if (sha256 === undefined) throw new PowerError('certificate', host, `${address} shows no certificate`)
  if ('sha256' in policy) {
    if (policy.sha256 === sha256) return
    throw new PowerError('certificate', host, `${address} shows another certificate than the one in runbook_power`, {
      hint: `expected ${shown(policy.sha256)}, it shows ${shown(sha256)}; no password was sent`,
    })
  }
  const subject = String(certificate.subject?.CN ?? '')
  const file = store.file(address)
  const fail = (error: unknown): never => {
    if (error instanceof PowerError) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new PowerError('certificate', host, `the certificate of ${address} cannot be looked up in ${file}: ${why}`, {
      cause: error,
      hint: 'make that folder readable and writable for you, or give the fingerprint with certificate: in runbook_power',
    })
  }
  const known =
    (await store.known(address, host).catch(fail)) ?? (await store.record(address, host, sha256, subject).catch(fail))
  if (known === undefined) {
    context.note(`the certificate of ${address} was recorded at first sight: ${shown(sha256)}`)
    return
  }
  if (known === sha256) return
  throw new PowerError('certificate', host, `the certificate of ${address} has CHANGED`, {
    hint: `known is ${shown(known)} (${file}), it shows ${shown(sha256)}; no password was sent. Somebody may be listening in. Only if you know why it changed (new firmware, a replaced board), remove that file`,
  })
}
