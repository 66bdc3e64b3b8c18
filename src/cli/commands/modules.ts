import { loadModule, moduleNames } from '../../module/registry.ts'
import { didYouMean, UserError } from '../../shared/errors.ts'
import { EXIT } from '../exit.ts'
import { moduleReference } from '../module-reference.ts'

/** `runbook modules`: every module with its summary. */
export async function listModules(): Promise<number> {
  const names = await moduleNames()
  const cells = Math.max(...names.map((n) => n.length))
  for (const name of names) process.stdout.write(`${name.padEnd(cells)}  ${(await loadModule(name))!.summary}\n`)
  return EXIT.done
}

/** `runbook modules NAME`: its reference. */
export async function showModule(name: string): Promise<number> {
  const module = await loadModule(name)
  if (!module) {
    const hint = didYouMean(name, await moduleNames()) ?? '`runbook modules` lists them'
    throw new UserError({ message: `there is no module "${name}"`, hint })
  }
  process.stdout.write(moduleReference(name, module))
  return EXIT.done
}
