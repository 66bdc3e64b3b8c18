import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '..')

/** Builds the package and lays it out as an installation has it; gives the path of the program. */
export function stagePackage(folder: string): string {
  mkdirSync(folder, { recursive: true })
  execFileSync(process.execPath, [join(ROOT, 'build.ts'), folder], { stdio: 'inherit' })
  for (const name of ['bin', 'playbooks', 'package.json'])
    cpSync(join(ROOT, name), join(folder, name), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  return join(folder, 'bin/runbook.js')
}
