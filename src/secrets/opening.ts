/** Opens and seals the values of a file in their order, and counts its MAC on the way (Encrypt and Decrypt in sops.go). */
import { createHash, type Hash } from 'node:crypto'
import { UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import { isSealed, type Opened, openEnvelope, sealEnvelope } from './envelope.ts'
import { encryptsBy, type Metadata, type Rule } from './metadata.ts'
import { clearValue, macText, type Scalar, type ScalarValue, typed } from './scalar.ts'

/** SHA-256 of "sops": a MAC over the encrypted values only is another MAC (MACOnlyEncryptedInitialization). */
const ONLY_ENCRYPTED = createHash('sha256').update('sops').digest()

/** The additional data of a value: the names above it and its own; lists add none. */
export const pathData = (path: readonly string[]): string => `${path.join(':')}:`

const macHash = (onlyEncrypted: boolean | undefined): Hash => {
  const hash = createHash('sha512')
  return onlyEncrypted ? hash.update(ONLY_ENCRYPTED) : hash
}

export class Opening {
  readonly #metadata: Metadata
  readonly #key: Uint8Array
  readonly #hash: Hash
  readonly #encrypts: (path: readonly string[]) => boolean
  /** Called with each text that was encrypted, before anybody else sees it. */
  readonly #taint: (secret: string) => void

  constructor(metadata: Metadata, key: Uint8Array, taint: (secret: string) => void) {
    this.#metadata = metadata
    this.#key = key
    this.#hash = macHash(metadata.mac_only_encrypted)
    this.#encrypts = encryptsBy(metadata.rule, metadata.place)
    this.#taint = taint
  }

  /**
   * The value at a path, in the clear. Undefined for a comment: SOPS makes items of the comments in a list. Throws
   * UserError when it is damaged, or in the clear against the rule.
   */
  value(path: readonly string[], scalar: Scalar, place: Place): ScalarValue | undefined {
    const name = path.join('.')
    if (!this.#encrypts(path)) {
      if (!this.#metadata.mac_only_encrypted) this.#hash.update(macText(scalar))
      return scalar.value
    }
    // What is empty is not encrypted.
    if (scalar.value === '') return ''
    if (typeof scalar.value !== 'string' || !isSealed(scalar.value))
      throw new UserError({
        message: `${name} stands in the clear, and should be encrypted: somebody has edited this file`,
        place,
        hint: 'change encrypted files with runbook secrets edit or sops',
      })
    const opened = openEnvelope(scalar.value, this.#key, pathData(path))
    const value = opened && clearValue(opened)
    if (value === undefined)
      throw new UserError({ message: `${name} cannot be decrypted: it is damaged, or was moved here`, place })
    // True and False are in every output, and no secret.
    if (opened!.type !== 'bool') this.#taint(opened!.text)
    if (opened!.type === 'comment') return undefined
    this.#hash.update(opened!.text)
    return value
  }

  /** To be called after the last value. Throws UserError when the file's MAC is another one. */
  finish(): void {
    const { mac, lastmodified, place } = this.#metadata
    const opened = openEnvelope(mac, this.#key, lastmodified)
    if (opened?.text === this.#hash.digest('hex').toUpperCase()) return
    throw new UserError({
      message: opened
        ? 'the MAC of this file is wrong: values were changed, added, removed or moved without the key'
        : 'the MAC of this file cannot be decrypted: the "sops" map is damaged',
      place,
      hint: 'take the file from version control again; change it with runbook secrets edit or sops only',
    })
  }
}

export class Sealing {
  readonly encrypts: (path: readonly string[]) => boolean
  readonly #key: Uint8Array
  readonly #onlyEncrypted: boolean
  readonly #hash: Hash
  /** Envelopes that the file already has: what did not change keeps its line, and a diff shows what did. */
  readonly #known: ReadonlyMap<string, string>

  constructor(rule: Rule, key: Uint8Array, onlyEncrypted = false, known: ReadonlyMap<string, string> = new Map()) {
    this.encrypts = encryptsBy(rule)
    this.#key = key
    this.#onlyEncrypted = onlyEncrypted
    this.#hash = macHash(onlyEncrypted)
    this.#known = known
  }

  /** The envelope for a value; undefined when it stays in the clear. */
  value(path: readonly string[], scalar: Scalar): string | undefined {
    const encrypted = this.encrypts(path)
    const plain = typed(scalar)
    if (typeof scalar.value === 'number' && /^[-+]?0\d/.test(scalar.source))
      throw new UserError({
        message: `${path.join('.')}: ${scalar.source} is ${Number(scalar.source)} to some readers of YAML and octal to others`,
        hint: 'put it in quotes',
      })
    if (encrypted) this.#hash.update(plain.text)
    else if (!this.#onlyEncrypted) this.#hash.update(macText(scalar))
    if (!encrypted || plain.text === '') return undefined
    return this.#known.get(knownAs(path, plain)) ?? sealEnvelope(plain, this.#key, pathData(path))
  }

  /** Comments may be values that were commented out. */
  comment(path: readonly string[], text: string): string {
    if (!this.encrypts(path) || text === '') return text
    const known = this.#known.get(knownAs(path, { type: 'comment', text }))
    return known ?? sealEnvelope({ type: 'comment', text }, this.#key, pathData(path))
  }

  /** The MAC, sealed; to be called after the last value. */
  finish(lastmodified: string): string {
    return sealEnvelope({ type: 'str', text: this.#hash.digest('hex').toUpperCase() }, this.#key, lastmodified)
  }
}

/** The key of a value among those that a file has. */
export const knownAs = (path: readonly string[], { type, text }: Opened): string => JSON.stringify([path, type, text])
