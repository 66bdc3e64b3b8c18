/** cloud-init NoCloud: what an installer or an image learns of itself when it asks. JSON is YAML, so JSON it is. */
import { formatIp4, inSubnet, parseIp4 } from './address.ts'
import type { Network } from './dhcp/network.ts'
import type { NetbootMachine } from './profile.ts'

/** The names that cloud-init asks for below its seed URL. */
export const SEED_NAMES = ['meta-data', 'user-data', 'vendor-data', 'network-config'] as const
export type SeedName = (typeof SEED_NAMES)[number]

export interface SeedContext {
  readonly machine: NetbootMachine
  /** Makes the instance new for cloud-init, which then runs anew. */
  readonly repave: string
  readonly network?: Network | undefined
  /** Absolute URLs. */
  readonly report: string
  readonly phoneHome: string
}

export function makeSeed(name: SeedName, context: SeedContext): string {
  const { machine, repave, report, phoneHome } = context
  switch (name) {
    case 'meta-data':
      return json({ 'instance-id': `${machine.name}-${repave}`, 'local-hostname': machine.name.split('.')[0] })
    case 'user-data':
      return `#cloud-config\n${json({ ssh_authorized_keys: machine.sshKeys })}`
    case 'vendor-data':
      // Below user-data in precedence, so a profile's own user-data keeps the last word.
      return `#cloud-config\n${json({
        ssh_authorized_keys: machine.sshKeys,
        reporting: { runbook: { type: 'webhook', endpoint: report } },
        phone_home: {
          url: phoneHome,
          post: ['pub_key_ed25519', 'pub_key_ecdsa', 'pub_key_rsa', 'instance_id', 'hostname'],
          tries: 10,
        },
      })}`
    case 'network-config':
      return json(networkConfig(context))
  }
}

/** Netplan's version 2: the NIC by its MAC address, with the inventory's address or by DHCP. */
function networkConfig({ machine, network }: SeedContext): object {
  const [mac] = machine.macs
  if (mac === undefined) return { version: 2, ethernets: { all: { match: { name: 'e*' }, dhcp4: true } } }
  const address = machine.address === undefined ? undefined : parseIp4(machine.address)
  const nic =
    address === undefined || network === undefined || !inSubnet(network.subnet, address)
      ? { dhcp4: true }
      : {
          addresses: [`${formatIp4(address)}/${network.subnet.prefix}`],
          ...(network.router !== undefined && { routes: [{ to: '0.0.0.0/0', via: formatIp4(network.router) }] }),
          ...(network.dns?.length && {
            nameservers: { addresses: network.dns.map(formatIp4), ...(network.domain && { search: [network.domain] }) },
          }),
        }
  return { version: 2, ethernets: { boot: { match: { macaddress: mac }, ...nic } } }
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}
