/** From options to inventories. */
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { type Inventory, loadInventory } from '../inventory/index.ts'
import { MAINTENANCE_FILE } from '../maintenance/config.ts'
import { UserError } from '../shared/errors.ts'
import { refusePlanted } from '../shared/planted.ts'
import { SHIPPED_PLAYBOOKS } from '../shared/shipped.ts'
import { decrypt } from './secrets.ts'

/** Looked for beside the playbook when no `-i` and no RUNBOOK_INVENTORY says otherwise. */
const DEFAULT_INVENTORIES = ['inventory.yml', 'inventory.yaml', 'inventory.ini', 'inventory', 'inventories', 'hosts']

/** The inventories of the command line, of RUNBOOK_INVENTORY, or the one beside the playbook. Throws UserError. */
export function openInventory(sources: readonly string[], playbooks: readonly string[]): Promise<Inventory> {
  const playbookFolders = playbooks.map((path) => dirname(path))
  return loadInventory(inventorySources(sources, playbooks), { playbookFolders, decrypt })
}

/** Which inventories these are: those of the command line, or the one that is found. Throws UserError. */
export function inventorySources(sources: readonly string[], playbooks: readonly string[]): readonly string[] {
  return sources.length > 0 ? sources : [defaultInventory(dirname(playbooks[0] ?? '.'))]
}

/**
 * Where `.runbook/` of a run stands: beside the playbook. Those that are shipped stand in the installed package, which is one
 * for all sites and may not be written to: theirs is the current folder.
 */
export function stateFolder(playbooks: readonly string[]): string {
  const folder = dirname(playbooks[0]!)
  return resolve(folder) === resolve(SHIPPED_PLAYBOOKS) ? '.' : folder
}

/**
 * Where `.runbook/` of node cycles stands: with maintenance.yml, which is here or beside the inventory; without one, here.
 * Then the same memory is found from wherever the command is given.
 */
export function siteFolder(sources: readonly string[]): string {
  if (existsSync(MAINTENANCE_FILE)) return '.'
  const beside = (sources.length > 0 ? sources : [findInventory('.') ?? '.'])
    .filter((source) => !source.includes(','))
    .map((source) => dirname(source))
  return beside.find((folder) => existsSync(join(folder, MAINTENANCE_FILE))) ?? '.'
}

function findInventory(folder: string): string | undefined {
  if (process.env.RUNBOOK_INVENTORY) return process.env.RUNBOOK_INVENTORY
  const all = [folder, '.'].flatMap((at) => DEFAULT_INVENTORIES.map((name) => join(at, name)))
  const found = all.find((path) => existsSync(path))
  // An executable one is run.
  if (found !== undefined) refusePlanted(found, 'name the inventory with -i')
  return found
}

function defaultInventory(folder: string): string {
  const found = findInventory(folder)
  if (found === undefined) {
    throw new UserError({
      message: 'there is no inventory',
      hint: `give one with -i, in RUNBOOK_INVENTORY, or as ${DEFAULT_INVENTORIES[0]} beside the playbook; -i 'host1,host2,' names hosts`,
    })
  }
  return found
}
