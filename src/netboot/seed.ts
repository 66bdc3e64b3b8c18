/** cloud-init NoCloud: what an installer or an image learns of itself when it asks. JSON is YAML, so JSON it is. */
import { formatIp4, inSubnet, parseIp4 } from './address.ts'
import type { Network } from './dhcp/network.ts'
import type { ImageOrders, NetbootMachine } from './profile.ts'

/** The names that cloud-init asks for below its seed URL. */
export const SEED_NAMES = ['meta-data', 'user-data', 'vendor-data', 'network-config'] as const
export type SeedName = (typeof SEED_NAMES)[number]

/** The names that our own installer asks for: its orders, and for images without cloud-init what that would do. */
export const INSTALLER_SEED_NAMES = ['install', 'ssh-keys', 'networkd', 'phone-home'] as const
export type InstallerSeedName = (typeof INSTALLER_SEED_NAMES)[number]

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

/** `image` is the image's URL. */
export function makeInstallerSeed(
  name: InstallerSeedName,
  { machine, network, phoneHome }: SeedContext,
  orders: ImageOrders,
  image: string,
): string {
  switch (name) {
    case 'install':
      return lines({
        image,
        sha256: orders.sha256,
        disk: orders.disk,
        wipe: orders.wipe ? 'yes' : 'no',
        inject: orders.inject ? 'yes' : 'no',
        grow: orders.grow ? 'yes' : 'no',
        name: machine.name.split('.')[0]!,
      })
    case 'ssh-keys':
      return machine.sshKeys.map((key) => `${key.trim()}\n`).join('')
    case 'networkd':
      return networkd(machine, network)
    case 'phone-home':
      return `${phoneHome}\n`
  }
}

/** systemd.network(5), saying what `networkConfig` says. */
function networkd({ macs, address }: NetbootMachine, network: Network | undefined): string {
  const ip = address === undefined ? undefined : parseIp4(address)
  const match = macs[0] === undefined ? { Name: 'e*' } : { MACAddress: macs[0] }
  const section = (name: string, values: Readonly<Record<string, string | undefined>>): string =>
    `[${name}]\n${lines(values)}\n`
  if (ip === undefined || network === undefined || !inSubnet(network.subnet, ip)) {
    return section('Match', match) + section('Network', { DHCP: 'ipv4' })
  }
  return (
    section('Match', match) +
    section('Network', {
      Address: `${formatIp4(ip)}/${network.subnet.prefix}`,
      Gateway: network.router === undefined ? undefined : formatIp4(network.router),
      DNS: network.dns?.map(formatIp4).join(' '),
      Domains: network.domain,
    })
  )
}

/** `key=value` lines of those that have a value. */
function lines(values: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(values)
    .map(([key, value]) => (value === undefined ? '' : `${key}=${value}\n`))
    .join('')
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}
