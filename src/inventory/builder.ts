/** Collects what the sources say about hosts and groups, then puts each host's variables in their order. */
import { Problems } from '../shared/errors.ts'
import type { Place } from '../shared/source.ts'
import type { Layer } from '../values/index.ts'
import type { Constructed } from './constructed.ts'
import { type Group, type Host, Inventory } from './inventory.ts'

/** What a source says about one thing: the variables of one layer, in one file. */
interface Member {
  readonly layers: Layer[]
  readonly place: Place | undefined
}

interface GroupDraft extends Member {
  readonly name: string
  readonly children: Set<string>
  readonly hosts: Set<string>
  priority: number
}

/** Variables from `group_vars` and `host_vars` folders: beside the inventories, then beside the playbooks. */
export interface VarsFolders {
  group(name: string): Promise<readonly Layer[]>
  host(name: string): Promise<readonly Layer[]>
}

/** What could steer a terminal, or make up lines of its own: C0, C1 and what turns the direction of writing. */
const CONTROL = /[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/

function visible(name: string): string {
  const all = new RegExp(CONTROL.source, 'g')
  return `"${name.replaceAll(all, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`
}

export class Builder {
  readonly problems = new Problems()
  readonly #groups = new Map<string, GroupDraft>()
  readonly #hosts = new Map<string, Member>()
  readonly #constructed: Constructed[] = []

  constructor() {
    this.group('all')
    this.group('ungrouped')
  }

  group(name: string, place?: Place): GroupDraft {
    let group = this.#groups.get(name)
    if (!group) {
      this.#checkName('group', name, place)
      group = { name, children: new Set(), hosts: new Set(), layers: [], place, priority: 1 }
      this.#groups.set(name, group)
    }
    return group
  }

  /** Names stand in every line of a report, and some come from programs that read them off the network. */
  #checkName(what: string, name: string, place: Place | undefined): void {
    if (CONTROL.test(name))
      this.problems.add(`the name of a ${what}, ${visible(name)}, holds control characters`, place)
  }

  child(parent: string, name: string, place?: Place): void {
    if (this.#reaches(name, parent)) {
      this.problems.add(`the group "${name}" cannot be a child of "${parent}": it is above it`, place)
      return
    }
    this.group(parent, place).children.add(name)
    this.group(name, place)
  }

  host(name: string, group: string, place?: Place): void {
    if (!this.#hosts.has(name)) {
      this.#checkName('host', name, place)
      this.#hosts.set(name, { layers: [], place })
    }
    this.group(group, place).hosts.add(name)
  }

  hostVars(name: string, layer: Layer): void {
    this.#hosts.get(name)?.layers.push(layer)
  }

  groupVars(name: string, layer: Layer): void {
    this.group(name).layers.push(layer)
  }

  /** `ansible_group_priority`: among groups of the same depth the higher one wins. */
  priority(name: string, priority: number): void {
    this.group(name).priority = priority
  }

  has(host: string): boolean {
    return this.#hosts.has(host)
  }

  /** Groups and variables that are worked out when all sources have been read, in their order. */
  construct(constructed: Constructed): void {
    this.#constructed.push(constructed)
  }

  /** `folders` holds the vars folders beside the inventories and beside the playbooks, in this order. */
  async build(folders: readonly VarsFolders[]): Promise<Inventory> {
    // Each sees what those before it have made of the hosts.
    for (const constructed of this.#constructed)
      for (const host of (await this.#assemble(folders)).hosts.values()) constructed.apply(this, host)
    return this.#assemble(folders)
  }

  async #assemble(folders: readonly VarsFolders[]): Promise<Inventory> {
    const parents = this.#parents()
    const depth = depths(this.#groups, parents)
    const order = [...this.#groups.keys()].sort(
      (a, b) => depth.get(a)! - depth.get(b)! || this.group(a).priority - this.group(b).priority || (a < b ? -1 : 1),
    )
    const rank = new Map(order.map((name, i) => [name, i]))
    const ancestors = ancestorsOf(this.#groups, parents)
    const own = this.#groupsOfHosts()
    const files = new Map<string, (readonly Layer[])[]>()
    for (const name of order) files.set(name, await this.#read(folders, (folder) => folder.group(name)))
    const hosts = new Map<string, Host>()
    for (const [name, { layers }] of this.#hosts) {
      const all = new Set((own.get(name) ?? []).flatMap((group) => [group, ...ancestors.get(group)!]))
      all.delete('all')
      if (all.size === 0) all.add('ungrouped')
      const groups = [...all].sort((a, b) => rank.get(a)! - rank.get(b)!)
      hosts.set(name, {
        name,
        groups: groups.toSorted(),
        layers: [
          ...this.#groupLayers(groups, files),
          ...layers,
          ...(await this.#read(folders, (folder) => folder.host(name))).flat(),
        ],
      })
    }
    this.problems.throwIfAny()
    return new Inventory(hosts, this.#finish(hosts), this.#localhost(files))
  }

  /** What each folder has; its problems are collected. */
  async #read(
    folders: readonly VarsFolders[],
    read: (folder: VarsFolders) => Promise<readonly Layer[]>,
  ): Promise<(readonly Layer[])[]> {
    const layers: (readonly Layer[])[] = []
    for (const folder of folders) layers.push((await this.problems.catchAsync(() => read(folder))) ?? [])
    return layers
  }

  /**
   * Ansible's order (VARIABLE_PRECEDENCE): `all` and then the groups from the inventories; then the files of `all`
   * beside the inventory and beside the playbook; then those of the groups.
   */
  #groupLayers(groups: readonly string[], files: ReadonlyMap<string, (readonly Layer[])[]>): Layer[] {
    const folders = files.get('all')!.map((_, i) => i)
    return [
      ...this.group('all').layers,
      ...groups.flatMap((group) => this.group(group).layers),
      ...folders.flatMap((i) => files.get('all')![i]!),
      ...folders.flatMap((i) => groups.flatMap((group) => files.get(group)![i]!)),
    ]
  }

  #localhost(files: ReadonlyMap<string, (readonly Layer[])[]>): Host {
    const local = { name: 'implicit localhost', vars: { ansible_connection: 'local' } }
    return { name: 'localhost', groups: [], layers: [...this.#groupLayers([], files), local] }
  }

  #finish(hosts: ReadonlyMap<string, Host>): Map<string, Group> {
    const members = new Map<string, string[]>([...this.#groups.keys()].map((name) => [name, []]))
    for (const { name, groups } of hosts.values())
      for (const group of ['all', ...groups]) members.get(group)!.push(name)
    return new Map(
      [...this.#groups.values()].map(({ name, children, place }) => [
        name,
        { name, children: [...children], hosts: members.get(name)!, place },
      ]),
    )
  }

  /** Groups above each group; what stands under no other stands under `all`. */
  #parents(): Map<string, string[]> {
    const parents = new Map<string, string[]>([...this.#groups.keys()].map((name) => [name, []]))
    for (const { name, children } of this.#groups.values()) for (const child of children) parents.get(child)!.push(name)
    for (const [name, above] of parents) {
      if (name === 'all' || above.length > 0) continue
      above.push('all')
      this.group('all').children.add(name)
    }
    return parents
  }

  #groupsOfHosts(): Map<string, string[]> {
    const own = new Map<string, string[]>()
    for (const { name, hosts } of this.#groups.values()) {
      for (const host of hosts) {
        const known = own.get(host)
        if (known) known.push(name)
        else own.set(host, [name])
      }
    }
    return own
  }

  #reaches(from: string, to: string, seen = new Set<string>()): boolean {
    if (from === to) return true
    if (seen.has(from)) return false
    seen.add(from)
    return [...(this.#groups.get(from)?.children ?? [])].some((child) => this.#reaches(child, to, seen))
  }
}

/** The longest way from `all`. */
function depths(
  groups: ReadonlyMap<string, unknown>,
  parents: ReadonlyMap<string, readonly string[]>,
): Map<string, number> {
  const known = new Map<string, number>([['all', 0]])
  const depthOf = (name: string): number => {
    const found = known.get(name)
    if (found !== undefined) return found
    const depth = 1 + Math.max(...parents.get(name)!.map(depthOf))
    known.set(name, depth)
    return depth
  }
  for (const name of groups.keys()) depthOf(name)
  return known
}

function ancestorsOf(
  groups: ReadonlyMap<string, unknown>,
  parents: ReadonlyMap<string, readonly string[]>,
): Map<string, Set<string>> {
  const known = new Map<string, Set<string>>()
  const above = (name: string): Set<string> => {
    const found = known.get(name)
    if (found) return found
    const made = new Set((parents.get(name) ?? []).flatMap((parent) => [parent, ...above(parent)]))
    known.set(name, made)
    return made
  }
  for (const name of groups.keys()) above(name)
  return known
}
