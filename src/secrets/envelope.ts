/**
 * One encrypted value as SOPS writes it: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`, AES-256-GCM with a nonce of 32 bytes.
 * The additional data is the path of the value, so that values cannot be moved (SOPS, aes/cipher.go).
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/** `time` and `comment` are SOPS' too; all but `int`, `float` and `bool` are texts to us. */
export type EnvelopeType = 'str' | 'int' | 'float' | 'bool' | 'bytes' | 'time' | 'comment'

export interface Opened {
  readonly type: EnvelopeType
  /** What was encrypted, as text: `True` and `False` for bool. */
  readonly text: string
}

const FORMAT =
  /^ENC\[AES256_GCM,data:([A-Za-z0-9+/=]*),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:(str|int|float|bool|bytes|time|comment)\]$/
const NONCE_BYTES = 32
const TAG_BYTES = 16

/** Whether a value claims to be encrypted. */
export const isSealed = (text: string): boolean => text.startsWith('ENC[AES256_GCM,')

/** Undefined when the envelope is damaged, was made with another key, or stands at another path. */
export function openEnvelope(envelope: string, key: Uint8Array, additionalData: string): Opened | undefined {
  const [, data, iv, tag, type] = FORMAT.exec(envelope) ?? []
  if (type === undefined) return undefined
  const tagBytes = Buffer.from(tag!, 'base64')
  // A shorter tag could be guessed.
  if (tagBytes.length !== TAG_BYTES) return undefined
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(iv!, 'base64'), { authTagLength: TAG_BYTES })
    decipher.setAAD(Buffer.from(additionalData)).setAuthTag(tagBytes)
    const text = Buffer.concat([decipher.update(Buffer.from(data!, 'base64')), decipher.final()]).toString('utf8')
    return { type: type as EnvelopeType, text }
  } catch {
    return undefined
  }
}

export function sealEnvelope({ type, text }: Opened, key: Uint8Array, additionalData: string): string {
  const iv = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES }).setAAD(
    Buffer.from(additionalData),
  )
  const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  const parts = [data, iv, cipher.getAuthTag()].map((bytes) => bytes.toString('base64'))
  return `ENC[AES256_GCM,data:${parts[0]},iv:${parts[1]},tag:${parts[2]},type:${type}]`
}
