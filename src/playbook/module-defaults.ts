/** `module_defaults`: arguments that tasks get when they do not give them themselves. */
import { didYouMean } from '../shared/errors.ts'
import type { YamlMap } from '../shared/yaml.ts'
import { compileNode, type Value } from '../values/index.ts'
import { argumentNames } from './argument-names.ts'
import { isTemplate } from './kinds.ts'
import type { Loader } from './loader.ts'

/** By the module's short name. */
export type ModuleDefaults = ReadonlyMap<string, { readonly value: Value; readonly node: YamlMap }>

/** Reads the map module: {argument: value}; problems go to the loader. */
export async function readModuleDefaults(
  map: YamlMap | undefined,
  loader: Loader,
): Promise<ModuleDefaults | undefined> {
  if (!map) return undefined
  const defaults = new Map<string, { value: Value; node: YamlMap }>()
  for (const { key, keyPlace, value } of map.entries.values()) {
    const found = await loader.module(key)
    if (!found) {
      const hint = key.startsWith('group/')
        ? 'name the modules one by one'
        : didYouMean(key, await loader.moduleNames())
      loader.problems.add(`unknown module "${key}" in module_defaults`, keyPlace, hint)
    } else if (value.kind !== 'map') {
      const what = isTemplate(value) ? 'a template of the whole map cannot stand here' : 'arguments must be a map'
      loader.problems.add(`${what}: ${key}: {argument: value}`, value.place)
    } else {
      const known = argumentNames(found.module.args)
      for (const entry of value.entries.values()) {
        if (known.length === 0 || known.includes(entry.key)) continue
        loader.problems.add(`${key} has no argument "${entry.key}"`, entry.keyPlace, didYouMean(entry.key, known))
      }
      const made = loader.problems.catch(() => compileNode(value))
      if (made) defaults.set(found.name, { value: made, node: value })
    }
  }
  return defaults
}
