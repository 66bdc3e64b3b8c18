import type { Action } from './action.ts'
import type { Module } from './define.ts'
import { MODULE_FILES } from './folder.ts'

export type { Action } from './action.ts'
export type { Module } from './define.ts'

const loaded = new Map<string, Promise<Module | Action>>()

/** The names of all modules, sorted. */
export async function moduleNames(): Promise<readonly string[]> {
  return Object.keys(MODULE_FILES).sort()
}

/** A module by name, undefined when there is none; loaded when a playbook first names it. `ansible.builtin.copy` means `copy`. */
export async function loadModule(name: string): Promise<Module | Action | undefined> {
  const short = name.replace(/^ansible\.(builtin|posix|legacy)\./, '').replace(/^community\.general\./, '')
  if (!Object.hasOwn(MODULE_FILES, short)) return undefined
  let module = loaded.get(short)
  if (!module) {
    module = MODULE_FILES[short]!().then((file) => file.default)
    loaded.set(short, module)
  }
  return module
}
