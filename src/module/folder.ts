import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Action } from './action.ts'
import type { Module } from './define.ts'

/** What loads a module's file, by the module's name. */
export type ModuleFiles = Readonly<Record<string, () => Promise<{ readonly default: Module | Action }>>>

const FOLDER = join(import.meta.dirname, '../../modules')

/** Modules stand in `modules/`, one file each. In the package build.ts puts a table of them in the place of this file. */
export const MODULE_FILES: ModuleFiles = Object.fromEntries(
  readdirSync(FOLDER)
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .map((file) => [file.slice(0, -'.ts'.length), () => import(join(FOLDER, file))]),
)
