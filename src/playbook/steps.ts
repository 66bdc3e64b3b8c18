/** Lists of tasks: tasks, blocks, imports and includes. */
import { UserError } from '../shared/errors.ts'
import type { YamlMap, YamlNode } from '../shared/yaml.ts'
import type { Context } from './context.ts'
import { readInclude } from './include.ts'
import { inherit, layerName } from './inherit.ts'
import { addUnknown, readKeywords } from './keyword-reader.ts'
import { BLOCK, STEP_WORDS, type StepWord } from './keywords.ts'
import { describe, isNull } from './kinds.ts'
import { taskMap } from './module-call.ts'
import { readModuleDefaults } from './module-defaults.ts'
import type { Block, Handler, Step } from './playbook.ts'
import { readHandler, readTask } from './task.ts'

/** Reads a list of tasks; `id` is the list's. All problems go to the loader. */
export async function readSteps(node: YamlNode | undefined, context: Context, id: string): Promise<readonly Step[]> {
  const steps: Step[] = []
  for (const [i, item] of listOf(node, 'tasks', context).entries()) {
    const step = await context.loader.catch(() => readStep(taskMap(item, context.level), context, `${id}.${i}`))
    steps.push(...(step ?? []))
  }
  return steps
}

/** Reads a list of handlers; `import_tasks` is opened, blocks are not handlers. */
export async function readHandlers(
  node: YamlNode | undefined,
  outer: Context,
  id: string,
): Promise<readonly Handler[]> {
  const context: Context = { ...outer, level: 'handler' }
  const handlers: Handler[] = []
  for (const [i, item] of listOf(node, 'handlers', context).entries()) {
    const read = await context.loader.catch(async () => {
      const map = taskMap(item, 'handler')
      const word = stepWord(map)
      if (word === 'import_tasks') return (await readInclude(map, word, context, `${id}.${i}`)) as readonly Handler[]
      const wrong = word ?? ['block', 'rescue', 'always'].find((key) => map.entries.has(key))
      if (wrong !== undefined) {
        throw new UserError({
          message: `"${wrong}" cannot stand in a list of handlers`,
          place: map.entries.get(wrong)?.keyPlace ?? map.place,
          hint: 'give several handlers the same listen: topic',
        })
      }
      const handler = await readHandler(map, context, `${id}.${i}`)
      return handler ? [handler] : []
    })
    handlers.push(...(read ?? []))
  }
  return handlers
}

async function readStep(map: YamlMap, context: Context, id: string): Promise<readonly Step[]> {
  const word = stepWord(map)
  if (word) return readInclude(map, word, context, id)
  if (context.level === 'handler') {
    const handler = await readHandler(map, context, id)
    return handler ? [handler] : []
  }
  if (map.entries.has('block')) return [await readBlock(map, context, id)]
  for (const key of ['rescue', 'always']) {
    const entry = map.entries.get(key)
    if (entry) throw new UserError({ message: `"${key}" needs a "block" beside it`, place: entry.keyPlace })
  }
  const playbook = map.entries.get('import_playbook')
  if (playbook) {
    throw new UserError({
      message: '"import_playbook" cannot stand in a list of tasks',
      place: playbook.keyPlace,
      hint: 'it stands beside the plays; for tasks use import_tasks',
    })
  }
  const task = await readTask(map, context, id)
  return task ? [task] : []
}

async function readBlock(map: YamlMap, outer: Context, id: string): Promise<Block> {
  const { loader } = outer
  const { keywords, rest } = readKeywords(map, BLOCK, loader.problems)
  for (const entry of rest) addUnknown(entry, BLOCK, 'block', loader.problems)
  const defaults = await readModuleDefaults(keywords.module_defaults, loader)
  const context = {
    ...outer,
    inherited: inherit(outer.inherited, keywords, layerName('block vars', map.file), defaults),
  }
  return {
    kind: 'block',
    id,
    name: keywords.name,
    place: map.place,
    block: await readSteps(keywords.block, context, `${id}.block`),
    rescue: await readSteps(keywords.rescue, context, `${id}.rescue`),
    always: await readSteps(keywords.always, context, `${id}.always`),
  }
}

/** Which of the imports and includes a task is; Ansible's long names are understood. */
function stepWord(map: YamlMap): StepWord | undefined {
  for (const key of map.entries.keys()) {
    const short = key.replace(/^ansible\.(builtin|legacy)\./, '')
    const word = STEP_WORDS.find((one) => one === short)
    if (word) return word
  }
  return undefined
}

function listOf(node: YamlNode | undefined, what: string, { loader }: Context): readonly YamlNode[] {
  if (node === undefined || isNull(node)) return []
  if (node.kind === 'list') return node.items
  loader.problems.add(`${what} must be a list, not ${describe(node)}`, node.place, 'start each with "- "')
  return []
}
