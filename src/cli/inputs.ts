/** From options to inventories. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Inventory, loadInventory } from '../inventory/index.ts'
import { UserError } from '../shared/errors.ts'
import { decrypt } from './secrets.ts'

/** Looked for beside the playbook when no `-i` and no RUNBOOK_INVENTORY says otherwise. */
const DEFAULT_INVENTORIES = ['inventory.yml', 'inventory.yaml', 'inventory.ini', 'inventory', 'inventories', 'hosts']

/** The inventories of the command line, of RUNBOOK_INVENTORY, or the one beside the playbook. Throws UserError. */
export function openInventory(sources: readonly string[], playbooks: readonly string[]): Promise<Inventory> {
  const playbookFolders = playbooks.map((path) => dirname(path))
  return loadInventory(inventorySources(sources, playbooks), {
    playbookFolders,
    decrypt,
  })
}

/** What `openInventory` opens. Throws UserError when there is none. */
export function inventorySources(sources: readonly string[], playbooks: readonly string[]): readonly string[] {
  return sources.length > 0 ? sources : [defaultInventory(playbooks[0] === undefined ? '.' : dirname(playbooks[0]))]
}

function defaultInventory(folder: string): string {
  const fromEnvironment = process.env.RUNBOOK_INVENTORY
  if (fromEnvironment) return fromEnvironment
  const found = [folder, '.']
    .flatMap((at) => DEFAULT_INVENTORIES.map((name) => join(at, name)))
    .find((p) => existsSync(p))
  if (found === undefined) {
    throw new UserError({
      message: 'there is no inventory',
      hint: `give one with -i, in RUNBOOK_INVENTORY, or as ${DEFAULT_INVENTORIES[0]} beside the playbook; -i 'host1,host2,' names hosts`,
    })
  }
  return found
}
