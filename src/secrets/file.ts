/** Whole files: encrypted, decrypted, and encrypted again, with comments and order kept. YAML, or JSON by its name. */
import { randomBytes } from 'node:crypto'
import { type Document, isMap, isScalar, type Node, parseDocument, Scalar as ScalarNode } from 'yaml'
import { UserError } from '../shared/errors.ts'
import { placeAt, type SourceFile } from '../shared/source.ts'
import { parseYaml } from '../shared/yaml.ts'
import { type Identities, openDataKey, sealDataKey } from './age.ts'
import { isSealed, openEnvelope } from './envelope.ts'
import { DEFAULT_RULE, encryptsBy, type Metadata, type Rule, readMetadata } from './metadata.ts'
import { knownAs, Opening, pathData, Sealing } from './opening.ts'
import type { ScalarValue } from './scalar.ts'
import { walk } from './walk.ts'

/** The version of SOPS whose format this is; SOPS reads it to know what it may meet. */
const SOPS_VERSION = '3.8.1'

/** Strings to us that SOPS' YAML takes for times and numbers: they are put in quotes. */
const MISREAD = /^[-+.]?\d[\w.+:-]*([ \t]+[\d:.+-]+Z?)*$/

/** A file in the clear, with what is needed to encrypt it again. */
export interface Recrypted {
  readonly text: string
  readonly metadata: Metadata
  readonly dataKey: Uint8Array
  /** Its envelopes, by `knownAs`. */
  readonly known: ReadonlyMap<string, string>
}

/** Encrypts a file to age recipients. Throws UserError, also for one that is encrypted already. */
export async function encryptText(
  file: SourceFile,
  recipients: readonly string[],
  rule = DEFAULT_RULE,
): Promise<string> {
  encryptsBy(rule)
  const dataKey = randomBytes(32)
  return seal(file, { age: await sealDataKey(dataKey, recipients), rule }, dataKey, new Map())
}

/** Decrypts a file and checks its MAC. Throws UserError. */
export async function decryptText(file: SourceFile, identities: Identities): Promise<Recrypted> {
  const root = parseYaml(file)
  if (root.kind !== 'map') throw new UserError({ message: 'this file is not encrypted with SOPS', place: root.place })
  const metadata = readMetadata(root)
  const dataKey = await openDataKey(metadata, identities)
  const known = new Map<string, string>()
  const opening = new Opening(metadata, dataKey, () => {})
  const document = documentOf(file)
  const paths = new Set<string>()
  walk(document, {
    value(path, scalar, node) {
      const place = placeAt(file, node.range?.[0] ?? 0, node.range?.[1] ?? 0)
      const value = opening.value(path, scalar, place)
      if (typeof scalar.value === 'string' && isSealed(scalar.value)) {
        const opened = openEnvelope(scalar.value, dataKey, pathData(path))
        if (opened) known.set(knownAs(path, opened), scalar.value)
        // A float stays one: 3.0 is no 3.
        if (opened?.type === 'float') node.minFractionDigits = 1
      }
      return value
    },
    comment: (_path, text) => text,
    container: (path) => void paths.add(JSON.stringify(path)),
  })
  opening.finish()
  // A comment belongs to the map that SOPS' parser gave it to, which is not always the one of ours.
  walk(document, {
    comment(path, text) {
      if (!isSealed(text)) return text
      for (const one of [path, ...[...paths].map((p) => JSON.parse(p) as string[])]) {
        const opened = openEnvelope(text, dataKey, pathData(one))
        if (!opened) continue
        known.set(knownAs(path, opened), text)
        return opened.text
      }
      return text
    },
  })
  removeMetadata(document)
  return { text: print(document, file.path), metadata, dataKey, known }
}

/** Encrypts an edited text as the file was: same recipients, rule and data key; what did not change keeps its line. */
export async function resealText(file: SourceFile, { metadata, dataKey, known }: Recrypted): Promise<string> {
  return seal(file, metadata, dataKey, known)
}

/** Encrypts a file anew, with a new data key, to other recipients or to those it has. Throws UserError. */
export async function rekeyText(
  file: SourceFile,
  identities: Identities,
  recipients: readonly string[] = [],
): Promise<string> {
  const { text, metadata } = await decryptText(file, identities)
  const dataKey = randomBytes(32)
  const to = recipients.length > 0 ? recipients : metadata.age.map(({ recipient }) => recipient)
  return seal({ path: file.path, text }, { ...metadata, age: await sealDataKey(dataKey, to) }, dataKey, new Map())
}

/** The last comment of a file stands above the "sops" map, and stays. */
function removeMetadata(document: Document): void {
  const root = document.contents
  if (!isMap<ScalarNode, Node>(root)) return
  const above = root.items.find(({ key }) => key.value === 'sops')?.key.commentBefore
  if (above) root.comment = [above, root.comment].filter(Boolean).join('\n')
  root.delete('sops')
}

type Sealed = Pick<Metadata, 'age' | 'rule' | 'mac_only_encrypted'>

function seal(file: SourceFile, metadata: Sealed, dataKey: Uint8Array, known: ReadonlyMap<string, string>): string {
  const root = parseYaml(file)
  if (root.kind !== 'map') throw new UserError({ message: 'only a map can be encrypted', place: root.place })
  if (root.get('sops'))
    throw new UserError({
      message: 'this file has a "sops" map: it is encrypted already',
      place: root.get('sops')!.place,
      hint: 'runbook secrets edit FILE changes it, runbook secrets rekey FILE its recipients',
    })
  const document = documentOf(file)
  const rule: Rule = metadata.rule
  const sealing = new Sealing(rule, dataKey, metadata.mac_only_encrypted, known)
  walk(document, {
    value(path, scalar, node): ScalarValue {
      const quoted = typeof scalar.value === 'string' && MISREAD.test(scalar.source)
      if (quoted) node.type = 'QUOTE_DOUBLE'
      return sealing.value(path, quoted ? { ...scalar, source: `"${scalar.source}"` } : scalar) ?? scalar.value
    },
    comment: (path, text) => sealing.comment(path, text),
  })
  const lastmodified = new Date().toISOString().replace(/\.\d+Z$/, 'Z')
  document.set(
    new ScalarNode('sops'),
    document.createNode({
      age: metadata.age,
      lastmodified: quotedNode(lastmodified),
      mac: sealing.finish(lastmodified),
      ...rule,
      ...(metadata.mac_only_encrypted ? { mac_only_encrypted: true } : {}),
      version: SOPS_VERSION,
    }),
  )
  return print(document, file.path)
}

function quotedNode(text: string): ScalarNode<string> {
  const node = new ScalarNode(text)
  node.type = 'QUOTE_DOUBLE'
  return node
}

function documentOf(file: SourceFile): Document {
  return parseDocument(file.text, { version: '1.2', stringKeys: true, logLevel: 'silent' })
}

function print(document: Document, path: string): string {
  if (path.endsWith('.json')) return `${json(document.contents, '')}\n`
  return document.toString({ lineWidth: 0 })
}

/** JSON with the order of the keys, which a JavaScript object would not keep for names like "10". */
function json(node: Node | null, indent: string): string {
  if (isScalar(node)) return typeof node.value === 'bigint' ? String(node.value) : JSON.stringify(node.value)
  const inner = `${indent}\t`
  const block = (open: string, parts: string[], close: string): string =>
    parts.length === 0 ? open + close : `${open}\n${parts.map((one) => inner + one).join(',\n')}\n${indent}${close}`
  if (isMap<Node, Node>(node)) {
    const entries = node.items.map(({ key, value }) => `${json(key, inner)}: ${json(value, inner)}`)
    return block('{', entries, '}')
  }
  const items = (node as { items?: Node[] } | null)?.items ?? []
  return block(
    '[',
    items.map((item) => json(item, inner)),
    ']',
  )
}
