/** The machines of netboot from the variables of the inventory. */
import { explain, type Host, type Inventory } from '../inventory/index.ts'
import type { NetbootMachine } from '../netboot/profile.ts'
import { Problems } from '../shared/errors.ts'
import { makeScope } from '../values/index.ts'

/** The variables that are read, and what each is. */
export const NETBOOT_VARIABLES = [
  'netboot_mac',
  'netboot_address',
  'netboot_uuid',
  'netboot_serial',
  'netboot_profile',
  'netboot_ssh_keys',
  'netboot_site',
] as const
type Variable = (typeof NETBOOT_VARIABLES)[number]

const IP4 = /^\d+\.\d+\.\d+\.\d+$/

/** Hosts with a MAC address or UUID are machines. Throws UserError with all that cannot be understood, and where. */
export function machinesOf(inventory: Inventory): NetbootMachine[] {
  const problems = new Problems()
  const groups = Object.fromEntries([...inventory.groups].map(([name, g]) => [name, g.hosts]))
  const machines = [...inventory.hosts.values()].flatMap(
    (host) => problems.catch(() => machineOf(host, groups, problems)) ?? [],
  )
  problems.throwIfAny()
  return machines
}

function machineOf(
  host: Host,
  groups: Record<string, readonly string[]>,
  problems: Problems,
): NetbootMachine | undefined {
  const magic = { inventory_hostname: host.name, group_names: host.groups, groups }
  const scope = makeScope([...host.layers, { name: 'runbook', vars: magic }])
  const texts = (name: Variable | 'ansible_host'): string[] => {
    const value = scope.get(name) ?? []
    const list: unknown[] = Array.isArray(value) ? value : [value]
    if (list.every((one) => typeof one === 'string' && one !== '')) return list as string[]
    problems.add(`host ${host.name}: ${name} must be a text, or a list of texts`, explain(host.layers, name)[0]?.place)
    return []
  }
  const macs = texts('netboot_mac')
  const [uuid] = texts('netboot_uuid')
  if (macs.length === 0 && uuid === undefined) return undefined
  const [reached] = texts('ansible_host')
  return {
    name: host.name,
    macs,
    address: texts('netboot_address')[0] ?? (reached !== undefined && IP4.test(reached) ? reached : undefined),
    uuid,
    serial: texts('netboot_serial')[0],
    profile: texts('netboot_profile')[0],
    groups: host.groups,
    site: texts('netboot_site')[0],
    sshKeys: texts('netboot_ssh_keys'),
    scope,
  }
}
