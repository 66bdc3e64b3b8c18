/** From maintenance.yml to windows whose hosts and playbooks are known to be there. */

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import type { Decrypt, Inventory } from '../../inventory/index.ts'
import { loadPlaybooks, playbookHash } from '../../playbook/index.ts'
import { didYouMean, type Problem, UserError } from '../../shared/errors.ts'
import { readYaml } from '../../shared/yaml.ts'
import { requestOf } from './notify.ts'
import { type Bad, readSchedule, type Schedule } from './schema.ts'
import type { State } from './state.ts'
import type { Window } from './window.ts'

/** What the command line knows how to open. */
export interface Sources {
  readonly inventory: () => Promise<Inventory>
  readonly decrypt: Decrypt
}

/** Reads and checks. Throws UserError when nothing of the file can be used; a window that is wrong is among `bad`. */
export async function loadSchedule(path: string, sources: Sources, now: number): Promise<Schedule> {
  mustExist(path)
  const { windows, channels, bad } = readSchedule(readYaml(path), now)
  const all: Bad[] = [...bad]
  const good: Window[] = []
  let noInventory: readonly Problem[] | undefined
  const inventory = await sources.inventory().catch((error: unknown) => {
    if (!(error instanceof UserError)) throw error
    noInventory = error.problems
    all.push({ name: 'inventory', problems: error.problems })
    return undefined
  })
  for (const window of windows) {
    const problems = inventory ? await problemsOf(window, inventory, sources) : []
    if (problems.length > 0) all.push({ name: window.name, problems })
    else if (inventory) good.push(window)
  }
  for (const channel of channels.values()) {
    if (channel.command) continue
    try {
      requestOf(channel, { at: now, kind: 'opened', text: 'test' })
    } catch (error) {
      const message = `notify.${channel.name}: ${(error as Error).message.split('\n')[0]}`
      all.push({ name: channel.name, problems: error instanceof UserError ? error.problems : [{ message }] })
    }
  }
  return { windows: good, channels, bad: all, noInventory }
}

/** Throws UserError with the words for somebody who begins. */
export function mustExist(path: string): void {
  if (existsSync(path)) return
  throw new UserError({
    message: `there is no ${path}`,
    hint: 'windows stand in maintenance.yml beside the inventory (-c FILE for another one); docs/windows.md begins with an example',
  })
}

async function problemsOf(window: Window, inventory: Inventory, { decrypt }: Sources): Promise<Problem[]> {
  const found: Problem[] = []
  const collect = (error: unknown): void => {
    if (!(error instanceof UserError)) throw error
    found.push(...error.problems)
  }
  try {
    if (inventory.match(window.hosts, window.places.hosts).length === 0) {
      const hint = didYouMean(window.hosts, [...inventory.groups.keys(), ...inventory.hosts.keys()])
      found.push({ message: `no host matches "${window.hosts}"`, place: window.places.hosts, hint })
    }
  } catch (error) {
    collect(error)
  }
  for (const [path, place] of [
    [window.playbook, window.places.playbook],
    [window.rollback, window.places.rollback],
  ] as const) {
    if (path === undefined) continue
    if (!existsSync(path))
      found.push({ message: `there is no playbook ${path}`, place, hint: 'paths begin beside maintenance.yml' })
    else await loadPlaybooks([path], { extraVars: varsOf(window), decrypt }).catch(collect)
  }
  return found
}

export interface Resolved {
  /** In the order of their turns: first those that never were through, then those that were longest ago. */
  readonly hosts: readonly string[]
  /** Of the playbook as read and the window's own words. */
  readonly plan: string
}

/** The hosts and the plan as they are now. Throws UserError. */
export async function resolveWindow(window: Window, state: State, { inventory, decrypt }: Sources): Promise<Resolved> {
  const extraVars = varsOf(window)
  const [open, playbooks] = await Promise.all([inventory(), loadPlaybooks([window.playbook], { extraVars, decrypt })])
  const last = state.lastDone(window.name)
  const hosts = open
    .match(window.hosts, window.places.hosts)
    .map(({ name }) => name)
    .sort((a, b) => (last.get(a) ?? 0) - (last.get(b) ?? 0))
  const plan = createHash('sha256')
    .update(`${playbookHash(playbooks)} ${window.hosts} ${JSON.stringify(window.vars)}`)
    .digest('hex')
  return { hosts, plan }
}

/** As node-run.ts gives them, with all hosts in the place of one. */
function varsOf({ name, hosts, cycle, vars }: Window): Map<string, unknown> {
  return new Map(Object.entries({ nodes: hosts, ...(cycle ? {} : { runbook_window: name }), ...vars }))
}
