/** The machines of the inventory, found by what their packets say. */
import { didYouMean, Problems } from '../shared/errors.ts'
import { broadcastOf, formatMac, type Ip4, parseIp4, parseMac } from './address.ts'
import { type NetbootConfig, profileNameOf } from './config.ts'
import type { Client } from './dhcp/client.ts'
import { type Machine, type Network, networkOf } from './dhcp/network.ts'
import type { NetbootMachine, Profile } from './profile.ts'

interface Known {
  /** Those that are served: of our site. */
  readonly machines: ReadonlyMap<string, NetbootMachine>
  readonly byMac: ReadonlyMap<string, NetbootMachine>
  readonly byUuid: ReadonlyMap<string, NetbootMachine>
  readonly addresses: ReadonlySet<Ip4>
}

export class Directory {
  readonly #config: NetbootConfig
  readonly #site: string | undefined
  /** Addresses of the networks that no machine can have. */
  readonly #taken: ReadonlySet<Ip4>
  #known: Known

  /** With a `site`, other machines are known and not served. Throws UserError as `replace` does. */
  constructor(config: NetbootConfig, machines: readonly NetbootMachine[], site?: string) {
    this.#config = config
    this.#site = site
    this.#taken = new Set(config.dhcp.networks.flatMap(addressesInUse))
    this.#known = readMachines(config, machines, site)
  }

  /**
   * The inventory was read again. Throws UserError for what two machines cannot both have, and for profiles and a site that
   * are not there; then nothing has changed.
   */
  replace(machines: readonly NetbootMachine[]): void {
    this.#known = readMachines(this.#config, machines, this.#site)
  }

  get machines(): ReadonlyMap<string, NetbootMachine> {
    return this.#known.machines
  }

  /** By MAC address; else by UUID, in both byte orders that firmware is known to send. */
  find({ mac, uuid }: { mac?: string; uuid?: string | undefined }): NetbootMachine | undefined {
    const byMac = mac === undefined ? undefined : this.#known.byMac.get(mac)
    if (byMac || uuid === undefined || uuid === '') return byMac
    const plain = plainUuid(uuid)
    return this.#known.byUuid.get(plain) ?? this.#known.byUuid.get(swapped(plain))
  }

  profileOf(machine: NetbootMachine): { name: string; profile: Profile } | undefined {
    const name = profileNameOf(this.#config, machine)
    const profile = name === undefined ? undefined : this.#config.profiles.get(name)
    return name === undefined || profile === undefined ? undefined : { name, profile }
  }

  /** Why DHCP will not answer a machine, whatever it asks; undefined where it can. */
  unanswered({ address }: NetbootMachine): string | undefined {
    const { mode, networks } = this.#config.dhcp
    if (mode === 'proxy' || address === undefined || networkOf(networks, parseIp4(address)!)) return undefined
    return `its address ${address} is in none of the networks: netboot_address, or networks: in netboot.yml`
  }

  /** For DHCP. The address is that of the first NIC; two NICs of a machine cannot have the same. */
  machineOf(client: Client): Machine | undefined {
    const found = this.find(client)
    if (found === undefined) return undefined
    const first = found.macs[0] === undefined || found.macs[0] === client.mac
    return {
      name: found.name,
      address: first && found.address !== undefined ? parseIp4(found.address) : undefined,
      ...(!this.machines.has(found.name) && { elsewhere: true }),
    }
  }

  /** Whether pools must not give the address away: it is a machine's, or in use by the network itself. */
  reserved(address: Ip4): boolean {
    return this.#known.addresses.has(address) || this.#taken.has(address)
  }
}

/** The network's own address, its broadcast address, and the servers that it names. */
function addressesInUse({ subnet, router, dns = [], ntp = [] }: Network): Ip4[] {
  const ends = subnet.prefix < 31 ? [subnet.address, broadcastOf(subnet)] : []
  return [...ends, ...(router === undefined ? [] : [router]), ...dns, ...ntp]
}

function readMachines(config: NetbootConfig, machines: readonly NetbootMachine[], site: string | undefined): Known {
  const problems = new Problems()
  const normal = machines.map((one) => ({
    ...one,
    macs: one.macs.flatMap((text) => {
      const mac = parseMac(text)
      if (mac === undefined) problems.add(`machine ${one.name}: "${text}" is no MAC address`)
      return mac ? [formatMac(mac)] : []
    }),
  }))
  const here = normal.filter((one) => site === undefined || isAt(one, site))
  if (site !== undefined && here.length === 0) {
    const sites = new Set(normal.flatMap((one) => one.site ?? one.groups))
    const hint =
      didYouMean(site, sites) ?? `a machine is at ${site} by netboot_site: ${site}, or in a group of that name`
    problems.add(`no machine is at site "${site}"`, undefined, hint)
  }
  const unique = (map: Map<string, NetbootMachine>, key: string, one: NetbootMachine, what: string): void => {
    const other = map.get(key)
    if (other) problems.add(`machines ${other.name} and ${one.name} have the same ${what} ${key}`)
    map.set(key, one)
  }
  const byMac = new Map<string, NetbootMachine>()
  const byUuid = new Map<string, NetbootMachine>()
  const byAddress = new Map<string, NetbootMachine>()
  const addresses = new Set<Ip4>()
  for (const one of normal) {
    for (const mac of one.macs) unique(byMac, mac, one, 'MAC address')
    if (one.uuid) unique(byUuid, plainUuid(one.uuid), one, 'UUID')
  }
  // Sites may use the same private addresses.
  for (const one of here) {
    if (one.address !== undefined) {
      const address = parseIp4(one.address)
      if (address === undefined) problems.add(`machine ${one.name}: "${one.address}" is no IPv4 address`)
      else addresses.add(address)
      unique(byAddress, one.address, one, 'address')
    }
    const name = profileNameOf(config, one)
    if (name !== undefined && !config.profiles.has(name)) {
      const hint = didYouMean(name, config.profiles.keys())
      problems.add(`machine ${one.name}: there is no profile "${name}"`, undefined, hint)
    }
  }
  problems.throwIfAny()
  return { machines: new Map(here.map((one) => [one.name, one])), byMac, byUuid, addresses }
}

function isAt({ site, groups }: NetbootMachine, wanted: string): boolean {
  return site === undefined ? groups.includes(wanted) : site === wanted
}

function plainUuid(text: string): string {
  return text.toLowerCase().replace(/[^0-9a-f]/g, '')
}

/** SMBIOS stores the first three fields little-endian; some firmware sends them as stored, some as shown. */
function swapped(uuid: string): string {
  const bytes = Buffer.from(uuid, 'hex')
  if (bytes.length !== 16) return uuid
  return Buffer.concat([
    bytes.subarray(0, 4).reverse(),
    bytes.subarray(4, 6).reverse(),
    bytes.subarray(6, 8).reverse(),
    bytes.subarray(8),
  ]).toString('hex')
}
