/** Roles: a folder with tasks, handlers, defaults, vars, files, templates and meta. */
import { readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { didYouMean, UserError } from '../shared/errors.ts'
import { SHIPPED_PLAYBOOKS } from '../shared/shipped.ts'
import type { Place } from '../shared/source.ts'
import type { YamlMap, YamlNode } from '../shared/yaml.ts'
import type { Context, RoleContext } from './context.ts'
import { readTasksFile, refuseCycle } from './include.ts'
import { inherit, layerName } from './inherit.ts'
import { addUnknown, asMap, readKeywords } from './keyword-reader.ts'
import { ROLE } from './keywords.ts'
import { describe, isNull, isString, kinds, type Vars } from './kinds.ts'
import { isFile, isFolder } from './loader.ts'
import { readModuleDefaults } from './module-defaults.ts'
import type { Handler, Step, VarsLayer } from './playbook.ts'
import { argumentCheck, checkGivenVars, readArgumentSpec } from './role-arguments.ts'
import { readHandlers } from './steps.ts'

/** Files to read instead of main.yml. */
export interface RoleFrom {
  readonly tasks?: string | undefined
  readonly handlers?: string | undefined
  readonly vars?: string | undefined
  readonly defaults?: string | undefined
}

/** The steps of an entry of `roles:` or of a role's dependencies: none when the same was there before. */
export async function readRoleEntry(node: YamlNode, outer: Context, id: string): Promise<readonly Step[]> {
  const { loader, play } = outer
  if (isString(node)) {
    refuseCycle(`role ${node.value}`, outer, node.place)
    return isRepeated(node.value, undefined, outer) ? [] : readRole(node.value, {}, outer, id, node.place)
  }
  const map = asMap(node, 'a role', 'write its name, or {role: NAME, vars: {…}}')
  const { keywords, rest } = readKeywords(map, ROLE, loader.problems)
  for (const entry of rest) addUnknownToRole(entry, outer)
  // Ansible takes `name` for `role`.
  const name = keywords.role ?? (keywords.name?.static ? String(keywords.name.evaluate(play.scope)) : undefined)
  if (name === undefined)
    throw new UserError({ message: 'a role needs its name', place: map.place, hint: 'write role: NAME' })
  const place = map.get('role')?.place ?? map.place
  refuseCycle(`role ${name}`, outer, place)
  if (isRepeated(name, map, outer)) return []
  const defaults = await readModuleDefaults(keywords.module_defaults, loader)
  const inherited = inherit(outer.inherited, keywords, layerName(`vars of role ${name}`, map.file), defaults)
  return readRole(name, {}, { ...outer, inherited }, id, place, map.get('vars'))
}

function addUnknownToRole(entry: Parameters<typeof addUnknown>[0], { loader }: Context): void {
  const before = loader.problems.list.length
  addUnknown(entry, ROLE, 'role', loader.problems)
  const [problem] = loader.problems.list.splice(before)
  loader.problems.add(
    problem!.message,
    entry.keyPlace,
    problem!.hint ?? `if "${entry.key}" is a variable, write it under vars:`,
  )
}

/** A role runs once for the same parameters, as in Ansible. */
function isRepeated(name: string, map: YamlMap | undefined, { play, inherited }: Context): boolean {
  const own = [...(map?.entries.values() ?? [])]
    .filter(({ key }) => key !== 'role')
    .map(({ key, value }) => [key, key === 'vars' ? textOf(value) : sourceOf(value)])
  // What the role that depends on it has for variables does not count, its conditions do: it may not have run there.
  const around = [inherited.when.map(({ source }) => source), inherited.tags]
  const key = JSON.stringify([name, own, around])
  if (play.rolesDone.has(key)) return true
  play.rolesDone.add(key)
  return false
}

/** What a node says, however it is laid out. */
function textOf(node: YamlNode): unknown {
  if (node.kind === 'list') return node.items.map(textOf)
  if (node.kind === 'map') return [...node.entries.values()].map(({ key, value }) => [key, textOf(value)])
  return sourceOf(node)
}

function sourceOf(node: YamlNode): string {
  return node.file.text.slice(node.offset, node.end)
}

/** The steps of a role, its dependencies first; its handlers, defaults and vars go to the play. Throws UserError. */
export async function readRole(
  name: string,
  from: RoleFrom,
  outer: Context,
  id: string,
  place: Place,
  given?: YamlNode,
): Promise<readonly Step[]> {
  const { loader, play } = outer
  const link = `role ${name}${from.tasks ? ` (${from.tasks})` : ''}`
  refuseCycle(link, outer, place)
  const folder = await findRole(name, outer, place)
  const chain = [...outer.chain, link]
  const meta = await readPart(folder, 'meta', undefined, outer, place)
  const defaultsLayer = await readVarsPart(name, folder, 'defaults', from.defaults, outer, place)
  const varsLayer = await readVarsPart(name, folder, 'vars', from.vars, outer, place)
  if (defaultsLayer) addLayer(play.defaultVars, defaultsLayer)
  if (varsLayer) addLayer(play.vars, varsLayer)

  const steps = [...(await readDependencies(meta, { ...outer, chain, folder }, id))]
  const role: RoleContext = {
    name: basename(name),
    folder,
    defaultVars: [...(outer.role?.defaultVars ?? []), ...(defaultsLayer ? [defaultsLayer] : [])],
  }
  // A role's own variables stand below those that its user gives it.
  const inherited = varsLayer ? { ...outer.inherited, vars: [varsLayer, ...outer.inherited.vars] } : outer.inherited
  const context: Context = { ...outer, inherited, role, chain, folder: join(folder, 'tasks') }

  const spec = await loader.catch(async () =>
    readArgumentSpec(await specNode(folder, meta, context, place), from.tasks ?? 'main', loader),
  )
  if (spec) {
    const known = [...(defaultsLayer?.vars.keys() ?? []), ...(varsLayer?.vars.keys() ?? [])]
    if (given?.kind === 'map') checkGivenVars(spec, given, known, role.name, loader)
    steps.push(argumentCheck(spec, context, `${id}.arguments`, place))
  }
  const tasks = await findPart(folder, 'tasks', from.tasks)
  if (tasks !== undefined) steps.push(...(await readTasksFile(tasks, context, id, place)))
  else if (from.tasks !== undefined) throw missingPart(folder, 'tasks', from.tasks, name, place)
  await addHandlers(folder, from.handlers, context, name, place)
  return steps
}

function addLayer(layers: VarsLayer[], layer: VarsLayer): void {
  if (!layers.some(({ name }) => name === layer.name)) layers.push(layer)
}

async function readDependencies(meta: YamlNode | undefined, context: Context, id: string): Promise<readonly Step[]> {
  const list = meta?.kind === 'map' ? meta.get('dependencies') : undefined
  if (list === undefined || isNull(list)) return []
  if (list.kind !== 'list')
    throw new UserError({ message: `dependencies must be a list, not ${describe(list)}`, place: list.place })
  const steps: Step[] = []
  for (const [i, item] of list.items.entries()) {
    steps.push(...((await context.loader.catch(() => readRoleEntry(item, context, `${id}.dependencies.${i}`))) ?? []))
  }
  return steps
}

async function addHandlers(
  folder: string,
  from: string | undefined,
  context: Context,
  name: string,
  place: Place,
): Promise<void> {
  const path = await findPart(folder, 'handlers', from)
  if (path === undefined) {
    if (from !== undefined) throw missingPart(folder, 'handlers', from, name, place)
    return
  }
  const node = context.loader.yaml(path, place)
  const inside = { ...context, folder: dirname(path) }
  const handlers = await readHandlers(node, inside, `${context.play.id}.handlers.${name}`)
  // A role that is used twice has its handlers once, in the place of the first, with the variables of the last: as in Ansible.
  const first = context.handlers.findIndex((handler: Handler) => handler.place.file.path === path)
  const others = context.handlers.filter((handler: Handler) => handler.place.file.path !== path)
  others.splice(first === -1 ? others.length : first, 0, ...handlers)
  context.handlers.splice(0, context.handlers.length, ...others)
}

async function specNode(
  folder: string,
  meta: YamlNode | undefined,
  { loader }: Context,
  place: Place,
): Promise<YamlNode | undefined> {
  const path = await findPart(folder, 'meta', 'argument_specs')
  const node = path === undefined ? meta : loader.yaml(path, place)
  return node?.kind === 'map' ? node.get('argument_specs') : undefined
}

async function readVarsPart(
  name: string,
  folder: string,
  part: 'defaults' | 'vars',
  from: string | undefined,
  { loader }: Context,
  place: Place,
): Promise<VarsLayer | undefined> {
  const path = await findPart(folder, part, from)
  const paths = path === undefined ? await filesBelow(join(folder, part, from ?? 'main')) : [path]
  if (paths.length === 0) {
    if (from !== undefined) throw missingPart(folder, part, from, name, place)
    return undefined
  }
  const vars = await loader.catch(async () => {
    const all: [string, unknown][] = []
    for (const one of paths) all.push(...readVarsNode(await loader.vars(one, place), one))
    return new Map(all) as Vars
  })
  return vars && { name: `role ${part} ${path ?? join(folder, part, from ?? 'main')}`, vars }
}

/** The files of a folder that stands for `main.yml`, by their names: of variables that two of them have the last counts. */
async function filesBelow(folder: string): Promise<readonly string[]> {
  if (!(await isFolder(folder))) return []
  const names = await readdir(folder, { recursive: true })
  const files = names.filter((name) => /\.(ya?ml|json)$/.test(name) && !/(^|\/)\./.test(name)).sort()
  return files.map((name) => join(folder, name))
}

/** A vars file's map; an empty file has none. Throws UserError. */
export function readVarsNode(node: YamlNode, path: string): Vars {
  return isNull(node) ? new Map() : kinds.vars.read(node, path)
}

async function readPart(folder: string, part: string, from: string | undefined, { loader }: Context, place: Place) {
  const path = await findPart(folder, part, from)
  return path === undefined ? undefined : loader.yaml(path, place)
}

async function findPart(folder: string, part: string, from = 'main'): Promise<string | undefined> {
  const names = /\.(ya?ml|json)$/.test(from) ? [from] : [`${from}.yml`, `${from}.yaml`, `${from}.json`]
  for (const name of names) {
    const path = join(folder, part, name)
    if (await isFile(path)) return path
  }
  return undefined
}

function missingPart(folder: string, part: string, from: string, name: string, place: Place): UserError {
  return new UserError({
    message: `the role ${name} has no ${part}/${from}`,
    place,
    hint: `looked in ${join(folder, part)}`,
  })
}

/**
 * In roles/ beside the playbook, beside the role that asks, in roles/ beside the playbook that imports this one, beside the
 * playbook, among those that come with runbook.
 */
async function findRole(name: string, { play, role, folder, loader }: Context, place: Place): Promise<string> {
  const isPath = /^\.{0,2}\//.test(name)
  const folders = isPath
    ? [name.startsWith('/') ? name : join(folder, name), ...(name.startsWith('/') ? [] : [join(play.folder, name)])]
    : [
        join(play.folder, 'roles', name),
        ...(role ? [join(dirname(role.folder), name)] : []),
        join(loader.folder, 'roles', name),
        join(play.folder, name),
        join(SHIPPED_PLAYBOOKS, 'roles', name),
      ]
  for (const path of folders) if (await isFolder(path)) return path
  const known = await readdir(join(play.folder, 'roles')).catch(() => [])
  const own = folders.filter((path) => !path.startsWith(SHIPPED_PLAYBOOKS))
  const looked = `looked for ${[...new Set(own)].join(', ')}`
  const hint = /^\w+\.\w+\.\w+$/.test(name) ? 'roles of collections: copy the folder of the role to roles/' : looked
  throw new UserError({ message: `no role "${name}"`, place, hint: didYouMean(name, known) ?? hint })
}
