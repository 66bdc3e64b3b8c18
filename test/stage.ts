import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '..')

/** Builds the package and lays it out as an installation has it, with the libraries at `modules`; gives the path of the program. */
export function stagePackage(folder: string, modules = join(ROOT, 'node_modules')): string {
  mkdirSync(folder, { recursive: true })
  execFileSync(process.execPath, [join(ROOT, 'build.ts'), folder], { stdio: 'inherit' })
  const { files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { files: string[] }
  for (const name of [...files, 'package.json'].filter((name) => name !== 'dist'))
    cpSync(join(ROOT, name), join(folder, name), { recursive: true, filter: (path) => !path.endsWith('.runbook') })
  symlinkSync(modules, join(folder, 'node_modules'))
  return join(folder, 'bin/runbook.js')
}
