/** The machines of the inventory, found by what their packets say. */
import { didYouMean, Problems } from '../shared/errors.ts'
import { formatMac, type Ip4, parseIp4, parseMac } from './address.ts'
import { type NetbootConfig, profileNameOf } from './config.ts'
import type { Client } from './dhcp/client.ts'
import type { Machine } from './dhcp/network.ts'
import type { NetbootMachine, Profile } from './profile.ts'

export class Directory {
  readonly machines: ReadonlyMap<string, NetbootMachine>
  readonly #config: NetbootConfig
  readonly #byMac = new Map<string, NetbootMachine>()
  readonly #byUuid = new Map<string, NetbootMachine>()
  readonly #addresses = new Set<Ip4>()

  /** Throws UserError for what two machines cannot both have, and for profiles that are not there. */
  constructor(config: NetbootConfig, machines: readonly NetbootMachine[]) {
    this.#config = config
    const problems = new Problems()
    const normal = machines.map((one) => ({
      ...one,
      macs: one.macs.flatMap((text) => {
        const mac = parseMac(text)
        if (mac === undefined) problems.add(`machine ${one.name}: "${text}" is no MAC address`)
        return mac ? [formatMac(mac)] : []
      }),
    }))
    this.machines = new Map(normal.map((one) => [one.name, one]))
    const unique = (map: Map<string, NetbootMachine>, key: string, one: NetbootMachine, what: string): void => {
      const other = map.get(key)
      if (other) problems.add(`machines ${other.name} and ${one.name} have the same ${what} ${key}`)
      map.set(key, one)
    }
    const byAddress = new Map<string, NetbootMachine>()
    for (const one of normal) {
      for (const mac of one.macs) unique(this.#byMac, mac, one, 'MAC address')
      if (one.uuid) unique(this.#byUuid, plainUuid(one.uuid), one, 'UUID')
      if (one.address !== undefined) {
        const address = parseIp4(one.address)
        if (address === undefined) problems.add(`machine ${one.name}: "${one.address}" is no IPv4 address`)
        else this.#addresses.add(address)
        unique(byAddress, one.address, one, 'address')
      }
      const name = profileNameOf(config, one)
      if (name !== undefined && !config.profiles.has(name)) {
        problems.add(
          `machine ${one.name}: there is no profile "${name}"`,
          undefined,
          didYouMean(name, config.profiles.keys()),
        )
      }
    }
    problems.throwIfAny()
  }

  /** By MAC address; else by UUID, in both byte orders that firmware is known to send. */
  find({ mac, uuid }: { mac?: string; uuid?: string | undefined }): NetbootMachine | undefined {
    const byMac = mac === undefined ? undefined : this.#byMac.get(mac)
    if (byMac || uuid === undefined || uuid === '') return byMac
    const plain = plainUuid(uuid)
    return this.#byUuid.get(plain) ?? this.#byUuid.get(swapped(plain))
  }

  profileOf(machine: NetbootMachine): { name: string; profile: Profile } | undefined {
    const name = profileNameOf(this.#config, machine)
    const profile = name === undefined ? undefined : this.#config.profiles.get(name)
    return name === undefined || profile === undefined ? undefined : { name, profile }
  }

  /** For DHCP. The address is that of the first NIC; two NICs of a machine cannot have the same. */
  machineOf(client: Client): Machine | undefined {
    const found = this.find(client)
    if (found === undefined) return undefined
    const first = found.macs[0] === undefined || found.macs[0] === client.mac
    return { name: found.name, address: first && found.address !== undefined ? parseIp4(found.address) : undefined }
  }

  reserved(address: Ip4): boolean {
    return this.#addresses.has(address)
  }
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
