/** Vars files, and the `group_vars` and `host_vars` folders. */
import { type Dirent, readdirSync, statSync } from 'node:fs'
import { extname, join } from 'node:path'
import { Problems, UserError } from '../shared/errors.ts'
import { refusePlanted } from '../shared/planted.ts'
import { parseYaml, readSource, type YamlMap, type YamlNode } from '../shared/yaml.ts'
import { compileNode, type Layer, type Value } from '../values/index.ts'
import type { VarsFolders } from './builder.ts'

/** Turns the document of an encrypted file into its clear text. Throws UserError. */
export type Decrypt = (document: YamlMap) => Promise<YamlNode>

/**
 * The variables of a file (YAML or JSON). Throws UserError with all problems. A file that SOPS encrypted goes through
 * `decrypt`; without it that is an error.
 */
export async function readVarsFile(path: string, decrypt?: Decrypt): Promise<ReadonlyMap<string, Value>> {
  let node = parseYaml(readSource(path))
  if (node.kind === 'map' && node.get('sops')?.kind === 'map') {
    if (!decrypt)
      throw new UserError({
        message: 'this file is encrypted with SOPS and cannot be read here',
        place: node.get('sops')!.place,
      })
    node = await decrypt(node)
  }
  return varsOf(node)
}

/** The variables of a map, each compiled. An empty document has none. Throws UserError with all problems. */
export function varsOf(node: YamlNode): ReadonlyMap<string, Value> {
  if (node.kind === 'scalar' && node.value === null) return new Map()
  if (node.kind !== 'map') throw new UserError({ message: 'expected a map of variables', place: node.place })
  const problems = new Problems()
  const vars = new Map<string, Value>()
  for (const { key, value } of node.entries.values()) {
    refuseOldBooleans(value, problems)
    const compiled = problems.catch(() => compileNode(value))
    if (compiled) vars.set(key, compiled)
  }
  problems.throwIfAny()
  return vars
}

/** Booleans of YAML 1.1, which Ansible reads, and texts of YAML 1.2: as a text, `no` is true to a template. */
const OLD_BOOLEANS = new Map([
  ['yes', true],
  ['on', true],
  ['no', false],
  ['off', false],
])

function refuseOldBooleans(node: YamlNode, problems: Problems): void {
  if (node.kind === 'list') for (const item of node.items) refuseOldBooleans(item, problems)
  if (node.kind === 'map') for (const { value } of node.entries.values()) refuseOldBooleans(value, problems)
  // Not in quotes: then the source is the text.
  if (node.kind !== 'scalar' || typeof node.value !== 'string' || node.source !== node.value) return
  const meant = OLD_BOOLEANS.get(node.value.toLowerCase())
  if (meant === undefined || node.tag !== undefined) return
  problems.add(
    `${node.value} without quotes is a text in YAML 1.2, and ${meant} to Ansible`,
    node.place,
    `write ${meant}, or "${node.value}" for the text`,
  )
}

const EXTENSIONS = ['', '.yml', '.yaml', '.json']

/** The `group_vars` and `host_vars` of a folder; files are read when a group or host of theirs exists. */
export function varsFolders(folder: string, decrypt?: Decrypt): VarsFolders {
  const groups = list(join(folder, 'group_vars'))
  const hosts = list(join(folder, 'host_vars'))
  return {
    group: (name) => layersOf(join(folder, 'group_vars'), name, groups, decrypt),
    host: (name) => layersOf(join(folder, 'host_vars'), name, hosts, decrypt),
  }
}

/** The names in a folder; none when it does not exist. */
function list(folder: string): ReadonlySet<string> {
  refusePlanted(folder, 'put playbook and inventory into a folder of your own')
  try {
    return new Set(readdirSync(folder))
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return new Set()
    throw new UserError(`cannot read ${folder}: ${(error as Error).message}`)
  }
}

async function layersOf(
  folder: string,
  name: string,
  entries: ReadonlySet<string>,
  decrypt: Decrypt | undefined,
): Promise<Layer[]> {
  const found = EXTENSIONS.map((extension) => name + extension).filter((entry) => entries.has(entry))
  if (found.length > 1) {
    throw new UserError({
      message: `${folder} has ${found.join(' and ')}: which one counts would be a guess`,
      hint: `put all of it into ${join(folder, name)}/`,
    })
  }
  const layers: Layer[] = []
  for (const path of found.flatMap((entry) => filesUnder(join(folder, entry))))
    layers.push({ name: path, vars: await readVarsFile(path, decrypt) })
  return layers
}

/** A file, or all vars files of a folder and the folders in it, sorted by name: later ones win. */
function filesUnder(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path]
  return readdirSync(path, { withFileTypes: true })
    .filter(isVarsFile)
    .map(({ name }) => name)
    .toSorted()
    .flatMap((name) => filesUnder(join(path, name)))
}

function isVarsFile(entry: Dirent): boolean {
  if (entry.name.startsWith('.') || entry.name.endsWith('~')) return false
  return entry.isDirectory() || EXTENSIONS.includes(extname(entry.name))
}
