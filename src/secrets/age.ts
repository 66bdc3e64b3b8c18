/** The data key of a file, encrypted to age recipients, and the identities that open it. */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { armor, Decrypter, Encrypter, identityToRecipient } from 'age-encryption'
import { UserError } from '../shared/errors.ts'
import type { AgeKey, Metadata } from './metadata.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Private keys, and where they were looked for. */
export interface Identities {
  readonly keys: readonly string[]
  readonly places: readonly string[]
}

const DATA_KEY_BYTES = 32

/**
 * The identities where sops looks for them: SOPS_AGE_KEY, the file of SOPS_AGE_KEY_FILE, and
 * `~/.config/sops/age/keys.txt` (below XDG_CONFIG_HOME where that is set). Throws UserError.
 */
export function readIdentities(environment: Environment = process.env): Identities {
  const keys: string[] = []
  const places: string[] = []
  const add = (text: string, name: string): void => {
    places.push(name)
    // The words of a line, as sops takes them from the variable; the error never shows what stands there.
    for (const line of text.split(/\r?\n/).filter((one) => !one.startsWith('#')))
      for (const word of line.split(/\s+/).filter(Boolean)) {
        if (!/^AGE-SECRET-KEY-(PQ-)?1[A-Z0-9]+$/.test(word))
          throw new UserError({
            message: `${name} has something else than age keys`,
            hint: 'AGE-SECRET-KEY-1… lines are read; keys of plugins, of SSH or with a passphrase are not',
          })
        keys.push(word)
      }
  }
  const own = environment.SOPS_AGE_KEY
  if (own) add(own, 'SOPS_AGE_KEY')
  const named = environment.SOPS_AGE_KEY_FILE
  if (named) add(readKeys(named, 'SOPS_AGE_KEY_FILE names it')!, named)
  const config = environment.XDG_CONFIG_HOME || join(environment.HOME ?? homedir(), '.config')
  const usual = join(config, 'sops/age/keys.txt')
  add(readKeys(usual) ?? '', usual)
  return { keys, places }
}

/** Undefined when there is no such file and nobody has named it (`why`). */
function readKeys(path: string, why?: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (why === undefined && (code === 'ENOENT' || code === 'ENOTDIR')) return undefined
    throw new UserError(
      `cannot read the age keys of ${path}${why ? ` (${why})` : ''}: ${code === 'ENOENT' ? 'it does not exist' : message}`,
    )
  }
}

/** The data key of a file. Throws UserError when none of the identities fits, or what fits is damaged. */
export async function openDataKey({ age, place }: Metadata, { keys, places }: Identities): Promise<Uint8Array> {
  const own = new Map<string, string>()
  for (const key of keys) {
    const recipient = await identityToRecipient(key).catch(() => undefined)
    if (recipient === undefined)
      throw new UserError({ message: `an age key of ${places.join(', ')} is damaged: its checksum is wrong` })
    own.set(recipient, key)
  }
  const fitting = age.filter(({ recipient }) => own.has(recipient))
  for (const { recipient, enc } of fitting) {
    const decrypter = new Decrypter()
    decrypter.addIdentity(own.get(recipient)!)
    try {
      const dataKey = await decrypter.decrypt(armor.decode(enc))
      if (dataKey.length === DATA_KEY_BYTES) return dataKey
    } catch {}
  }
  if (fitting.length > 0)
    throw new UserError({
      message: `the data key for ${fitting.map(({ recipient }) => recipient).join(', ')} cannot be opened: the file is damaged`,
      place,
    })
  throw new UserError({
    message: `no age key here opens this file; it is encrypted to ${age.map(({ recipient }) => recipient).join(', ')}`,
    place,
    hint: `put the key into SOPS_AGE_KEY_FILE or SOPS_AGE_KEY; looked in ${places.join(', ')}, found ${keys.length === 0 ? 'no key' : [...own.keys()].join(', ')}`,
  })
}

/** Encrypts a data key to each recipient. Throws UserError for what is no age recipient. */
export function sealDataKey(dataKey: Uint8Array, recipients: readonly string[]): Promise<AgeKey[]> {
  return Promise.all(
    [...new Set(recipients)].map(async (recipient) => {
      const encrypter = new Encrypter()
      try {
        encrypter.addRecipient(recipient)
      } catch {
        throw new UserError({
          message: `${recipient} is no age recipient`,
          hint: 'recipients begin with age1; age-keygen -y KEYFILE shows yours',
        })
      }
      return { recipient, enc: armor.encode(await encrypter.encrypt(dataKey)) }
    }),
  )
}
