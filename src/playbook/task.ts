/** One task or handler. */
import type { YamlMap, YamlNode } from '../shared/yaml.ts'
import { constant, type Value } from '../values/index.ts'
import { compileArguments } from './cel-arguments.ts'
import { type Context, searchPath } from './context.ts'
import { inherit, layerName } from './inherit.ts'
import { readKeywords, readOnlyKeywords } from './keyword-reader.ts'
import { HANDLER, LOOP_CONTROL, type Parsed, TASK } from './keywords.ts'
import { resolveNow } from './loader.ts'
import { type ModuleCall, readModuleCall } from './module-call.ts'
import { readModuleDefaults } from './module-defaults.ts'
import type { Detach, Handler, Loop, Task } from './playbook.ts'
import { checkStatic } from './validate-args.ts'

/** Reads a task; problems go to the loader, and undefined comes back when it has any that leave nothing to work with. */
export async function readTask(map: YamlMap, context: Context, id: string): Promise<Task | undefined> {
  const { loader, level } = context
  const { keywords, rest } = readKeywords(map, level === 'handler' ? HANDLER : TASK, loader.problems)
  const call = await readModuleCall(map, rest, keywords.args, level, loader)
  const defaults = await readModuleDefaults(keywords.module_defaults, loader)
  const loop = readLoop(keywords, map, context)
  checkTogether(keywords, map, context)
  if (!call) return undefined
  const inherited = inherit(context.inherited, keywords, layerName('task vars', map.file), defaults)
  const own = inherited.moduleDefaults.flatMap((one) => one.get(call.name) ?? [])
  const args = loader.problems.catch(() => compileArguments(call.module.args, call.args))
  const checked = checkStatic(
    { moduleName: call.name, schema: call.module.args, node: call.args, place: call.entry.keyPlace },
    own.map(({ node }) => node),
  )
  loader.problems.list.push(...checked.problems)
  if (!args) return undefined
  const task: Task = {
    kind: 'task',
    id,
    name: keywords.name ?? constant(call.name),
    place: map.place,
    moduleName: call.name,
    module: call.module,
    args,
    argsNode: call.args,
    argsPlace: call.entry.keyPlace,
    parsedArgs: checked.parsed,
    defaults: own.map(({ value }) => value),
    ...inheritedMembers(context, inherited),
    loop,
    register: keywords.register,
    changedWhen: keywords.changed_when ?? [],
    failedWhen: keywords.failed_when ?? [],
    until: keywords.until ?? [],
    retries: keywords.retries,
    delay: keywords.delay,
    detach: readDetach(keywords, map, call.name, context),
    delegateTo: delegateTo(call, inherited.delegateTo),
  }
  context.tasks.push([task, context.role])
  return task
}

/** A handler: a task with topics. */
export async function readHandler(map: YamlMap, context: Context, id: string): Promise<Handler | undefined> {
  const task = await readTask(map, context, id)
  if (!task) return undefined
  const listen = map.get('listen')
  const topics =
    listen === undefined
      ? []
      : (readKeywords(map, { listen: HANDLER.listen }, context.loader.fork().problems).keywords.listen ?? [])
  // The same object, so that what is written onto the task later is on the handler.
  return Object.assign(task, { listen: topics }) as Handler
}

/** The members of a task that come from around it. */
export function inheritedMembers(context: Context, inherited: Context['inherited']) {
  const { loader, play, role } = context
  const { anyErrorsFatal, moduleDefaults: _, ...members } = inherited
  const fatal =
    anyErrorsFatal && loader.problems.catch(() => resolveNow(anyErrorsFatal, 'any_errors_fatal', play.scope))
  return {
    ...members,
    anyErrorsFatal: fatal === true,
    defaultVars: [],
    role: role?.name,
    searchPath: searchPath(context),
  }
}

function delegateTo({ local, entry }: ModuleCall, inherited: Value | undefined): Value | undefined {
  return local ? constant('localhost', { place: entry.keyPlace }) : inherited
}

/** `loop` with its `loop_control`. */
export function readLoop(
  keywords: { loop?: Value | undefined; loop_control?: YamlMap | undefined },
  map: YamlMap,
  { loader }: Context,
): Loop | undefined {
  const control: Parsed<typeof LOOP_CONTROL> = keywords.loop_control
    ? readOnlyKeywords(keywords.loop_control, LOOP_CONTROL, 'loop_control', loader.problems)
    : {}
  if (!map.entries.has('loop')) {
    if (keywords.loop_control)
      loader.problems.add('loop_control without a loop', map.entries.get('loop_control')!.keyPlace)
    return undefined
  }
  if (!keywords.loop) return undefined
  return {
    items: keywords.loop,
    loopVar: control.loop_var ?? 'item',
    indexVar: control.index_var,
    label: control.label,
    pause: control.pause,
    extended: control.extended ?? false,
    breakWhen: control.break_when ?? [],
  }
}

/** Modules whose one change is a command. */
const DETACHABLE = ['command', 'shell', 'script']

function readDetach(
  { detach, async: limit, poll }: Parsed<typeof TASK>,
  map: YamlMap,
  module: string,
  { loader }: Context,
): Detach | undefined {
  const key = (['detach', 'async'] as const).find((one) => map.entries.has(one))
  if (!key) {
    if (poll)
      loader.problems.add('"poll" needs "detach" or "async"', map.entries.get('poll')!.keyPlace, 'e.g. detach: true')
    return undefined
  }
  const at = map.entries.get(key)!.keyPlace
  if (detach === false && !limit) return undefined
  if (!DETACHABLE.includes(module)) loader.problems.add(`"${key}" needs a command, shell or script task`, at)
  for (const word of ['until', 'retries'])
    if (map.entries.has(word))
      loader.problems.add(`"${word}" cannot stand beside "${key}"`, map.entries.get(word)!.keyPlace)
  return { limit, poll }
}

/** Keywords that mean nothing, or something else than was meant, in this company. */
function checkTogether(keywords: Parsed<typeof TASK>, map: YamlMap, { loader }: Context): void {
  const at = (key: string): YamlNode['place'] => map.entries.get(key)!.keyPlace
  for (const key of ['retries', 'delay'] as const) {
    if (keywords[key] && !keywords.until && !map.entries.has('until')) {
      loader.problems.add(`"${key}" needs "until"`, at(key), 'e.g. until: result.rc == 0 with register: result')
    }
  }
  if (keywords.delegate_facts && !keywords.delegate_to) {
    loader.problems.add('"delegate_facts" needs "delegate_to"', at('delegate_facts'))
  }
}
