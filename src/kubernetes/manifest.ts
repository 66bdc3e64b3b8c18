import { LineCounter, parseAllDocuments, type ScalarTag } from 'yaml'
import { type Problem, UserError } from '../shared/errors.ts'
import type { KubeObject } from '../shared/kubernetes.ts'
import { placeAt, type SourceFile } from '../shared/source.ts'

/** Manifests are small; more is a mistake or an attack. Calico's operator with its CRDs is 2.4 MB. */
const MAX_BYTES = 16 * 1024 * 1024

/**
 * kubectl reads YAML as sigs.k8s.io/yaml does, which keeps two things of YAML 1.1 that manifests rely on: `defaultMode:
 * 0644` is octal, and yes, no, on, off are booleans.
 */
const octal: ScalarTag = {
  tag: 'tag:yaml.org,2002:int',
  default: true,
  test: /^[-+]?0[0-7]+$/,
  resolve: (text) => Number.parseInt(text, 8),
}
const boolean: ScalarTag = {
  tag: 'tag:yaml.org,2002:bool',
  default: true,
  test: /^(?:yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$/,
  resolve: (text) => /^(yes|on)$/i.test(text),
}

/**
 * The objects of a multi-document YAML or JSON text in their order, lists (`kind: List`) taken apart. Throws UserError with
 * the line for what is no manifest.
 */
export function parseManifest(text: string, name: string): KubeObject[] {
  if (text.length > MAX_BYTES) throw new UserError(`${name} is larger than ${MAX_BYTES / 1024 / 1024} MiB`)
  const file: SourceFile = { path: name, text }
  const lineCounter = new LineCounter()
  const documents = parseAllDocuments(text, {
    lineCounter,
    merge: true,
    customTags: (tags) => [octal, boolean, ...tags],
  })
  const problems: Problem[] = []
  const objects: KubeObject[] = []
  if (!Array.isArray(documents)) return objects
  for (const document of documents) {
    const place = placeAt(file, document.contents?.range?.[0] ?? document.range[0], document.range[1])
    for (const { message, pos } of document.errors)
      problems.push({
        message: message.split('\n')[0]!.replace(/ at line .*$/, ''),
        place: placeAt(file, pos[0], pos[1]),
      })
    if (document.errors.length > 0) continue
    let value: unknown
    try {
      value = document.toJS({ maxAliasCount: 1000 })
    } catch (error) {
      problems.push({ message: (error as Error).message, place })
      continue
    }
    if (value === null || value === undefined) continue
    for (const object of takeApart(value)) {
      const wrong = complaint(object)
      if (wrong === undefined) objects.push(object as KubeObject)
      else problems.push({ message: wrong, place, hint: 'every object needs apiVersion, kind and metadata.name' })
    }
  }
  if (problems.length > 0) throw new UserError(problems)
  return objects
}

function takeApart(value: unknown): unknown[] {
  const { kind, items } = value as { kind?: unknown; items?: unknown }
  return typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items) ? items.flatMap(takeApart) : [value]
}

function complaint(object: unknown): string | undefined {
  if (typeof object !== 'object' || object === null || Array.isArray(object)) return 'this is not an object of the API'
  const { apiVersion, kind, metadata } = object as Partial<Record<string, unknown>>
  if (typeof kind !== 'string' || kind === '') return 'the object has no kind'
  if (typeof apiVersion !== 'string' || apiVersion === '') return `the ${kind} has no apiVersion`
  const { name } = (metadata ?? {}) as { name?: unknown }
  if (typeof name !== 'string' || name === '') return `the ${kind} has no metadata.name`
  return undefined
}

/** What others stand in or are kinds of goes first; otherwise the order of the manifest is kept. */
const FIRST = ['Namespace', 'CustomResourceDefinition']

export function inOrder(objects: readonly KubeObject[]): KubeObject[] {
  const rank = ({ kind }: KubeObject): number => {
    const at = FIRST.indexOf(kind)
    return at === -1 ? FIRST.length : at
  }
  return objects.toSorted((a, b) => rank(a) - rank(b))
}

/**
 * What may be applied at once: objects of one kind that stand together do not need each other, and no object twice. Between kinds
 * the order stays: a role before its binding, a class before the pods that have it, a webhook behind what it would refuse.
 */
export function inStages(objects: readonly KubeObject[]): KubeObject[][] {
  const stages: KubeObject[][] = []
  const names = new Set<string>()
  let last: KubeObject | undefined
  for (const object of inOrder(objects)) {
    const { name, namespace = '' } = object.metadata
    const same = last?.kind === object.kind && last.apiVersion === object.apiVersion
    if (!same || names.has(`${namespace}/${name}`)) {
      stages.push([])
      names.clear()
    }
    stages.at(-1)!.push(object)
    names.add(`${namespace}/${name}`)
    last = object
  }
  return stages
}

/** `app=web,tier=front` as a map; undefined for other selectors. */
export function equalitySelector(selector: string): Record<string, string> | undefined {
  const pairs = selector.split(',').map((part) => /^\s*([^=!\s]+)\s*==?\s*([^=!\s]+)\s*$/.exec(part))
  if (pairs.some((pair) => pair === null)) return undefined
  return Object.fromEntries(pairs.map((pair) => [pair![1]!, pair![2]!]))
}
