/** `runbook netboot …`. */
import { dirname } from 'node:path'
import { Document } from 'yaml'
import { addressesOf, formatIp4, formatMac, parseIp4, parseMac } from '../../netboot/address.ts'
import { type NetbootConfig, readConfig } from '../../netboot/config.ts'
import { openNetbootDatabase } from '../../netboot/database.ts'
import { Directory } from '../../netboot/directory.ts'
import { isServing } from '../../netboot/doctor.ts'
import { explainBoot } from '../../netboot/explain.ts'
import { describeFacts, hostOf } from '../../netboot/facts.ts'
import { type MachineState, PHASES, repavePending, restartPending } from '../../netboot/life-cycle.ts'
import { Machines, type Wishes } from '../../netboot/machines.ts'
import { likelyAddresses } from '../../netboot/netboot.ts'
import { Tokens } from '../../netboot/tokens.ts'
import { duration } from '../../report/duration.ts'
import { cut } from '../../report/text.ts'
import { didYouMean, UserError } from '../../shared/errors.ts'
import { EXIT } from '../exit.ts'
import { openInventory } from '../inputs.ts'
import { machinesOf } from '../netboot-machines.ts'

export interface NetbootFlags {
  readonly config: string
  readonly inventory: readonly string[]
  /** Only machines of this site. */
  readonly site?: string
}

export const write = (text: string): void => void process.stdout.write(text)

/** All that the commands work on. Its database is closed by disposing. */
export async function open(
  { config: path, inventory: sources, site }: NetbootFlags,
  trouble: (message: string) => void = (message) => void process.stderr.write(`warning: ${message}\n`),
) {
  const config: NetbootConfig = readConfig(path)
  const inventory = await openInventory(sources, [path])
  const directory = new Directory(config, machinesOf(inventory), site)
  const folder = dirname(path)
  const db = openNetbootDatabase(folder)
  const machines = new Machines(db, trouble)
  const tokens = new Tokens(db)
  return { config, inventory, directory, folder, db, machines, tokens, trouble, [Symbol.dispose]: () => db.close() }
}

type Opened = Awaited<ReturnType<typeof open>>

/** `netboot machines`: those of the inventory, and those that were only seen. */
export async function listMachines(flags: NetbootFlags & { json: boolean; asInventory: boolean }): Promise<number> {
  using opened = await open(flags)
  const { directory, machines } = opened
  const states = machines.all()
  const unknown = strangers(states, directory)
  if (flags.asInventory) {
    const document = new Document({ all: { hosts: {} } })
    for (const [mac] of unknown) {
      const facts = machines.facts(mac)
      const host = document.createNode(hostOf(mac, facts))
      // For who chooses a profile and a disk.
      if (facts) host.commentBefore = ` ${describeFacts(facts)}`
      document.setIn(['all', 'hosts', `new-${mac.replaceAll(':', '')}`], host)
    }
    write(document.toString({ lineWidth: 0 }))
    return EXIT.done
  }
  const known = [...directory.machines.values()].map((one) => ({
    name: one.name,
    macs: one.macs,
    address: one.address,
    profile: directory.profileOf(one)?.name,
    state: states.get(one.name),
  }))
  const seen = unknown.map(([mac, state]) => ({
    name: undefined,
    macs: [mac],
    address: undefined,
    profile: undefined,
    state,
  }))
  if (flags.json) {
    write(
      `${JSON.stringify(
        [...known, ...seen].map((one) => ({
          ...one,
          host_keys: machines.hostKeys(one.name ?? ''),
          facts: one.macs.map((mac) => machines.facts(mac)).find((facts) => facts !== undefined),
        })),
        undefined,
        2,
      )}\n`,
    )
    return EXIT.done
  }
  table(
    ['MACHINE', 'MAC', 'ADDRESS', 'PROFILE', 'PHASE'],
    [...known, ...seen].map(({ name = '(unknown)', macs, address = '-', profile = '-', state }) => [
      name,
      macs[0] ?? '-',
      address,
      profile,
      state?.phase ?? '-',
    ]),
  )
  return EXIT.done
}

/** The machines that are meant: those, or all of the inventory. Throws UserError for one that nobody knows. */
export function namesOf(
  names: readonly string[],
  { directory, machines }: { directory: Directory; machines: Machines },
): readonly string[] {
  for (const name of names) {
    if (directory.machines.has(name) || machines.state(name)) continue
    throw new UserError({ message: `there is no machine ${name}`, hint: didYouMean(name, directory.machines.keys()) })
  }
  return names.length > 0 ? names : [...directory.machines.keys()]
}

/** `netboot status [NODE…]`: a line a machine; of those that are named, what happened to them too. */
export async function status(
  names: readonly string[],
  flags: NetbootFlags & { readonly json: boolean },
): Promise<number> {
  using opened = await open(flags)
  const { machines, config } = opened
  const shown = namesOf(names, opened)
  const now = Date.now()
  if (flags.json) {
    const all = shown.map((name) => {
      const { phase, since, detail } = machines.state(name) ?? {}
      const history = machines.history(name).map(({ at, what }) => ({ at: new Date(at), what }))
      const next = expected(machines.state(name), config, now)
      return {
        ...{ name, phase, since: since === undefined ? undefined : new Date(since), detail },
        ...{ next: next === '-' ? undefined : next, host_keys: machines.hostKeys(name), history },
      }
    })
    write(`${JSON.stringify(all, undefined, 2)}\n`)
    return EXIT.done
  }
  await warnUnlessServing(config)
  table(
    ['MACHINE', 'PHASE', 'SINCE', 'NEXT', 'LAST'],
    shown.map((name) => {
      const state = machines.state(name)
      const since = state ? duration(Math.max(0, now - state.since)) : '-'
      return [name, state?.phase ?? '-', since, expected(state, config, now), state?.detail ?? '']
    }),
  )
  if (names.length === 0) write(`\n${summary(shown, opened, now)}`)
  for (const name of names) {
    write(`\n${name}\n`)
    for (const { at, what } of machines.history(name)) write(`  ${new Date(at).toISOString()}  ${what}\n`)
    for (const key of machines.hostKeys(name)) write(`  host key ${key}\n`)
  }
  return EXIT.done
}

/** Names of machines in a line for people, at most. */
const MOST_NAMED = 8

/** What an operator would count for himself: machines by phase, which of them failed, and who asked that nobody knows. */
function summary(names: readonly string[], { machines, directory }: Opened, now: number): string {
  const states = machines.all()
  const counts = new Map<string, number>()
  for (const name of names) {
    const phase = states.get(name)?.phase ?? 'not seen'
    counts.set(phase, (counts.get(phase) ?? 0) + 1)
  }
  const phases = ['not seen', ...PHASES].flatMap((phase) => (counts.has(phase) ? `${counts.get(phase)} ${phase}` : []))
  const lines = [`${names.length} machines: ${phases.join(', ')}`]
  const failed = names.filter((name) => states.get(name)?.phase === 'failed')
  if (failed.length > 0) {
    const more = failed.length > MOST_NAMED ? ` and ${failed.length - MOST_NAMED} more` : ''
    lines.push(`failed: ${failed.slice(0, MOST_NAMED).join(', ')}${more}`)
  }
  const unknown = strangers(states, directory).sort(([, a], [, b]) => b.since - a.since)
  if (unknown.length > 0) {
    const [mac, { since }] = unknown[0]!
    lines.push(
      `not in the inventory: ${unknown.length} that asked to boot, the newest ${mac} ${duration(now - since)} ago; see runbook netboot machines`,
    )
  }
  return lines.map((line) => `${line}\n`).join('')
}

/** Machines that were seen and are not in the inventory. Those that were put into it since are its machines. */
function strangers(states: ReadonlyMap<string, MachineState>, directory: Directory): [string, MachineState][] {
  return [...states].filter(([name]) => parseMac(name) !== undefined && !directory.find({ mac: name }))
}

/** What the states of machines say is old where nobody serves. */
export async function warnUnlessServing({ interfaces, http }: NetbootConfig): Promise<void> {
  const addresses = addressesOf(interfaces)
  const answers = await Promise.all(addresses.map((address) => isServing(address, http.port)))
  if (answers.includes(true)) return
  const where = addresses.map((address) => `http://${address}:${http.port}`).join(', ') || interfaces.join(', ')
  process.stderr.write(`warning: no server answers on ${where}: nothing boots; see runbook netboot doctor\n`)
}

/** What comes next from a machine, for people. */
export function expected(state: MachineState | undefined, { repave: settings, reboot }: Wishes, now: number): string {
  const { phase, repave, restart } = state ?? { phase: 'discovered' }
  if (restart?.begun !== undefined) return `its network boot (gives up in ${left(restart.begun, reboot.timeout, now)})`
  if (restartPending(state, now)) return `its restart (waited ${duration(now - restart!.asked)})`
  if (repavePending(state, now)) return `its network boot: power it on (waited ${duration(now - repave!.asked)})`
  if (phase === 'booting')
    return `the installer's first report (gives up in ${left(repave?.served, settings.timeout, now)})`
  if (phase === 'installing') return `the installer's end (gives up in ${left(repave?.served, settings.timeout, now)})`
  if (phase === 'installed' && repave !== undefined)
    return `its phone-home (waited ${duration(now - (state?.since ?? now))})`
  return phase === 'failed' ? 'repave it' : '-'
}

const left = (since = 0, timeout: number, now: number): string => duration(Math.max(0, since + timeout - now))

const UNKNOWN = `  netboot_mac: of a host in the inventory makes it a machine; unknown: enroll or pool in netboot.yml answers strangers
`

/** `netboot explain --mac M`: the offer, the file and the script, without a packet. */
export async function explain(
  flags: NetbootFlags & { mac: string; arch?: number; client: 'ipxe' | 'uefi' | 'bios' | 'http'; relay?: string },
): Promise<number> {
  using opened = await open(flags)
  const bytes = parseMac(flags.mac)
  if (bytes === undefined) throw new UserError(`"${flags.mac}" is no MAC address`)
  const mac = formatMac(bytes)
  const relay = flags.relay === undefined ? undefined : parseIp4(flags.relay)
  if (flags.relay !== undefined && relay === undefined) throw new UserError(`"${flags.relay}" is no IPv4 address`)
  const locals = likelyAddresses(opened.config)
  const found = explainBoot({ mac, client: flags.client, arch: flags.arch, relay }, opened, locals)!
  const { machine, profile, client, offers } = found
  write(
    `${mac}: ${machine ? `machine ${machine}, profile ${profile ?? '(none)'}` : 'not in the inventory'}; ${client}\n`,
  )
  if (addressesOf(opened.config.interfaces).length === 0) {
    write(
      `(${opened.config.interfaces.join(', ')} has no address here; shown as for ${locals.map(formatIp4).join(', ')})\n`,
    )
  }
  if (offers.length === 0)
    write('no answer: it cannot be told on which network it is, as it has no address configured\n')
  for (const { answer, reason, packet, file, script } of offers) {
    if (answer === undefined) {
      write(`no answer: ${reason}\n`)
      if (reason.startsWith('unknown machine')) write(UNKNOWN)
      continue
    }
    write(`\n${answer}: ${reason}\n${packet.map((line) => `  ${line}\n`).join('')}`)
    write(file === undefined ? '\nloads nothing\n' : `\nloads ${file}\n`)
    if (script !== undefined) write(`\niPXE then runs\n${script.replace(/^(?=.)/gm, '  ')}`)
  }
  return EXIT.done
}

function table(head: string[], rows: string[][]): void {
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i]!.length)))
  // A line that goes round the end of a terminal hides the columns of the others.
  const { isTTY, columns } = process.stdout
  for (const row of [head, ...rows]) {
    const line = row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd()
    write(`${isTTY ? cut(line, columns) : line}\n`)
  }
}
