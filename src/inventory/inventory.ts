/** Hosts and groups with their variables, as inventories, `group_vars` and `host_vars` say. */
import type { Place } from '../shared/source.ts'
import type { Layer } from '../values/index.ts'
import { matchHosts } from './patterns.ts'

export interface Host {
  readonly name: string
  /** All its groups, those above them too, without `all`; sorted. What `group_names` is. */
  readonly groups: readonly string[]
  /** Its variables, lowest precedence first. Layers of groups are shared by their hosts. */
  readonly layers: readonly Layer[]
}

export interface Group {
  readonly name: string
  /** The names of its hosts and of those of the groups below it, in the order of the inventory. */
  readonly hosts: readonly string[]
  /** Directly below it. */
  readonly children: readonly string[]
  /** Where it is defined first. */
  readonly place?: Place | undefined
}

export class Inventory {
  /** In the order in which the sources name them first. An implicit `localhost` is not among them. */
  readonly hosts: ReadonlyMap<string, Host>
  /** Every group, `all` and `ungrouped` too. */
  readonly groups: ReadonlyMap<string, Group>
  readonly #localhost: Host

  constructor(hosts: ReadonlyMap<string, Host>, groups: ReadonlyMap<string, Group>, localhost: Host) {
    this.hosts = hosts
    this.groups = groups
    this.#localhost = localhost
  }

  /**
   * The hosts of a pattern (`web:&prod:!web3`, `web*`, `~re`, `web[0:2]`, `@file`), in the order of the inventory.
   * `localhost` is always there. Throws UserError for a name that is neither a host nor a group.
   */
  match(pattern: string, place?: Place): Host[] {
    const names = matchHosts(pattern, this, place)
    const found = [...this.hosts.values()].filter(({ name }) => names.has(name))
    for (const name of names) if (!this.hosts.has(name)) found.push({ ...this.#localhost, name })
    return found
  }
}
