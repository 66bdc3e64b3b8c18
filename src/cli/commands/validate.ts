import { loadPlaybooks, tasksOf } from '../../playbook/index.ts'
import { UserError } from '../../shared/errors.ts'
import { makeScope } from '../../values/index.ts'
import { EXIT } from '../exit.ts'
import { readExtraVars } from '../extra-vars.ts'
import { openInventory } from '../inputs.ts'
import { decrypt } from '../secrets.ts'

/** `runbook validate PLAYBOOK…`: everything that can be known without a host; with `-i`, the hosts of the plays too. */
export async function validate(
  paths: readonly string[],
  { inventory: sources, extraVars: options }: { inventory: readonly string[]; extraVars: readonly string[] },
): Promise<number> {
  const extraVars = await readExtraVars(options)
  const playbooks = await loadPlaybooks(paths, { extraVars, decrypt })
  const inventory = sources.length > 0 ? await openInventory(sources, paths) : undefined
  const scope = makeScope([{ name: 'command line', vars: extraVars }])
  for (const { file, plays } of playbooks) {
    for (const { hosts, place } of inventory ? plays : []) {
      const pattern = [hosts.evaluate(scope)].flat().map(String).join(',')
      if (inventory!.match(pattern, hosts.place ?? place).length === 0)
        throw new UserError({ message: `the pattern "${pattern}" matches no host`, place: hosts.place ?? place })
    }
    const tasks = plays.flatMap((p) => p.sections).reduce((n, s) => n + [...tasksOf(s.steps)].length, 0)
    process.stdout.write(`${file.path}: valid; plays: ${plays.length}, tasks: ${tasks}\n`)
  }
  return EXIT.done
}
