/** From the files of a command line to playbooks. */
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { formatProblem, Problems, UserError } from '../shared/errors.ts'
import type { YamlEntry, YamlMap, YamlNode } from '../shared/yaml.ts'
import { refuseCycle } from './include.ts'
import { type Inherited, inherit, layerName, NOTHING } from './inherit.ts'
import { addUnknown, readKeywords } from './keyword-reader.ts'
import { IMPORT, PLAY, TASK } from './keywords.ts'
import { describe, isNull, isString, kinds } from './kinds.ts'
import { Loader, type LoadOptions, resolveNow, staticScope } from './loader.ts'
import { readPlay } from './play.ts'
import type { Play, Playbook } from './playbook.ts'

/** Reads and checks playbooks. Throws one UserError with every problem of all files. */
export async function loadPlaybooks(paths: readonly string[], options: LoadOptions = {}): Promise<readonly Playbook[]> {
  const problems = new Problems()
  const playbooks: Playbook[] = []
  const ids = { next: 0 }
  for (const path of paths) {
    const loader = new Loader(options, dirname(path), problems)
    const plays = await loader.catch(() => readPlaybook(path, loader, ids, NOTHING, []))
    const file = loader.files.get(path)
    if (plays && file) playbooks.push({ file, plays, files: [...loader.files.values()] })
  }
  if (problems.list.length > 0) throw new UserError(inOrder(problems.list))
  return playbooks
}

/** A fingerprint of everything that was read for these playbooks: a resumed run must have the same. */
export function playbookHash(playbooks: readonly Playbook[]): string {
  const hash = createHash('sha256')
  for (const { files } of playbooks) {
    for (const { path, text } of files) hash.update(`${path.length} ${path} ${text.length} ${text}`)
  }
  return hash.digest('hex')
}

/** In the order of the files' lines, each once: a file that is imported twice has its problems twice. */
function inOrder(problems: Problems['list']): Problems['list'] {
  const once = [...new Map(problems.map((problem) => [formatProblem(problem), problem])).values()]
  const files = [...new Set(once.map(({ place }) => place?.file.path))]
  const rank = ({ place }: Problems['list'][number]): number => files.indexOf(place?.file.path)
  return once.sort((a, b) => rank(a) - rank(b) || (a.place?.offset ?? 0) - (b.place?.offset ?? 0))
}

async function readPlaybook(
  path: string,
  loader: Loader,
  ids: { next: number },
  outer: Inherited,
  chain: readonly string[],
): Promise<readonly Play[]> {
  const root = loader.yaml(path)
  if (isNull(root))
    throw new UserError({
      message: `${path} is empty: a playbook is a list of plays`,
      place: root.place,
      hint: EXAMPLE,
    })
  if (root.kind !== 'list') {
    throw new UserError({
      message: `a playbook is a list of plays, not ${describe(root)}`,
      place: root.place,
      hint: hintForRoot(root),
    })
  }
  const plays: Play[] = []
  for (const item of root.items) {
    const read = await loader.catch(async () => {
      const map = playMap(item)
      const imported = [...map.entries.values()].find(({ key }) => /^(ansible\.builtin\.)?import_playbook$/.test(key))
      if (imported) return importPlaybook(map, imported, loader, ids, outer, [...chain, path])
      const play = await readPlay(map, String(ids.next++), loader, outer)
      return play ? [play] : []
    })
    plays.push(...(read ?? []))
  }
  return plays
}

const EXAMPLE = 'e.g. - hosts: all'

function hintForRoot(root: YamlNode): string {
  return root.kind === 'map' && root.entries.has('hosts') ? 'start the play with "- "' : EXAMPLE
}

function playMap(node: YamlNode): YamlMap {
  if (node.kind !== 'map') {
    throw new UserError({ message: `a play must be a map, not ${describe(node)}`, place: node.place, hint: EXAMPLE })
  }
  const keys = [...node.entries.keys()]
  const isTask = !keys.includes('hosts') && !keys.some((key) => /tasks$|^roles$|import_playbook$/.test(key))
  if (isTask && keys.some((key) => !Object.hasOwn(PLAY, key) && (Object.hasOwn(TASK, key) || key === 'block'))) {
    throw new UserError({
      message: 'this looks like a task: a playbook is a list of plays',
      place: node.place,
      hint: 'put it under tasks: of a play with hosts:',
    })
  }
  return node
}

async function importPlaybook(
  map: YamlMap,
  entry: YamlEntry,
  loader: Loader,
  ids: { next: number },
  outer: Inherited,
  chain: readonly string[],
): Promise<readonly Play[]> {
  const { keywords, rest } = readKeywords(
    map,
    { name: IMPORT.name, vars: IMPORT.vars, tags: IMPORT.tags, when: IMPORT_WHEN },
    loader.problems,
  )
  for (const other of rest) if (other !== entry) addUnknown(other, {}, 'import_playbook', loader.problems)
  if (!isString(entry.value)) {
    throw new UserError({
      message: `"import_playbook" must be the name of a file, not ${describe(entry.value)}`,
      place: entry.value.place,
    })
  }
  const name = String(
    resolveNow(kinds.text.read(entry.value, entry.key), 'import_playbook', staticScope(loader.options)),
  )
  const path = name.startsWith('/') ? name : join(dirname(map.file.path), name)
  refuseCycle(path, { chain }, entry.value.place)
  loader.source(path, entry.value.place)
  return readPlaybook(path, loader, ids, inherit(outer, keywords, layerName('import_playbook vars', map.file)), chain)
}

const IMPORT_WHEN = { kind: 'conditions', doc: 'goes to every task of the plays' } as const
