/** Which address a client gets. */
import { formatIp4, formatSubnet, type Ip4, inSubnet } from '../address.ts'
import { inPools, type LeaseView } from './leases.ts'
import type { Machine, Network } from './network.ts'

export interface Refusal {
  readonly refused: string
}

/**
 * The configured address of a machine; else the one it has or had; else a free one of the network's pools, the one
 * it wants if it can be.
 */
export function choose(
  mac: string,
  machine: Machine | undefined,
  network: Network,
  leases: LeaseView,
  now: number,
  wanted: Ip4 | undefined,
): Ip4 | Refusal {
  if (machine?.address !== undefined) return configured(mac, machine.address, network, leases, now)
  const held = leases.of(mac)
  if (held !== undefined && inPools(network, held.address) && !leases.reserved(held.address)) return held.address
  const free = leases.free(network, wanted, now)
  if (free !== undefined) return free
  return { refused: network.pools?.length ? `no free address in network ${network.name}` : 'no address configured' }
}

function configured(mac: string, address: Ip4, network: Network, leases: LeaseView, now: number): Ip4 | Refusal {
  if (!inSubnet(network.subnet, address)) {
    return {
      refused: `configured address ${formatIp4(address)} is not in network ${network.name} (${formatSubnet(network.subnet)})`,
    }
  }
  const holder = leases.at(address)
  if (holder === undefined || holder.expires <= now || holder.mac === mac) return address
  // Outside the pools only configuration gives addresses away: an older one did, to a NIC that was since replaced.
  if (holder.state !== 'declined' && !inPools(network, address)) return address
  const who = holder.state === 'declined' ? 'a host that is not configured' : holder.mac
  return { refused: `configured address ${formatIp4(address)} is in use by ${who}` }
}
