/** JSON Schema (draft 2020-12) of playbooks and inventories, for editors: made from the keyword tables and the modules. */
import { argumentsSchema } from './argument-names.ts'
import {
  BLOCK,
  HANDLER,
  IMPORT,
  INCLUDE,
  LOOP_CONTROL,
  PLAY,
  ROLE,
  ROLE_ARGS,
  TASK,
  TASKS_ARGS,
  type Table,
  VARS_PROMPT,
} from './keywords.ts'
import { IDENTIFIER, type JsonSchema, kinds } from './kinds.ts'
import type { ModuleSource } from './loader.ts'

const DRAFT = 'https://json-schema.org/draft/2020-12/schema'
const ref = (name: string): JsonSchema => ({ $ref: `#/$defs/${name}` })
const listOf = (name: string): JsonSchema => ({ type: ['array', 'null'], items: ref(name) })

/** Any string that holds a template may stand where another type is wanted. */
const TEMPLATE: JsonSchema = { type: 'string', pattern: '\\{\\{' }

/** Keywords whose value has a schema of its own. */
const STRUCTURED: Readonly<Record<string, JsonSchema>> = {
  pre_tasks: listOf('step'),
  tasks: listOf('step'),
  post_tasks: listOf('step'),
  block: listOf('step'),
  rescue: listOf('step'),
  always: listOf('step'),
  handlers: listOf('handler'),
  roles: listOf('role'),
  vars_prompt: listOf('vars_prompt'),
  loop_control: ref('loop_control'),
  module_defaults: { type: 'object', additionalProperties: { type: 'object' } },
  apply: ref('inherited'),
  serial: { anyOf: [ref('serial'), { type: 'array', items: ref('serial') }] },
  order: { enum: ['inventory', 'reverse_inventory', 'sorted', 'reverse_sorted', 'shuffle'] },
  strategy: { enum: ['free', 'linear'] },
}

/** The schema of a playbook with the arguments of every module. */
export async function playbookSchema(modules: ModuleSource): Promise<JsonSchema> {
  const calls: Record<string, JsonSchema> = {}
  for (const name of await modules.moduleNames()) {
    const module = (await modules.loadModule(name))!
    const args = withTemplates(argumentsSchema(module.args))
    const forms = [
      args,
      { type: 'null' },
      ...(module.freeForm === undefined ? [TEMPLATE] : [{ type: ['string', 'number', 'boolean'] }]),
    ]
    calls[name] = { description: module.summary, anyOf: forms }
  }
  const action = { action: {}, local_action: {} }
  // Long names (ansible.builtin.copy) are left to the parser.
  const longNames = { '^[a-z0-9_]+\\.[a-z0-9_]+\\.[a-z0-9_]+$': {} }
  const task = { ...objectOf(TASK, { ...calls, ...action }), patternProperties: longNames }
  return {
    $schema: DRAFT,
    title: 'runbook playbook',
    type: 'array',
    items: choose({ import_playbook: 'import_playbook' }, 'play'),
    $defs: {
      play: { ...objectOf(PLAY), required: ['hosts'] },
      import_playbook: objectOf(
        { name: IMPORT.name, vars: IMPORT.vars, tags: IMPORT.tags, when: IMPORT.when },
        { import_playbook: { type: 'string' } },
      ),
      step: choose(
        {
          block: 'block',
          import_tasks: 'import',
          import_role: 'import',
          include_tasks: 'include',
          include_role: 'include',
        },
        'task',
      ),
      block: { ...objectOf(BLOCK), required: ['block'] },
      task,
      handler: choose({ import_tasks: 'import' }, 'handler_task'),
      handler_task: { ...objectOf(HANDLER, { ...calls, ...action }), patternProperties: longNames },
      import: objectOf(IMPORT, { import_tasks: ref('tasks_file'), import_role: ref('role_call') }),
      include: objectOf(INCLUDE, { include_tasks: ref('tasks_file'), include_role: ref('role_call') }),
      tasks_file: { anyOf: [{ type: 'string' }, { ...objectOf(TASKS_ARGS), required: ['file'] }] },
      role_call: {
        ...objectOf(ROLE_ARGS, { public: {}, allow_duplicates: {}, rolespec_validate: {} }),
        required: ['name'],
      },
      role: { anyOf: [{ type: 'string' }, objectOf(ROLE)] },
      inherited: objectOf(IMPORT),
      loop_control: objectOf(LOOP_CONTROL),
      vars_prompt: { ...objectOf(VARS_PROMPT), required: ['name'] },
      serial: {
        anyOf: [
          { type: 'integer', minimum: 1 },
          { type: 'string', pattern: '^\\d+%?$|\\{\\{' },
        ],
      },
    },
  }
}

/** The schema of an inventory in YAML. */
export function inventorySchema(): JsonSchema {
  const vars = { description: 'variables', type: ['object', 'null'], propertyNames: { pattern: IDENTIFIER.source } }
  return {
    $schema: DRAFT,
    title: 'runbook inventory',
    type: 'object',
    additionalProperties: ref('group'),
    $defs: {
      group: {
        type: ['object', 'null'],
        additionalProperties: false,
        properties: {
          hosts: {
            description: 'hosts and their variables; names may hold ranges: web[01:20]',
            type: ['object', 'null'],
            additionalProperties: vars,
          },
          vars,
          children: {
            description: 'groups in this group',
            type: ['object', 'null'],
            additionalProperties: ref('group'),
          },
        },
      },
    },
  }
}

function objectOf(table: Table, more: Readonly<Record<string, JsonSchema>> = {}): JsonSchema {
  const words = Object.entries(table).map(([key, { kind, doc }]) => [
    key,
    { description: doc, ...(STRUCTURED[key] ?? kinds[kind].schema) },
  ])
  return { type: 'object', properties: { ...Object.fromEntries(words), ...more }, additionalProperties: false }
}

/** The schema that a key asks for; so that an editor's message is about the one that was meant. */
function choose(by: Readonly<Record<string, string>>, otherwise: string): JsonSchema {
  return Object.entries(by).reduceRight<JsonSchema>(
    // biome-ignore lint/suspicious/noThenProperty: a word of JSON Schema, and nothing awaits it
    (rest, [key, name]) => ({ if: { type: 'object', required: [key] }, then: ref(name), else: rest }),
    ref(otherwise),
  )
}

/** A schema of arguments in which every part may come from a template. */
function withTemplates(schema: JsonSchema): JsonSchema {
  const made: JsonSchema = { ...schema }
  for (const key of ['anyOf', 'oneOf', 'allOf']) {
    if (Array.isArray(made[key])) made[key] = (made[key] as JsonSchema[]).map(withTemplates)
  }
  if (isSchema(made.items)) made.items = orTemplate(made.items)
  if (isSchema(made.additionalProperties)) made.additionalProperties = orTemplate(made.additionalProperties)
  if (isSchema(made.properties)) {
    made.properties = Object.fromEntries(
      Object.entries(made.properties as Record<string, JsonSchema>).map(([key, one]) => [key, orTemplate(one)]),
    )
  }
  return made
}

function orTemplate(schema: JsonSchema): JsonSchema {
  const { description, default: fallback, ...rest } = withTemplates(schema)
  const about = {
    ...(description === undefined ? {} : { description }),
    ...(fallback === undefined ? {} : { default: fallback }),
  }
  const free =
    rest.type === 'string' &&
    rest.pattern === undefined &&
    rest.format === undefined &&
    rest.enum === undefined &&
    rest.allOf === undefined
  return free || Object.keys(rest).length === 0 ? { ...about, ...rest } : { ...about, anyOf: [rest, TEMPLATE] }
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
