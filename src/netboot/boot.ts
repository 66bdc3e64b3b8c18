/**
 * Where DHCP, TFTP, HTTP and the states of machines meet: what each machine is told at each step of its boot. Who it is
 * is said by tags and tokens in URLs (tokens.ts), which DHCP and scripts give to the machine.
 */

import { UserError } from '../shared/errors.ts'
import { addressesOf, formatIp4, parseIp4 } from './address.ts'
import type { NetbootConfig } from './config.ts'
import { type Boot, loaderFor } from './dhcp/boot.ts'
import { type Network, networkOf } from './dhcp/network.ts'
import type { Directory } from './directory.ts'
import { describeFacts, parseFacts } from './facts.ts'
import { GrubFiles, SHIM } from './grub.ts'
import { INSTALLER } from './installer/names.ts'
import { repavePending } from './life-cycle.ts'
import type { Machines } from './machines.ts'
import type { KernelProfile, NetbootMachine, Profile } from './profile.ts'
import { parseHostKeys, parseReport } from './reports.ts'
import { grubLoad, grubLocal, ipxeAutoexec, ipxeChain, ipxeLoad, ipxeLocal } from './scripts.ts'
import {
  INSTALLER_SEED_NAMES,
  type InstallerSeedName,
  makeInstallerSeed,
  makeSeed,
  SEED_NAMES,
  type SeedContext,
  type SeedName,
} from './seed.ts'
import { checkTemplates, renderCmdline, renderSeed, scopeOf, type Urls } from './templates.ts'
import type { Grant, Tokens } from './tokens.ts'

/** `grub`: loads by HTTP from us; `grub-tftp`: by TFTP. */
export type ScriptKind = 'ipxe' | 'grub' | 'grub-tftp'

/** A line of the live view: what happened to a machine. */
export interface BootEvent {
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly machine: string
  readonly what: string
}

export interface DeskOptions {
  readonly config: NetbootConfig
  readonly directory: Directory
  readonly machines: Machines
  readonly tokens: Tokens
  readonly onEvent?: ((event: BootEvent) => void) | undefined
  /** An installed machine phoned home. */
  readonly onReachable?: ((machine: string) => void) | undefined
  readonly now?: (() => number) | undefined
}

/** An answer to who asks with a token. `gone`: was had before. */
export type Answer<T> = T | 'forbidden' | 'gone' | 'missing'

export class Desk {
  readonly #options: DeskOptions
  readonly #now: () => number
  /** Where firmware is given shim and GRUB. */
  readonly #grub: GrubFiles | undefined

  constructor(options: DeskOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#grub = options.config.secureBoot ? new GrubFiles(this, options.config.files, this.#now) : undefined
  }

  /** DHCP's callback. Uses nothing up: clients ask again, and others can hear the answer. */
  readonly dhcp: Boot = (client, machine, server) => {
    if (machine === undefined) this.#options.machines.discover(client.mac, this.#now())
    return this.offer(client, machine, server)
  }

  /** What `dhcp` answers, without remembering that somebody asked. */
  readonly offer: Boot = (client, machine, server) => {
    const base = this.base(formatIp4(server))
    const { discover } = this.#options.config
    const own = machine ? this.#own(base, machine.name) : discover ? this.#discovery(base, client.mac) : undefined
    // The Pi's ROM asks for names of its own.
    const loader = client.kind === 'raspberry-pi' ? '' : loaderFor(client)
    const isSigned = this.#grub !== undefined && loader === 'ipxe.efi' && own !== undefined
    const file = isSigned ? `${own.slice(base.length)}/${SHIM}` : loader
    const url = loader && `${base}/files/${loader}`
    if (machine === undefined) return { file, url, script: own ? `${own}/boot.ipxe` : `${base}/local.ipxe` }
    // Firmware that boots URLs needs no iPXE to boot a UKI.
    const uki = client.kind === 'http' && this.pending(machine.name)?.kind === 'uki'
    return { file, url: uki && own ? `${own}/uki.efi` : url, script: `${own}/boot.ipxe` }
  }

  /** TFTP's virtual files. TFTP cannot say who asks, so what is a machine's own is below a name that has its tag. */
  readonly tftp = async (name: string, client: string): Promise<Uint8Array | string | undefined> => {
    if (name === 'autoexec.ipxe') return ipxeAutoexec()
    return this.#grub?.read(name, this.base(this.#addressFor(client)))
  }

  /** Our address in the network of a client, which TFTP does not tell. */
  #addressFor(client: string): string {
    const { networks } = this.#options.config.dhcp
    const network = networkOf(networks, parseIp4(client) ?? 0)
    const addresses = addressesOf(this.#options.config.interfaces)
    return addresses.find((one) => networkOf(networks, parseIp4(one)!) === network) ?? addresses[0] ?? ''
  }

  /** `http://ADDRESS:PORT`. */
  base(address: string): string {
    const { port } = this.#options.config.http
    return `http://${address}${port === 80 ? '' : `:${port}`}`
  }

  isTag(machine: string, tag: string): boolean {
    return this.#options.directory.machines.has(machine) && this.#options.tokens.isTag(machine, tag)
  }

  /** The profile that an installer of this machine would be given out from now; undefined: local disk. */
  pending(name: string): Exclude<Profile, { kind: 'local' }> | undefined {
    const { machines, directory } = this.#options
    const machine = directory.machines.get(name)
    const profile = machine && directory.profileOf(machine)?.profile
    if (profile === undefined || profile.kind === 'local') return undefined
    return repavePending(machines.state(name), this.#now()) ? profile : undefined
  }

  /** The script of a machine. Uses its repave up, if it has one: call it only for a request that gets the answer. */
  script(name: string, kind: ScriptKind, base: string): string {
    const { machines, directory, tokens } = this.#options
    const machine = directory.machines.get(name)
    const profile = this.pending(name)
    const local = (why: string): string => (kind === 'ipxe' ? ipxeLocal(why) : grubLocal(why))
    if (machine === undefined || profile === undefined) {
      machines.bootLocal(name, this.#now())
      this.#event(name, 'boots its local disk')
      return local(`${name} has no repave pending`)
    }
    if (profile.kind === 'uki') {
      // Given out when the image itself is.
      if (kind === 'ipxe') return ipxeChain(`${name} boots ${profile.uki}`, `${this.#own(base, name)}/uki.efi`)
      return local(`${name} boots a UKI, which GRUB cannot`)
    }
    const named = { name: directory.profileOf(machine)?.name ?? '', profile }
    try {
      checkTemplates(machine, named, this.#networkOf(machine))
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      this.#event(
        name,
        `boots its local disk, as profile ${named.name} cannot be filled in: ${error.problems[0]!.message}`,
      )
      return local(`the profile of ${name} cannot be filled in, its repave is kept`)
    }
    const { boot, token } = machines.boot(name, this.#now(), !profile.reports)
    if (boot === 'local' || token === undefined) return local(`${name} has no repave pending`)
    const grant = { machine: name, repave: token }
    const seed = tokens.issue('seed', grant, this.#now())
    const report = tokens.issue('report', grant, this.#now())
    this.#event(name, `is given the installer of profile ${named.name}`)
    return this.#loads(machine, named, kind, base, { seed, report })
  }

  #loads(
    machine: NetbootMachine,
    named: { readonly name: string; readonly profile: KernelProfile },
    kind: ScriptKind,
    base: string,
    tokens: { seed: string; report: string },
  ): string {
    const { profile } = named
    const cmdline = renderCmdline(profile, scopeOf(machine, named, this.#networkOf(machine), urlsOf(base, tokens)))
    const loads = {
      title: `${machine.name} installs`,
      kernel: placeOf(profile.kernel, kind, base),
      initrd: profile.initrd.map((file) => placeOf(file, kind, base)),
      cmdline,
    }
    return kind === 'ipxe' ? ipxeLoad(loads) : grubLoad(loads)
  }

  /** The file of a machine's UKI. `take`: it is about to be sent, which uses the repave up. */
  uki(name: string, take: boolean): string | undefined {
    const profile = this.pending(name)
    if (profile?.kind !== 'uki') return undefined
    if (take) {
      if (this.#options.machines.boot(name, this.#now()).boot === 'local') return undefined
      this.#event(name, `is given ${profile.uki}`)
    }
    return profile.uki
  }

  /** A seed file, once for each token; `seedSent` has to be told what becomes of it. */
  seed(token: string, report: string, file: string, base: string): Answer<string> {
    const { tokens, directory, machines } = this.#options
    const grant = tokens.check(token, 'seed', this.#now())
    if (grant === undefined || !same(grant, tokens.check(report, 'report', this.#now()))) return 'forbidden'
    // What was cancelled, has ended or was replaced by another repave opens nothing any more.
    if (machines.state(grant.machine)?.repave?.token !== grant.repave) return 'forbidden'
    const machine = directory.machines.get(grant.machine)
    const named = machine && directory.profileOf(machine)
    if (machine === undefined || named?.profile.kind !== 'kernel') return 'missing'
    const { name, profile } = named
    const path = profile.seed.get(file)
    const forInstaller = profile.image !== undefined && INSTALLER_SEED_NAMES.includes(file as InstallerSeedName)
    if (path === undefined && !forInstaller && !SEED_NAMES.includes(file as SeedName)) return 'missing'
    const network = this.#networkOf(machine)
    const urls = urlsOf(base, { seed: token, report })
    // Before it is taken: what cannot be made can be asked for again.
    const text = path && renderSeed(file, path, scopeOf(machine, { name, profile }, network, urls))
    if (!tokens.take(token, file)) {
      this.#event(machine.name, `asks for ${file} a second time: refused`)
      return 'gone'
    }
    this.#event(machine.name, `reads ${file}`)
    // A distribution's installer says nothing more until it is done.
    if (!profile.reports || machines.state(machine.name)?.phase === 'booting') {
      machines.apply(machine.name, { type: 'progress', at: this.#now(), token: grant.repave, step: `reads ${file}` })
    }
    if (text !== undefined) return text
    const { report: reportUrl, phone_home: phoneHome } = urls
    const context: SeedContext = { machine, repave: grant.repave, network, report: reportUrl, phoneHome }
    if (!forInstaller) return makeSeed(file as SeedName, context)
    const image = `${base}/files/${encodePath(profile.image!.file)}`
    return makeInstallerSeed(file as InstallerSeedName, context, profile.image!, image)
  }

  /** Whether a seed file went out whole. One that did not may be asked for again. */
  seedSent(token: string, file: string, isSent: boolean): void {
    const { tokens } = this.#options
    if (!tokens.settle(token, file, isSent) || isSent) return
    const grant = tokens.check(token, 'seed', this.#now())
    if (grant) this.#event(grant.machine, `did not get ${file}, and may ask for it again`)
  }

  /** Throws UserError with all that cannot be filled in for a machine's profile. */
  check(name: string): void {
    const machine = this.#options.directory.machines.get(name)
    const named = machine && this.#options.directory.profileOf(machine)
    if (machine === undefined || named?.profile.kind !== 'kernel') return
    checkTemplates(machine, { name: named.name, profile: named.profile }, this.#networkOf(machine))
  }

  #networkOf({ address }: NetbootMachine): Network | undefined {
    const { networks } = this.#options.config.dhcp
    const parsed = address === undefined ? undefined : parseIp4(address)
    return parsed === undefined ? networks[0] : networkOf(networks, parsed)
  }

  report(token: string, body: string): Answer<'taken'> | 'malformed' {
    const { tokens, machines } = this.#options
    const grant = tokens.check(token, 'report', this.#now())
    if (grant === undefined) return 'forbidden'
    const report = parseReport(body)
    if (report === undefined) return 'malformed'
    const event = { ...report, at: this.#now(), token: grant.repave }
    const { state, refused } = machines.apply(grant.machine, event)
    const said =
      report.type === 'progress' ? report.step : report.type === 'failed' ? `failed: ${report.reason}` : 'installed'
    this.#event(grant.machine, refused ? `${refused}: ${said}` : `${state.phase}: ${said}`)
    return 'taken'
  }

  /** The installed system is up. Once: a second one could tell other host keys. */
  phoneHome(token: string, body: string): Answer<'taken'> {
    const { tokens, machines } = this.#options
    const grant = tokens.check(token, 'report', this.#now())
    if (grant === undefined) return 'forbidden'
    const keys = parseHostKeys(body)
    // The state tells which is the first, as it is written with the keys: a crash in between would lose them.
    const refused = machines.reachable(grant.machine, this.#now(), grant.repave, keys)
    if (refused) {
      this.#event(grant.machine, refused)
      return 'gone'
    }
    this.#event(grant.machine, `phones home${keys.length > 0 ? ` with ${keys.length} host keys` : ''}`)
    this.#options.onReachable?.(grant.machine)
    return 'taken'
  }

  isStranger(mac: string, tag: string): boolean {
    return this.#options.config.discover && this.#options.tokens.isTag(mac, tag, 'stranger')
  }

  /** The script of an unknown machine: the installer, told to look and not to write. */
  discoveryScript(mac: string, kind: ScriptKind, base: string): string {
    this.#event(mac, 'boots the installer, to tell what it is')
    return (kind === 'ipxe' ? ipxeLoad : grubLoad)({
      title: `${mac} is looked at; nothing is written to its disks`,
      kernel: placeOf(INSTALLER.kernel, kind, base),
      initrd: [placeOf(INSTALLER.initrd, kind, base)],
      cmdline: `runbook.mode=discover runbook.report=${this.#discovery(base, mac)}`,
    })
  }

  /** Keeps what an unknown machine tells of itself. */
  discovered(mac: string, body: string): Answer<'taken'> | 'malformed' {
    const facts = parseFacts(body)
    if (facts === undefined) return 'malformed'
    this.#options.machines.setFacts(mac, this.#now(), facts)
    this.#event(mac, `is ${describeFacts(facts)}`)
    return 'taken'
  }

  /** What a machine that waits in discovery does next: it reboots once it is in the inventory. */
  strangersNext(mac: string): 'wait' | 'reboot' {
    return this.#options.directory.find({ mac }) === undefined ? 'wait' : 'reboot'
  }

  #discovery(base: string, mac: string): string {
    return `${base}/discover/${mac.replaceAll(':', '-')}/${this.#options.tokens.tag(mac, 'stranger')}`
  }

  /** The script as a boot now would get it, with nothing used up and no token that works. */
  preview(name: string, kind: ScriptKind, base: string): string {
    const machine = this.#options.directory.machines.get(name)
    const profile = this.pending(name)
    if (machine === undefined || profile === undefined) {
      const why = `${name} has no repave pending`
      return kind === 'ipxe' ? ipxeLocal(why) : grubLocal(why)
    }
    if (profile.kind === 'uki') return this.script(name, kind, base)
    const named = { name: this.#options.directory.profileOf(machine)!.name, profile }
    return this.#loads(machine, named, kind, base, { seed: 'TOKEN', report: 'TOKEN' })
  }

  #own(base: string, name: string): string {
    return `${base}/m/${encodeURIComponent(name)}/${this.#options.tokens.tag(name)}`
  }

  #event(machine: string, what: string): void {
    this.#options.onEvent?.({ time: this.#now(), machine, what })
  }
}

/** One path segment after the seed's token: with the report's in it too, what it holds can name the place to report to. */
function urlsOf(base: string, { seed, report }: { readonly seed: string; readonly report: string }): Urls {
  return {
    server: base,
    files: `${base}/files`,
    seed: `${base}/seed/${seed}/${report}`,
    report: `${base}/report/${report}`,
    phone_home: `${base}/phone-home/${report}`,
  }
}

function same(a: Grant, b: Grant | undefined): boolean {
  return a.machine === b?.machine && a.repave === b.repave
}

/** A file of the files folder, as a loader names it. */
function placeOf(file: string, kind: ScriptKind, base: string): string {
  if (kind === 'grub-tftp') return `/${file}`
  return `${kind === 'ipxe' ? base : ''}/files/${encodePath(file)}`
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}
