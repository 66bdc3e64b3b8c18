/** Command lines and seed files of profiles, filled in for a machine: strict Handlebars over the inventory's variables. */
import { readFileSync } from 'node:fs'
import { Problems, UserError } from '../shared/errors.ts'
import { readSource } from '../shared/yaml.ts'
import { compileTemplateFile, makeScope, type Scope } from '../values/index.ts'
import { formatIp4, netmask } from './address.ts'
import type { Network } from './dhcp/network.ts'
import type { KernelProfile, NetbootMachine } from './profile.ts'

/** Absolute URLs that templates may name. */
export interface Urls {
  /** `http://ADDRESS:PORT` of this server. */
  readonly server: string
  /** Of the files folder, without a slash at its end. */
  readonly files: string
  /** Below it are the seed files and cloud-init's, each to be had once. */
  readonly seed: string
  /** Where the installer posts its steps. */
  readonly report: string
  /** Where the installed system posts its host keys. */
  readonly phone_home: string
}

/** What a template sees over the variables of the inventory. */
export function scopeOf(
  machine: NetbootMachine,
  { name, profile }: { readonly name: string; readonly profile: KernelProfile },
  network: Network | undefined,
  urls: Urls,
): Scope {
  const { macs, sshKeys, groups } = machine
  const own = {
    ...urls,
    name: machine.name,
    mac: macs[0] ?? '',
    machine: known({
      name: machine.name,
      mac: macs[0],
      macs,
      address: machine.address,
      uuid: machine.uuid,
      serial: machine.serial,
      site: machine.site,
      groups,
      ssh_keys: sshKeys,
    }),
    network: network && {
      prefix: network.subnet.prefix,
      netmask: formatIp4(netmask(network.subnet.prefix)),
      dns: network.dns?.map(formatIp4) ?? [],
      ...known({ router: network.router && formatIp4(network.router), domain: network.domain }),
    },
    profile: { ...profile.vars, name },
  }
  return (machine.scope ?? makeScope([])).with(known(own), 'netboot')
}

/** The kernel's command line. Throws UserError. */
export function renderCmdline({ cmdline, image }: KernelProfile, scope: Scope): string {
  const text = String(cmdline.evaluate(scope))
  // A line break would begin another command of the boot script.
  if (/[\r\n\0]/.test(text)) throw new UserError({ message: 'cmdline must be one line', place: cmdline.place })
  if (image === undefined) return text
  const orders = `runbook.mode=install runbook.seed=${scope.get('seed')} runbook.report=${scope.get('report')}`
  return `${orders} ${text}`.trim()
}

/** A seed file is a text that somebody wrote. Bytes. */
const MOST_SEED = 4 << 20

/** A seed file: as it is, or filled in if its path ends in `.hbs`. `name` is the one in the URL. Throws UserError. */
export function renderSeed(name: string, path: string, scope: Scope): string {
  let text: string
  if (path.endsWith('.hbs')) text = String(compileTemplateFile(readSource(path)).evaluate(scope))
  else {
    try {
      text = readFileSync(path, 'utf8')
    } catch (error) {
      throw new UserError(`cannot read ${path}: ${(error as Error).message}`)
    }
  }
  if (Buffer.byteLength(text) > MOST_SEED) throw new UserError(`${path} has more than ${MOST_SEED >> 20} MiB`)
  if (name.endsWith('.ign')) checkIgnition(path, text)
  return text
}

/** What Ignition would refuse only on the machine. Its other rules depend on the version, and are its own. */
function checkIgnition(path: string, text: string): void {
  const hint = 'see the specification of its version: https://coreos.github.io/ignition/specs/'
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch (error) {
    throw new UserError({ message: `${path}: no JSON, as Ignition needs it: ${(error as Error).message}`, hint })
  }
  const version = (data as { ignition?: { version?: unknown } } | null)?.ignition?.version
  if (typeof version === 'string' && /^\d+\.\d+\.\d+(-\w+)?$/.test(version)) return
  throw new UserError({ message: `${path}: Ignition needs its version, e.g. {"ignition": {"version": "3.3.0"}}`, hint })
}

/** All that a profile fills in for a machine, tried. Throws UserError with all problems. */
export function checkTemplates(
  machine: NetbootMachine,
  named: { readonly name: string; readonly profile: KernelProfile },
  network: Network | undefined,
): void {
  const url = 'http://192.0.2.1'
  const urls = {
    ...{ server: url, files: `${url}/files`, seed: `${url}/seed/TOKEN` },
    ...{ report: `${url}/report/TOKEN`, phone_home: `${url}/phone-home/TOKEN` },
  }
  const scope = scopeOf(machine, named, network, urls)
  const problems = new Problems()
  problems.catch(() => renderCmdline(named.profile, scope))
  for (const [name, path] of named.profile.seed) problems.catch(() => renderSeed(name, path, scope))
  problems.throwIfAny()
}

function known<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>
}
