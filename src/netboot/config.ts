/** `netboot.yml`: what is served, on which interfaces, and what each machine boots. */
import { realpathSync } from 'node:fs'
import { dirname, resolve, sep } from 'node:path'
import { z } from 'zod'
import { didYouMean, Problems } from '../shared/errors.ts'
import { checkSettings, placeAt } from '../shared/settings.ts'
import type { Place } from '../shared/source.ts'
import { readYaml } from '../shared/yaml.ts'
import { formatIp4, type Ip4, inSubnet, parseIp4, parseSubnet, type Range, type Subnet } from './address.ts'
import type { DhcpSettings, Network } from './dhcp/network.ts'
import type { WishSettings } from './machines.ts'
import type { NetbootMachine, Profile } from './profile.ts'
import { PROFILE, readProfile } from './profile-config.ts'

export interface NetbootConfig {
  readonly interfaces: readonly string[]
  readonly dhcp: DhcpSettings
  readonly http: { readonly port: number; readonly downloads: number }
  /** Absolute. */
  readonly files: string
  readonly profiles: ReadonlyMap<string, Profile>
  readonly assign: {
    readonly machines: ReadonlyMap<string, string>
    readonly groups: ReadonlyMap<string, string>
    readonly default?: string | undefined
  }
  readonly repave: WishSettings
  readonly reboot: WishSettings
  /** Whether unknown machines that are answered boot the installer, to tell what they are. */
  readonly discover: boolean
  /** Whether x64 UEFI firmware is given shim and GRUB instead of iPXE. */
  readonly secureBoot: boolean
  /** Whether Router Solicitations are answered, with "no router". */
  readonly routerAdvertisement: boolean
}

const ip4 = z.string().refine((text) => parseIp4(text) !== undefined, 'must be an IPv4 address, e.g. 10.77.0.1')
const relay = z
  .string()
  .refine((text) => parseRelay(text) !== undefined, 'must be an address or a network, e.g. 10.88.0.1 or 10.88.0.0/24')
const subnet = z.string().refine((text) => parseSubnet(text) !== undefined, 'must be a subnet, e.g. 10.77.0.0/24')
const range = z
  .string()
  .refine((text) => parseRange(text) !== undefined, 'must be a range, e.g. 10.77.0.100-10.77.0.199')
const duration = z
  .union([z.string(), z.number()])
  .refine((text) => parseDuration(text) !== undefined, 'must be a duration, e.g. 90s, 30m or 24h')
const interfaceName = z.string().regex(/^[^\s/]{1,15}$/, 'must be the name of an interface')

const giveUp = z
  .enum(['leave', 'off'])
  .default('leave')
  .describe('what is done with a machine after the last try: nothing, or its power is cut')

const NETWORK = z.strictObject({
  subnet: subnet.describe('e.g. 10.77.0.0/24'),
  router: ip4.optional(),
  dns: z.array(ip4).optional(),
  ntp: z.array(ip4).optional(),
  domain: z.string().min(1).optional(),
  mtu: z.int().min(576).max(9216).optional(),
  pool: z
    .union([range, z.array(range)])
    .optional()
    .describe('addresses for machines without one of their own'),
  lease: duration.optional(),
})

const CONFIG = z.strictObject({
  interfaces: z.array(interfaceName).min(1),
  mode: z.enum(['server', 'proxy']).default('server'),
  unknown: z.enum(['ignore', 'enroll', 'pool']).default('ignore'),
  discover: z.boolean().default(false).describe('unknown machines boot the installer, which tells what they are'),
  secure_boot: z.boolean().default(false).describe('UEFI machines load shim and GRUB, which are signed, not iPXE'),
  router_advertisement: z
    .boolean()
    .default(false)
    .describe('tell machines that there is no IPv6 router, for which iPXE waits 13 s; where there is none'),
  networks: z.array(NETWORK).min(1),
  relays: z
    .array(relay)
    .optional()
    .describe('addresses or networks of DHCP relays; if not given, those inside the networks are believed'),
  files: z.string().min(1).describe('folder of loaders, kernels and images, beside netboot.yml'),
  http: z
    .strictObject({
      port: z.int().min(1).max(65535).default(80),
      downloads: z.int().min(1).max(10_000).default(64).describe('files sent at the same time; the others wait'),
    })
    .prefault({}),
  profiles: z.record(z.string().min(1), PROFILE).default({}),
  assign: z
    .strictObject({
      machines: z.record(z.string(), z.string()).default({}),
      groups: z.record(z.string(), z.string()).default({}),
      default: z.string().optional(),
    })
    .prefault({}),
  repave: z
    .strictObject({
      valid: duration.default('24h').describe('how long a repave waits for the machine to boot'),
      timeout: duration.default('30m').describe('how long an installer may take'),
      retries: z.int().min(0).max(10).default(0),
      give_up: giveUp,
    })
    .prefault({}),
  reboot: z
    .strictObject({
      valid: duration.default('24h').describe('how long a reboot waits for a server, or for who restarts by hand'),
      timeout: duration.default('30m').describe('how long a machine may take to boot from the network'),
      retries: z.int().min(0).max(10).default(0),
      give_up: giveUp,
    })
    .prefault({}),
})

/** Reads netboot.yml. Throws UserError with all that is wrong and where. */
export function readConfig(path: string): NetbootConfig {
  const node = readYaml(path)
  const problems = new Problems()
  const at = (...keys: PropertyKey[]): Place => placeAt(node, keys)
  const checked = checkSettings(CONFIG, node, problems)
  problems.throwIfAny()
  const data = checked!
  const folder = dirname(resolve(path))

  const networks = data.networks.map((one, i) =>
    readNetwork(one, (message, key) => problems.add(message, at('networks', i, key ?? ''))),
  )
  for (const [i, { name, subnet }] of networks.entries()) {
    const other = networks
      .slice(0, i)
      .find((one) => inSubnet(one.subnet, subnet.address) || inSubnet(subnet, one.subnet.address))
    if (other) problems.add(`the networks ${other.name} and ${name} overlap`, at('networks', i, 'subnet'))
  }
  const profiles = new Map<string, Profile>()
  for (const [name, one] of Object.entries(data.profiles)) {
    const profile = readProfile(one, folder, at('profiles', name, 'cmdline'), (message, key, hint) =>
      problems.add(message, at('profiles', name, key ?? ''), hint),
    )
    if (profile) profiles.set(name, profile)
  }
  const { machines, groups, default: fallback } = data.assign
  const check = (name: string, place: Place | undefined): void => {
    if (Object.hasOwn(data.profiles, name)) return
    problems.add(`there is no profile "${name}"`, place, didYouMean(name, Object.keys(data.profiles)))
  }
  if (data.discover && data.unknown === 'ignore') {
    const hint = 'unknown: enroll answers those that boot from the network, unknown: pool all'
    problems.add('discover needs unknown machines to be answered', at('discover'), hint)
  }
  for (const [key, name] of Object.entries(machines)) check(name, at('assign', 'machines', key))
  for (const [key, name] of Object.entries(groups)) check(name, at('assign', 'groups', key))
  if (fallback !== undefined) check(fallback, at('assign', 'default'))
  const files = resolve(folder, data.files)
  if (`${real(folder)}${sep}`.startsWith(real(files).replace(/\/?$/, sep))) {
    const hint = 'everybody on the network can read it: make a folder of its own for what machines load'
    problems.add('the files folder holds netboot.yml and the state beside it', at('files'), hint)
  }
  problems.throwIfAny()
  return {
    interfaces: data.interfaces,
    dhcp: {
      mode: data.mode,
      unknown: data.unknown,
      networks,
      relays: data.relays?.map((text) => parseRelay(text)!),
    },
    http: data.http,
    files,
    profiles,
    discover: data.discover,
    secureBoot: data.secure_boot,
    routerAdvertisement: data.router_advertisement,
    assign: {
      machines: new Map(Object.entries(machines)),
      groups: new Map(Object.entries(groups)),
      default: fallback,
    },
    repave: readWish(data.repave),
    reboot: readWish(data.reboot),
  }
}

function readWish({ valid, timeout, retries, give_up }: z.output<typeof CONFIG>['repave']): WishSettings {
  return { valid: parseDuration(valid)!, timeout: parseDuration(timeout)!, retries, giveUp: give_up }
}

/** The name of a machine's profile: its own, by its name, by the first group that netboot.yml lists, or the default. */
export function profileNameOf({ assign }: NetbootConfig, machine: NetbootMachine): string | undefined {
  const byGroup = [...assign.groups].find(([group]) => group === 'all' || machine.groups.includes(group))
  return machine.profile ?? assign.machines.get(machine.name) ?? byGroup?.[1] ?? assign.default
}

type Complain = (message: string, key?: string) => void

function readNetwork(one: z.output<typeof NETWORK>, complain: Complain): Network {
  const subnet = parseSubnet(one.subnet)!
  const pools = [one.pool ?? []].flat().map((text) => parseRange(text)!)
  for (const { from, to } of pools) {
    if (!inSubnet(subnet, from) || !inSubnet(subnet, to)) {
      complain(`the pool ${formatIp4(from)}-${formatIp4(to)} is not inside ${one.subnet}`, 'pool')
    }
  }
  const address = (text: string): Ip4 => parseIp4(text)!
  const { router, dns, ntp, domain, mtu, lease } = one
  if (router !== undefined && !inSubnet(subnet, address(router)))
    complain(`the router is not inside ${one.subnet}`, 'router')
  return {
    name: one.subnet,
    subnet,
    pools,
    router: router === undefined ? undefined : address(router),
    dns: dns?.map(address),
    ntp: ntp?.map(address),
    domain,
    mtu,
    leaseTime: lease === undefined ? undefined : Math.max(60, Math.round(parseDuration(lease)! / 1000)),
  }
}

function parseRange(text: string): Range | undefined {
  const [first = '', last = '', rest] = text.split('-').map((part) => part.trim())
  const from = parseIp4(first)
  const to = parseIp4(last)
  return from === undefined || to === undefined || rest !== undefined || from > to ? undefined : { from, to }
}

/** A network, or the network of one address. */
function parseRelay(text: string): Subnet | undefined {
  return parseSubnet(text.includes('/') ? text : `${text}/32`)
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3600_000, d: 86_400_000 }

/** Milliseconds of `90s`, `30m`, `24h`, `7d`, or of a number of seconds. */
function parseDuration(text: string | number): number | undefined {
  const match = /^([1-9]\d{0,6})([smhd])?$/.exec(String(text))
  return match ? Number(match[1]) * UNITS[match[2] ?? 's']! : undefined
}

/** Without symlinks, if it is there. */
function real(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
