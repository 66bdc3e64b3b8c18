import type { Host, Inventory } from '../inventory/index.ts'
import { checkTags, type Play, type Playbook, selectTags, startAt, type TagSelection } from '../playbook/index.ts'
import { UserError } from '../shared/errors.ts'
import { makeScope, type Vars } from '../values/index.ts'

/** What of playbooks is to be done, and on which hosts. */
export interface Selection {
  readonly playbooks: readonly Playbook[]
  readonly inventory: Inventory
  /** `--limit`: a host pattern. */
  readonly limit?: string | undefined
  /** Names of hosts, and only they: what `--retry-failed` found. */
  readonly only?: ReadonlySet<string> | undefined
  readonly tags: TagSelection
  /** `--start-at-task`: the name, or a pattern of it, of the first task that is done. */
  readonly startAt?: string | undefined
  readonly extraVars: Vars
}

/**
 * The plays with only what is selected of them, each with its hosts in the order of the inventory. Throws UserError for a
 * pattern, a tag or a task that names what is not there.
 */
export function planPlays(input: Selection): { play: Play; hosts: Host[] }[] {
  const { playbooks, inventory, limit, tags, extraVars } = input
  const allowed = limit === undefined ? undefined : new Set(inventory.match(limit))
  if (allowed?.size === 0) throw new UserError(`--limit ${limit} matches no host`)
  const scope = makeScope([{ name: 'command line', vars: extraVars }])
  const plays = playbooks.flatMap((playbook) => playbook.plays)
  checkTags(plays, tags)
  const selected = plays.map((play) => selectTags(play, tags))
  return (input.startAt === undefined ? selected : startAt(selected, input.startAt, tags)).map((play) => {
    const pattern = [play.hosts.evaluate(scope)].flat().map(String).join(',')
    const hosts = inventory.match(pattern, play.hosts.place ?? play.place)
    return { play, hosts: hosts.filter((h) => allowed?.has(h) !== false && input.only?.has(h.name) !== false) }
  })
}
