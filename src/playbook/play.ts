/** One play. */
import { dirname, join, resolve } from 'node:path'
import { didYouMean, UserError } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import type { YamlMap, YamlNode } from '../shared/yaml.ts'
import { compileNode, constant, type Value } from '../values/index.ts'
import { type Context, completeTasks, type PlayParts } from './context.ts'
import { checkNotify } from './handlers.ts'
import { type Inherited, inherit } from './inherit.ts'
import { addUnknown, asMap, readKeywords, readOnlyKeywords } from './keyword-reader.ts'
import { type Parsed, PLAY, TASK, VARS_PROMPT } from './keywords.ts'
import { describe, isNull, itemsOf } from './kinds.ts'
import { type Loader, resolveNow, staticScope } from './loader.ts'
import { readModuleDefaults } from './module-defaults.ts'
import type { Play, Prompt, Section, Step, VarsLayer } from './playbook.ts'
import { readRoleEntry, readVarsNode } from './role.ts'
import { readHandlers, readSteps } from './steps.ts'

const ORDERS = ['inventory', 'reverse_inventory', 'sorted', 'reverse_sorted', 'shuffle'] as const
const STRATEGIES = ['free', 'linear'] as const

/** Reads a play; problems go to the loader. `outer` is what an `import_playbook` gives it. */
export async function readPlay(map: YamlMap, id: string, loader: Loader, outer: Inherited): Promise<Play | undefined> {
  const { problems } = loader
  const { keywords, rest } = readKeywords(map, PLAY, problems)
  for (const entry of rest) addUnknownToPlay(entry, loader, await loader.moduleNames())
  if (!map.entries.has('hosts')) problems.add('a play needs "hosts"', map.place, 'e.g. hosts: all')

  const folder = dirname(map.file.path)
  const vars: VarsLayer[] = [...outer.vars]
  if (keywords.vars) vars.push({ name: 'play vars', vars: keywords.vars })
  vars.push(...(await readVarsFiles(keywords.vars_files ?? [], folder, loader, vars)))
  const scope = staticScope(loader.options, vars)
  const play: PlayParts = { id, folder, scope, defaultVars: [], vars, rolesDone: new Set() }
  const defaults = await readModuleDefaults(keywords.module_defaults, loader)
  const inherited = inherit({ ...outer, vars: [] }, { ...keywords, vars: undefined }, 'play vars', defaults)
  const context: Context = {
    loader,
    play,
    inherited,
    folder,
    role: undefined,
    chain: [map.file.path],
    level: 'task',
    handlers: [],
    tasks: [],
  }

  const sections: Section[] = [
    { name: 'pre_tasks', steps: await readSteps(keywords.pre_tasks, context, `${id}.pre_tasks`) },
    {
      name: 'tasks',
      steps: [
        ...(await readRoles(keywords.roles, context, `${id}.roles`)),
        ...(await readSteps(keywords.tasks, context, `${id}.tasks`)),
      ],
    },
    { name: 'post_tasks', steps: await readSteps(keywords.post_tasks, context, `${id}.post_tasks`) },
  ]
  context.handlers.push(...(await readHandlers(keywords.handlers, context, `${id}.handlers`)))
  completeTasks(context)
  checkNotify(sections, context.handlers, problems)

  const now = (value: Value | undefined, keyword: string): unknown =>
    value && problems.catch(() => resolveNow(value, keyword, scope))
  return {
    id,
    name: nameOf(keywords, scope),
    place: map.place,
    hosts: hostsOf(keywords.hosts, map) ?? constant(''),
    gatherFacts: (now(keywords.gather_facts, 'gather_facts') ?? true) === true,
    remote: { connection: keywords.connection, user: keywords.remote_user, port: keywords.port },
    defaultVars: play.defaultVars,
    vars,
    prompts: readPrompts(keywords.vars_prompt, loader),
    sections: sections.filter(({ steps }) => steps.length > 0),
    handlers: context.handlers,
    tags: inherited.tags,
    serial: problems.catch(() => readSerial(map.get('serial'), (value) => resolveNow(value, 'serial', scope))) ?? [],
    order: oneOf(keywords.order, ORDERS, map, 'order', loader) ?? 'inventory',
    strategy: oneOf(keywords.strategy, STRATEGIES, map, 'strategy', loader) ?? 'free',
    anyErrorsFatal: now(inherited.anyErrorsFatal, 'any_errors_fatal') === true,
    maxFailPercentage: now(keywords.max_fail_percentage, 'max_fail_percentage') as number | undefined,
    forceHandlers: now(keywords.force_handlers, 'force_handlers') === true,
    searchPath: [resolve(folder)],
    become: inherited.become,
    environment: inherited.environment,
    ignoreErrors: inherited.ignoreErrors,
    ignoreUnreachable: inherited.ignoreUnreachable,
  }
}

function addUnknownToPlay(
  entry: Parameters<typeof addUnknown>[0],
  { problems }: Loader,
  modules: readonly string[],
): void {
  const { key, keyPlace } = entry
  const isModule = modules.includes(key) && !Object.hasOwn(TASK, key)
  if (isModule)
    problems.add(`"${key}" is a module: it cannot stand on a play`, keyPlace, 'write it as a task under tasks:')
  else addUnknown(entry, PLAY, 'play', problems)
}

function nameOf({ name, hosts }: Parsed<typeof PLAY>, scope: PlayParts['scope']): string {
  try {
    return String((name ?? hosts?.[0])?.evaluate(scope) ?? '')
  } catch (error) {
    if (error instanceof UserError) return 'a play'
    throw error
  }
}

/** A list of patterns is the patterns with commas between them. */
function hostsOf(hosts: readonly Value[] | undefined, map: YamlMap): Value | undefined {
  if (!hosts || hosts.length === 1) return hosts?.[0]
  const node = map.get('hosts')!
  if (hosts.some((value) => !value.static)) return compileNode(node)
  return constant(hosts.map((value) => value.evaluate(staticScope({}))).join(','), node)
}

async function readRoles(list: YamlNode | undefined, context: Context, id: string): Promise<readonly Step[]> {
  const steps: Step[] = []
  for (const [i, item] of (list ? itemsOf(list) : []).entries()) {
    if (!isNull(item))
      steps.push(...((await context.loader.catch(() => readRoleEntry(item, context, `${id}.${i}`))) ?? []))
  }
  return steps
}

async function readVarsFiles(
  files: readonly Value[],
  folder: string,
  loader: Loader,
  below: readonly VarsLayer[],
): Promise<VarsLayer[]> {
  const layers: VarsLayer[] = []
  for (const file of files) {
    const vars = await loader.catch(async () => {
      const name = String(resolveNow(file, 'vars_files', staticScope(loader.options, [...below, ...layers])))
      const path = name.startsWith('/') ? name : join(folder, name)
      const node = await loader.vars(path, file.place as Place)
      return { name: `vars_files ${path}`, vars: readVarsNode(node, path) }
    })
    if (vars) layers.push(vars)
  }
  return layers
}

function readPrompts(list: YamlNode | undefined, loader: Loader): Prompt[] {
  const prompts = (list && !isNull(list) ? itemsOf(list) : []).map((node) =>
    loader.problems.catch((): Prompt | undefined => {
      const map = asMap(node, 'an entry of vars_prompt', 'write name: VARIABLE')
      const one = readOnlyKeywords(map, VARS_PROMPT, 'vars_prompt', loader.problems)
      if (one.name === undefined)
        throw new UserError({ message: 'an entry of vars_prompt needs "name"', place: map.place })
      return {
        name: one.name,
        question: one.prompt ?? one.name,
        default: one.default,
        private: one.private ?? true,
        confirm: one.confirm ?? false,
        place: map.place,
      }
    }),
  )
  return prompts.filter((one) => one !== undefined)
}

/** `3`, `"30%"` or a list of them. Throws UserError. */
function readSerial(node: YamlNode | undefined, resolveValue: (value: Value) => unknown): Play['serial'] {
  if (!node) return []
  return itemsOf(node).flatMap((item) => {
    const resolved = resolveValue(compileNode(item))
    return (Array.isArray(resolved) ? resolved : [resolved]).map((value) => {
      const [, digits, percent] = /^(\d+)(%?)$/.exec(String(value)) ?? []
      const size = Number(digits)
      if (size > 0 && (!percent || size <= 100)) return percent ? { percent: size } : size
      throw new UserError({
        message: `"serial" must be a number of hosts or a share such as "20%", not ${typeof value === 'string' ? `"${value}"` : describe(item)}`,
        place: item.place,
      })
    })
  })
}

function oneOf<T extends string>(
  value: string | undefined,
  all: readonly T[],
  map: YamlMap,
  key: string,
  { problems }: Loader,
): T | undefined {
  if (value === undefined) return undefined
  const found = all.find((one) => one === value)
  if (found === undefined) {
    const hint =
      key === 'strategy' && value === 'host_pinned'
        ? 'write free: hosts do not wait for each other'
        : didYouMean(value, all)
    problems.add(`"${key}" must be ${all.join(', ').replace(/, (\w+)$/, ' or $1')}`, map.get(key)!.place, hint)
  }
  return found
}
