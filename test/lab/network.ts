import { existsSync } from 'node:fs'
import { attempt, run } from './run.ts'

/**
 * A lab's bridge stands in a network namespace of its own; one veth pair leads from the machine to it, on a /24 of
 * 10.213.0.0/16. There is no NAT: hosts reach each other and this machine, and nothing else.
 */

export const netnsOf = (lab: string): string => `runbook-lab-${lab}`

/** The bridge inside the namespace. */
export const BRIDGE = 'br0'

/** The machine's end: the gateway of the hosts. */
export const gatewayOf = (subnet: number): string => `10.213.${subnet}.1`

/** Address of the host with this index (0 …). */
export const addressOf = (subnet: number, index: number): string => `10.213.${subnet}.${11 + index}`

/** The lab that a person boots has its own subnet, so that `inventories/lab.yml` can name its hosts. */
const PERSONAL = { lab: 'lab', subnet: 213 }

/** A third octet that neither a route of this machine nor another lab uses. Call it under the registry's lock. */
export async function freeSubnet(lab: string): Promise<number> {
  const used = new Set<string>()
  for (const line of (await run(['ip', '-4', 'route', 'show', 'table', 'all'])).split('\n')) {
    const octet = /(?:^| )10\.213\.(\d+)[./ ]/.exec(line)?.[1]
    if (octet) used.add(octet)
    // A route to a larger network of somebody else's that ours would cut a hole into.
    if (/^10\.(213\.0\.0|0\.0\.0)\/(8|9|1\d|2[0-3])\b/.test(line)) {
      throw new Error(`this machine already routes ${line.split(' ')[0]}; the lab needs 10.213.0.0/16`)
    }
  }
  const isFree = (subnet: number): boolean => !used.has(String(subnet)) && !existsSync(`/sys/class/net/rblab${subnet}`)
  if (lab === PERSONAL.lab) {
    if (isFree(PERSONAL.subnet)) return PERSONAL.subnet
    throw new Error(`this machine already uses 10.213.${PERSONAL.subnet}.0/24; give the lab another name with --name`)
  }
  for (let subnet = 0; subnet < 256; subnet++) if (subnet !== PERSONAL.subnet && isFree(subnet)) return subnet
  throw new Error('all 256 subnets of 10.213.0.0/16 are in use')
}

/** Makes namespace, bridge and the veth pair. */
export async function createNetwork(lab: string, subnet: number): Promise<void> {
  const netns = netnsOf(lab)
  const outside = `rblab${subnet}`
  await run(['ip', 'netns', 'add', netns])
  const inside = ['link set lo up', `link add ${BRIDGE} type bridge`, `link set ${BRIDGE} up`]
  await run(['ip', '-n', netns, '-batch', '-'], { input: inside.join('\n') })
  const pair = [
    `link add ${outside} type veth peer name machine netns ${netns}`,
    `address add ${gatewayOf(subnet)}/24 dev ${outside}`,
    `link set ${outside} up`,
  ]
  await run(['ip', '-batch', '-'], { input: pair.join('\n') })
  await run(['ip', '-n', netns, 'link', 'set', 'machine', 'master', BRIDGE, 'up'])
}

/** Removes it all; the veth pair goes with the namespace. Not an error when it is not there. */
export async function removeNetwork(lab: string, subnet: number | undefined): Promise<void> {
  // The kernel removes the namespace some time after its name; the link by hand makes the subnet free at once.
  if (subnet !== undefined) await attempt(['ip', 'link', 'delete', `rblab${subnet}`])
  if (existsSync(`/run/netns/${netnsOf(lab)}`)) await run(['ip', 'netns', 'delete', netnsOf(lab)])
}
