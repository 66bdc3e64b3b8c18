import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Action } from './action.ts'
import type { Module } from './define.ts'

export type { Action } from './action.ts'
export type { Module } from './define.ts'

/** Modules stand in `modules/`, one file each; a file is loaded when a playbook first names it. */
const FOLDER = join(import.meta.dirname, '../../modules')
const EXTENSION = import.meta.filename.endsWith('.ts') ? '.ts' : '.js'

const loaded = new Map<string, Promise<Module | Action>>()
let names: readonly string[] | undefined

/** The names of all modules, sorted. */
export async function moduleNames(): Promise<readonly string[]> {
  names ??= readdirSync(FOLDER)
    .filter((f) => f.endsWith(EXTENSION) && !f.endsWith('.d.ts'))
    .map((f) => f.slice(0, -EXTENSION.length))
    .sort()
  return names
}

/** A module by name, undefined when there is none. `ansible.builtin.copy` means `copy`. */
export async function loadModule(name: string): Promise<Module | Action | undefined> {
  const short = name.replace(/^ansible\.(builtin|posix|legacy)\./, '').replace(/^community\.general\./, '')
  if (!(await moduleNames()).includes(short)) return undefined
  let module = loaded.get(short)
  if (!module) {
    module = import(join(FOLDER, short + EXTENSION)).then((m: { default: Module | Action }) => m.default)
    loaded.set(short, module)
  }
  return module
}
