/** YAML to typed playbooks. */
export { findHandlers } from './handlers.ts'
export { loadPlaybooks, playbookHash } from './load.ts'
export type { LoadOptions, ModuleSource } from './loader.ts'
export { writtenName } from './names.ts'
export * from './playbook.ts'
export { inventorySchema, playbookSchema } from './schema.ts'
export { checkTags, isSelected, selectedSteps, selectSteps, selectTags, type TagSelection } from './tags.ts'
export { parseArgs, validateArguments } from './validate-args.ts'
