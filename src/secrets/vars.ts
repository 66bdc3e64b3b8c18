/** Reads encrypted vars files. */
import { UserError } from '../shared/errors.ts'
import type { Redactor } from '../shared/redact.ts'
import { YamlList, YamlMap, type YamlNode, YamlScalar } from '../shared/yaml.ts'
import { type Environment, type Identities, openDataKey, readIdentities } from './age.ts'
import { readMetadata } from './metadata.ts'
import { Opening } from './opening.ts'

export type Decrypt = (document: YamlMap) => Promise<YamlMap>

/**
 * Gives the function that decrypts vars files with the identities of the environment; these are read when the first
 * encrypted file is met. Every text that was encrypted is a secret to the redactor before anybody else sees it. Places
 * stay those of the encrypted file, so that errors show envelopes and never what is in them. Throws UserError.
 */
export function makeDecrypt(redactor: Redactor, environment?: Environment): Decrypt {
  let identities: Identities | undefined
  return async (document) => {
    const metadata = readMetadata(document)
    identities ??= readIdentities(environment)
    const opening = new Opening(metadata, await openDataKey(metadata, identities), (text) => taint(redactor, text))
    const clear = openNode(document, [], opening) as YamlMap
    opening.finish()
    return clear
  }
}

/** A value can be a template: what stands around its expressions is as secret as the whole. */
export function taint(redactor: Redactor, text: string): void {
  redactor.add(text)
  if (text.includes('{{')) for (const part of text.split(/\{\{[\s\S]*?\}\}/)) redactor.add(part)
}

/** Undefined for a comment. */
function openNode(node: YamlNode, path: readonly string[], opening: Opening): YamlNode | undefined {
  const { file, offset, end } = node
  switch (node.kind) {
    case 'map': {
      const map = new YamlMap(file, offset, end)
      for (const [key, entry] of node.entries) {
        if (path.length === 0 && key === 'sops') continue
        const value = openNode(entry.value, [...path, key], opening)
        if (value) map.entries.set(key, { ...entry, value })
      }
      return map
    }
    case 'list': {
      const list = new YamlList(file, offset, end)
      for (const item of node.items) {
        const clear = openNode(item, path, opening)
        if (clear) list.items.push(clear)
      }
      return list
    }
    case 'scalar': {
      if (node.value === null) return node
      const value = opening.value(path, { value: node.value, source: node.source }, node.place)
      if (value === undefined) return undefined
      if (typeof value === 'bigint')
        throw new UserError({
          message: `${path.join('.')} is an integer too large to be kept exactly`,
          place: node.place,
          hint: 'make it a string',
        })
      return new YamlScalar(file, offset, end, value, node.tag)
    }
  }
}
