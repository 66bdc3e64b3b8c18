/** The `sops` map of an encrypted file: who can read it, its MAC, and which values are encrypted. */

import { UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import { Pattern } from '../shared/time-limit.ts'
import { toPlain, type YamlMap } from '../shared/yaml.ts'

/** One age recipient and the data key encrypted to it (armored). */
export interface AgeKey {
  readonly recipient: string
  readonly enc: string
}

/** Which values are encrypted: at most one of them, by SOPS' rules; without any the suffix `_unencrypted`. */
export interface Rule {
  readonly unencrypted_suffix?: string
  readonly encrypted_suffix?: string
  readonly unencrypted_regex?: string
  readonly encrypted_regex?: string
}

export interface Metadata {
  readonly age: readonly AgeKey[]
  /** RFC 3339; the additional data of the MAC. */
  readonly lastmodified: string
  readonly mac: string
  readonly mac_only_encrypted?: boolean
  readonly rule: Rule
  readonly place: Place
}

const RULES = ['unencrypted_suffix', 'encrypted_suffix', 'unencrypted_regex', 'encrypted_regex'] as const
const OTHER_SERVICES = ['kms', 'gcp_kms', 'azure_kv', 'hc_vault', 'hckms', 'pgp']

/** What SOPS takes when a file names no rule (DefaultUnencryptedSuffix in sops.go). */
export const DEFAULT_RULE: Rule = { unencrypted_suffix: '_unencrypted' }

/** Reads and checks the `sops` map of a document. Throws UserError. */
export function readMetadata(document: YamlMap): Metadata {
  const node = document.get('sops')
  if (node?.kind !== 'map')
    throw new UserError({ message: 'this file is not encrypted with SOPS', place: document.place })
  const place = node.place
  const plain = toPlain(node) as Record<string, unknown>
  const wrong = (message: string, hint?: string): UserError => new UserError({ message, place, hint })
  if (plain.key_groups !== undefined || Number(plain.shamir_threshold ?? 0) > 1)
    throw wrong(
      'this file needs keys of several groups (Shamir), which are not read',
      'encrypt it to one group of age keys',
    )
  const comment = ['unencrypted_comment_regex', 'encrypted_comment_regex'].find((name) => plain[name])
  if (comment) throw wrong(`"${comment}" is not supported`, 'use encrypted_regex')
  const age = listOf(plain.age)
  if (age.length === 0) {
    const others = OTHER_SERVICES.filter((name) => listOf(plain[name]).length > 0)
    throw wrong(
      others.length > 0
        ? `this file is encrypted for ${others.join(', ')} only; runbook reads age keys`
        : 'the "sops" map names no age recipient',
      'add an age recipient: sops rotate --add-age age1… FILE',
    )
  }
  const text = (name: string): string => {
    const value = plain[name]
    if (typeof value === 'string' && value !== '') return value
    throw wrong(`the "sops" map has no ${name}: the file is damaged`)
  }
  const rules = RULES.filter((name) => typeof plain[name] === 'string' && plain[name] !== '')
  if (rules.length > 1) throw wrong(`the "sops" map has ${rules.join(' and ')}: only one can count`)
  return {
    age: age.map((one) => {
      const { recipient, enc } = (one ?? {}) as Record<string, unknown>
      if (typeof recipient === 'string' && typeof enc === 'string') return { recipient, enc }
      throw wrong('an age entry of the "sops" map needs recipient and enc: the file is damaged')
    }),
    lastmodified: text('lastmodified'),
    mac: text('mac'),
    ...(plain.mac_only_encrypted === true ? { mac_only_encrypted: true } : {}),
    rule: rules.length === 0 ? DEFAULT_RULE : { [rules[0]!]: plain[rules[0]!] as string },
    place,
  }
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** Says for the path of a value (names of the maps above it and its own) whether it is encrypted. Throws UserError. */
export function encryptsBy(rule: Rule, place?: Place): (path: readonly string[]) => boolean {
  const { unencrypted_suffix: not, encrypted_suffix: only, unencrypted_regex: notLike, encrypted_regex: like } = rule
  if (not !== undefined) return (path) => !path.some((name) => name.endsWith(not))
  if (only !== undefined) return (path) => path.some((name) => name.endsWith(only))
  const pattern = compile((notLike ?? like)!, place)
  return (path) => path.some((name) => pattern.test(name)) === (like !== undefined)
}

/** SOPS' patterns are Go's; of what differs only `(?i)` in front is in use. */
function compile(text: string, place: Place | undefined): RegExp {
  const [, flags = '', rest = text] = /^\(\?([ims]+)\)([\s\S]*)$/.exec(text) ?? []
  try {
    return new Pattern(rest, flags)
  } catch (error) {
    throw new UserError({ message: `the pattern ${text} is wrong: ${(error as Error).message}`, place })
  }
}
