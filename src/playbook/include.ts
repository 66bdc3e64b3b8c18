/** `import_tasks` and `import_role` are opened when the playbook is loaded, `include_*` when they run. */
import { dirname, join } from 'node:path'
import { UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import type { YamlEntry, YamlMap, YamlNode } from '../shared/yaml.ts'
import { constant, type Value } from '../values/index.ts'
import { type Context, completeTasks } from './context.ts'
import { inherit, layerName } from './inherit.ts'
import { addUnknown, readKeywords, readOnlyKeywords } from './keyword-reader.ts'
import { IMPORT, INCLUDE, type Parsed, ROLE_ARGS, type StepWord, TASKS_ARGS } from './keywords.ts'
import { describe, kinds } from './kinds.ts'
import { isFile, resolveNow } from './loader.ts'
import { readModuleDefaults } from './module-defaults.ts'
import type { Include, Included, Step } from './playbook.ts'
import { type RoleFrom, readRole } from './role.ts'
import { readSteps } from './steps.ts'
import { readLoop } from './task.ts'

/** What an import or include names. */
interface Target {
  readonly what: 'tasks' | 'role'
  readonly value: Value
  readonly tasksFrom: Value | undefined
  readonly from: RoleFrom
  readonly apply: YamlMap | undefined
  /** The `vars` beside the name of a role: arguments for it. */
  readonly given?: YamlNode | undefined
}

/** The steps of an import, or one step for an include. Throws UserError; problems go to the loader, too. */
export async function readInclude(map: YamlMap, word: StepWord, outer: Context, id: string): Promise<readonly Step[]> {
  const { loader } = outer
  const isImport = word.startsWith('import')
  const { keywords, rest } = readKeywords<typeof INCLUDE>(
    map,
    isImport ? (IMPORT as typeof INCLUDE) : INCLUDE,
    loader.problems,
  )
  const entry = rest.find(({ key }) => key.endsWith(word))!
  for (const other of rest)
    if (other !== entry)
      addUnknown(other, isImport ? IMPORT : INCLUDE, isImport ? 'import' : 'include', loader.problems)
  const target = { ...readTarget(entry, word, outer), given: map.get('vars') }
  const defaults = await readModuleDefaults(keywords.module_defaults, loader)
  const inherited = inherit(outer.inherited, keywords, layerName(`${word} vars`, map.file), defaults)
  if (isImport) {
    if (target.apply)
      loader.problems.add(
        `"apply" belongs to include_${target.what}`,
        target.apply.place,
        `write its keywords on ${word} itself`,
      )
    const context = { ...outer, inherited }
    const name = nameOf(resolveNow(target.value, word, outer.play.scope), word, entry)
    const tasksFrom =
      target.tasksFrom && nameOf(resolveNow(target.tasksFrom, 'tasks_from', outer.play.scope), 'tasks_from', entry)
    return open(target, name, tasksFrom, context, id, entry.value.place)
  }
  const apply: Parsed<typeof IMPORT> = target.apply
    ? readOnlyKeywords(target.apply, IMPORT, 'import', loader.problems)
    : {}
  const inside = inherit({ ...inherited, when: outer.inherited.when }, apply, layerName('apply vars', map.file))
  return [await makeInclude(map, entry, target, keywords, inherited, { ...outer, inherited: inside }, id)]
}

async function makeInclude(
  map: YamlMap,
  entry: YamlEntry,
  target: Target,
  keywords: Parsed<typeof INCLUDE>,
  inherited: Context['inherited'],
  inside: Context,
  id: string,
): Promise<Include> {
  const { loader, play, role } = inside
  const made = new Map<string, Promise<Included>>()
  const read = async (name: string, tasksFrom: string | undefined, context: Context): Promise<Included> => {
    const own: Context = { ...context, handlers: [], tasks: [] }
    const steps = await open(target, name, tasksFrom, own, `${id}.${name}`, entry.value.place)
    completeTasks(own)
    return { steps, handlers: own.handlers }
  }
  const load = (name: string, tasksFrom?: string): Promise<Included> => {
    const key = JSON.stringify([name, tasksFrom])
    let included = made.get(key)
    if (!included) {
      included = (async () => {
        const fork = loader.fork()
        const result = await fork.catch(() => read(name, tasksFrom, { ...inside, loader: fork }))
        fork.problems.throwIfAny()
        return result!
      })()
      made.set(key, included)
    }
    return included
  }
  const staticName = target.value.static && (target.tasksFrom?.static ?? true)
  let known: Included | undefined
  if (staticName) {
    const name = nameOf(resolveNow(target.value, entry.key, play.scope), entry.key, entry)
    const tasksFrom = target.tasksFrom && String(resolveNow(target.tasksFrom, 'tasks_from', play.scope))
    // An include inside itself may end by its condition: what is inside is read when it comes to it.
    if (!(await isOpen(target, name, tasksFrom, inside))) {
      known = await loader.catch(() => read(name, tasksFrom, inside))
      if (known) made.set(JSON.stringify([name, tasksFrom]), Promise.resolve(known))
    }
  }
  const include: Include = {
    kind: 'include',
    id,
    name: keywords.name ?? constant(entry.key),
    place: map.place,
    what: target.what,
    target: target.value,
    tasksFrom: target.tasksFrom,
    when: inherited.when,
    loop: readLoop(keywords, map, inside),
    vars: inherited.vars,
    tags: inherited.tags,
    runOnce: inherited.runOnce,
    role: role?.name,
    known,
    load,
    defaultVars: [],
  }
  inside.tasks.push([include, role])
  return include
}

function readTarget(entry: YamlEntry, word: StepWord, { loader }: Context): Target {
  const { value } = entry
  const what = word.endsWith('role') ? 'role' : 'tasks'
  if (what === 'tasks' && value.kind === 'scalar') {
    return { what, value: kinds.text.read(value, word), tasksFrom: undefined, from: {}, apply: undefined }
  }
  if (value.kind !== 'map') {
    throw new UserError({
      message: `"${word}" must be ${what === 'role' ? 'a map' : 'the name of a file'}, not ${describe(value)}`,
      place: value.place,
      hint: what === 'role' ? `write ${word}: {name: ROLE}` : `write ${word}: FILE`,
    })
  }
  if (what === 'tasks') {
    const { file, apply } = readOnlyKeywords(value, TASKS_ARGS, word, loader.problems)
    return { what, value: required(file, 'file', entry), tasksFrom: undefined, from: {}, apply }
  }
  const { keywords, rest } = readKeywords(value, ROLE_ARGS, loader.problems)
  for (const other of rest) {
    // Ansible's switches: what they ask for is always so here.
    if (!/^(public|allow_duplicates|rolespec_validate)$/.test(other.key))
      addUnknown(other, ROLE_ARGS, word, loader.problems)
  }
  const { name, tasks_from, handlers_from, vars_from, defaults_from, apply } = keywords
  const from = { handlers: handlers_from, vars: vars_from, defaults: defaults_from }
  return { what, value: required(name, 'name', entry), tasksFrom: tasks_from, from, apply }
}

function required(value: Value | undefined, name: string, { key, keyPlace }: YamlEntry): Value {
  if (value) return value
  throw new UserError({ message: `"${key}" needs "${name}"`, place: keyPlace })
}

function nameOf(value: unknown, word: string, { value: { place } }: YamlEntry): string {
  if (typeof value === 'string' && value !== '') return value
  throw new UserError({
    message: `"${word}" must be a name, and is ${value === '' ? 'empty' : `a ${typeof value}`}`,
    place,
  })
}

async function open(
  target: Target,
  name: string,
  tasksFrom: string | undefined,
  context: Context,
  id: string,
  place: Place,
): Promise<readonly Step[]> {
  if (target.what === 'role')
    return readRole(name, { ...target.from, tasks: tasksFrom }, context, id, place, target.given)
  return readTasksFile(await findTasks(name, context, place), context, id, place)
}

/** Whether what an include names is being read already. */
async function isOpen(target: Target, name: string, tasksFrom: string | undefined, context: Context): Promise<boolean> {
  if (target.what === 'role') return context.chain.includes(`role ${name}${tasksFrom ? ` (${tasksFrom})` : ''}`)
  const files = await Promise.all(
    candidates(name, context).map(async (path) => ((await isFile(path)) ? path : undefined)),
  )
  const path = files.find((one) => one !== undefined)
  return path !== undefined && context.chain.includes(path)
}

/** Reads a file of tasks. Throws UserError for a cycle. */
export async function readTasksFile(path: string, outer: Context, id: string, place: Place): Promise<readonly Step[]> {
  refuseCycle(path, outer, place)
  const node = outer.loader.yaml(path, place)
  const context = { ...outer, folder: dirname(path), chain: [...outer.chain, path] }
  if (node.kind === 'list') refuseRootPlay(node.items)
  return readSteps(node, context, id)
}

export function refuseCycle(name: string, { chain }: Pick<Context, 'chain'>, place: Place): void {
  const start = chain.indexOf(name)
  if (start === -1) return
  throw new UserError({ message: `this goes round in a circle: ${[...chain.slice(start), name].join(' -> ')}`, place })
}

function refuseRootPlay(items: readonly YamlEntry['value'][]): void {
  const play = items.find((item): item is YamlMap => item.kind === 'map' && item.entries.has('hosts'))
  if (!play) return
  throw new UserError({
    message: 'a file of tasks cannot hold plays',
    place: play.entries.get('hosts')!.keyPlace,
    hint: 'write its tasks without a play around them, or use import_playbook beside the plays',
  })
}

async function findTasks(name: string, context: Context, place: Place): Promise<string> {
  const paths = candidates(name, context)
  for (const path of paths) if (await isFile(path)) return path
  throw new UserError({ message: `no file "${name}"`, place, hint: `looked for ${paths.join(', ')}` })
}

/** Beside the file that names it, in the role's tasks/, beside the playbook. */
function candidates(name: string, { folder, role, play }: Context): readonly string[] {
  if (name.startsWith('/')) return [name]
  const folders = [folder, ...(role ? [join(role.folder, 'tasks')] : []), play.folder]
  return [...new Set(folders.map((one) => join(one, name)))]
}
