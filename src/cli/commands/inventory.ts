import { stringify } from 'yaml'
import { explain, type Host, type Inventory } from '../../inventory/index.ts'
import { didYouMean, UserError } from '../../shared/errors.ts'
import { formatPlace } from '../../shared/source.ts'
import { isValue, type Layer, makeScope, type Scope } from '../../values/index.ts'
import { EXIT } from '../exit.ts'
import { readExtraVars } from '../extra-vars.ts'
import { openInventory } from '../inputs.ts'
import { redactor } from '../secrets.ts'

export interface InventoryFlags {
  readonly inventory: readonly string[]
  readonly extraVars: readonly string[]
  readonly json: boolean
  readonly explain?: string
}

const write = (text: string): void => {
  process.stdout.write(redactor.redact(text))
}

/** `runbook inventory list [PATTERN]`: host names, or Ansible's `--list` JSON, which any tool for dynamic inventories reads. */
export async function listHosts(pattern: string, flags: InventoryFlags): Promise<number> {
  const inventory = await openInventory(flags.inventory, [])
  const hosts = inventory.match(pattern)
  if (!flags.json) {
    write(hosts.map((h) => `${h.name}\n`).join(''))
    return EXIT.done
  }
  const extraVars = await readExtraVars(flags.extraVars)
  const names = new Set(hosts.map((h) => h.name))
  const groups = [...inventory.groups.values()].map((g) => [
    g.name,
    { hosts: g.hosts.filter((h) => names.has(h)), children: g.children },
  ])
  const hostvars = Object.fromEntries(hosts.map((h) => [h.name, variablesOf(h, scopeOf(h, inventory, extraVars))]))
  write(`${JSON.stringify({ _meta: { hostvars }, ...Object.fromEntries(groups) }, undefined, 2)}\n`)
  return EXIT.done
}

/** `runbook inventory graph [GROUP]`. */
export async function graphGroups(root: string, flags: InventoryFlags): Promise<number> {
  const { groups } = await openInventory(flags.inventory, [])
  if (!groups.has(root)) throw new UserError(`there is no group "${root}" in the inventory`)
  const below = (name: string): Set<string> =>
    new Set(groups.get(name)!.children.flatMap((c) => [...groups.get(c)!.hosts]))
  const draw = (name: string, depth: number): void => {
    write(`${'  '.repeat(depth)}@${name}\n`)
    const group = groups.get(name)!
    for (const child of group.children) draw(child, depth + 1)
    const shown = below(name)
    for (const host of group.hosts) if (!shown.has(host)) write(`${'  '.repeat(depth + 1)}${host}\n`)
  }
  draw(root, 0)
  return EXIT.done
}

/** `runbook inventory host NAME`: its groups, its variables, and with each where it comes from and what it overrode. */
export async function showHost(name: string, flags: InventoryFlags): Promise<number> {
  const inventory = await openInventory(flags.inventory, [])
  const [host, ...others] = inventory.match(name)
  if (!host || others.length > 0)
    throw new UserError(`"${name}" means ${others.length + (host ? 1 : 0)} hosts; give the name of one`)
  const extraVars = await readExtraVars(flags.extraVars)
  if (flags.explain !== undefined) return explainVariable(host, flags.explain, inventory, extraVars, flags.json)
  const scope = scopeOf(host, inventory, extraVars)
  const variables = variablesOf(host, scope)
  if (flags.json) {
    write(`${JSON.stringify({ name: host.name, groups: host.groups, variables }, undefined, 2)}\n`)
    return EXIT.done
  }
  write(`# ${host.name}; groups: ${host.groups.join(', ') || 'none'}\n`)
  for (const [key, value] of Object.entries(variables)) {
    const [winner, ...overridden] = explain(host.layers, key)
    const from = (o: typeof winner): string => (o?.place ? formatPlace(o.place) : (o?.layer ?? 'command line'))
    const over = overridden.length > 0 ? `, over ${overridden.map(from).join(', ')}` : ''
    write(`# ${from(winner)}${over}\n${stringify({ [key]: value })}`)
  }
  return EXIT.done
}

/** `--explain VAR`: its value, where that stands, and what it overrode with the values there, the nearest first. */
function explainVariable(
  host: Host,
  name: string,
  inventory: Inventory,
  extraVars: ReadonlyMap<string, unknown>,
  json: boolean,
): number {
  const layers = layersOf(host, inventory, extraVars)
  const scope = makeScope(layers, { redactor })
  const origins = explain(layers, name).map(({ layer, place, value }) => ({
    layer,
    place: place && formatPlace(place),
    value: shown(() => (isValue(value) ? value.evaluate(scope) : value)),
  }))
  const [winner, ...overridden] = origins
  if (!winner) {
    throw new UserError({
      message: `host ${host.name} has no variable "${name}"`,
      hint: didYouMean(name, namesOf(layers)),
    })
  }
  if (json) {
    const { value, ...from } = winner
    write(`${JSON.stringify({ host: host.name, variable: name, value, from, overrode: overridden }, undefined, 2)}\n`)
    return EXIT.done
  }
  const from = ({ layer, place }: typeof winner): string =>
    place === undefined || layer.startsWith(place.replace(/:\d+:\d+$/, '')) ? (place ?? layer) : `${place} (${layer})`
  write(`${stringify({ [name]: winner.value })}# from ${from(winner)}\n`)
  for (const one of overridden) write(`# over ${from(one)}: ${JSON.stringify(one.value)}\n`)
  return EXIT.done
}

function layersOf(host: Host, inventory: Inventory, extraVars: ReadonlyMap<string, unknown>): Layer[] {
  const groups = Object.fromEntries([...inventory.groups].map(([name, g]) => [name, g.hosts]))
  const magic = { inventory_hostname: host.name, group_names: host.groups, groups }
  const extra = { name: 'command line', vars: extraVars }
  return [...host.layers, extra, { name: 'runbook', vars: magic }]
}

const scopeOf = (host: Host, inventory: Inventory, extraVars: ReadonlyMap<string, unknown>): Scope =>
  makeScope(layersOf(host, inventory, extraVars), { redactor })

const namesOf = (layers: readonly Layer[]): Set<string> =>
  new Set(layers.flatMap(({ vars }) => (vars instanceof Map ? [...vars.keys()] : Object.keys(vars))))

/** All variables of a host's layers. One that needs what only a run knows (facts) shows as the reason. */
function variablesOf(host: Host, scope: Scope): Record<string, unknown> {
  return Object.fromEntries([...namesOf(host.layers)].toSorted().map((name) => [name, shown(() => scope.get(name))]))
}

function shown(value: () => unknown): unknown {
  try {
    return plain(value())
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return `<${error.problems[0]?.message}>`
  }
}

/** Entries of maps are rendered when they are read; this reads them all. */
const plain = (value: unknown): unknown =>
  value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown)
