/** `runbook netboot serve`. */
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import type { Inventory } from '../../inventory/index.ts'
import { ActivityLog } from '../../netboot/activity.ts'
import { addressesOf, formatIp4 } from '../../netboot/address.ts'
import { Desk } from '../../netboot/boot.ts'
import type { NetbootConfig } from '../../netboot/config.ts'
import { probe } from '../../netboot/dhcp/probe.ts'
import { startNetboot } from '../../netboot/netboot.ts'
import { UserError } from '../../shared/errors.ts'
import { sdNotify } from '../../shared/sd-notify.ts'
import { EXIT } from '../exit.ts'
import { inventorySources, openInventory } from '../inputs.ts'
import { InventoryWatch } from '../inventory-watch.ts'
import { Follower } from '../netboot-follow.ts'
import { machinesOf } from '../netboot-machines.ts'
import { Restarter } from '../netboot-power.ts'
import { type NetbootFlags, open, write } from './netboot.ts'

/** Of what may be as many as machines. */
const MOST_SHOWN = 8

/** Serves until Ctrl-C or SIGTERM, with a line for each thing that happens to a machine, for people or as JSON. */
export async function serve(flags: NetbootFlags & { readonly json: boolean }): Promise<number> {
  const tell = (line: string, fields: Readonly<Record<string, unknown>>): void =>
    write(flags.json ? `${JSON.stringify({ time: new Date(), ...fields })}\n` : `${line}\n`)
  using opened = await open(flags, flags.json ? (what) => tell(what, { event: 'warning', what }) : undefined)
  const { config, directory, folder, trouble } = opened
  using activity = new ActivityLog(opened.db, (name) => directory.machines.has(name), trouble)
  const say = (machine: string, what: string, fields: { readonly event: string } = { event: 'machine' }): void => {
    activity.note(machine, Date.now(), what)
    // The journal of systemd has times of its own.
    const time = process.env.JOURNAL_STREAM === undefined ? `${new Date().toTimeString().slice(0, 8)}  ` : ''
    tell(`${time}${machine.padEnd(20)}  ${what}`, { machine, what, ...fields })
  }
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  // TFTP and HTTP events have only an address; DHCP, which came before, knows whose it is. After a restart the inventory does.
  const names = new Map<string, string>()
  const nameOf = (address: string): string =>
    names.get(address) ?? directory.machines.values().find((one) => one.address === address)?.name ?? address
  const inventory = (): Inventory => opened.inventory
  const follower = new Follower({ ...opened, inventory, flags, say })
  const restarter = new Restarter({
    ...opened,
    inventory,
    giveUp: { repave: config.repave.giveUp, reboot: config.reboot.giveUp },
    say,
  })
  await using _ = await startNetboot({
    ...opened,
    leases: join(folder, '.runbook', 'leases'),
    onTrouble: trouble,
    on: {
      dhcp(event) {
        const { mac, machine = mac, message = 'packet', answer, address, file, reason, kind } = event
        // Strangers that get no answer are counted, and not shown: a busy network has many.
        if (answer === undefined && !directory.machines.has(machine)) return
        if (address !== undefined) names.set(address, machine)
        if (names.size > 10_000) names.clear()
        const got =
          answer === undefined
            ? `no answer: ${reason}`
            : answer === 'NAK'
              ? `NAK: ${reason}`
              : [answer, address, file && shorten(file)].filter(Boolean).join(' ')
        const fields = { mac, message, client: kind, answer, address, file: file && shorten(file), reason }
        say(machine, `${message} (${kind}) → ${got}`, { event: 'dhcp', ...fields })
      },
      tftp({ client, file, outcome, bytes, took, reason }) {
        if (outcome === 'started') return
        say(
          nameOf(client),
          `TFTP ${shorten(file)} ${outcome}, ${size(bytes)} in ${Math.round(took)} ms${reason ? `: ${reason}` : ''}`,
          { event: 'tftp', ...{ client, file: shorten(file), outcome, bytes, ms: Math.round(took), reason } },
        )
      },
      http({ client, method, path, status, bytes, complete, took }) {
        const end = complete ? '' : ', broken off'
        const fields = { client, method, path, status, bytes, complete, ms: took }
        const what = `${method} ${path} ${status}, ${size(bytes)} in ${took} ms${end}`
        // An image is read in hundreds of parts, and its installer tells how far it is.
        if (status === 206 && complete) activity.note(nameOf(client), Date.now(), what)
        else say(nameOf(client), what, { event: 'http', ...fields })
      },
      boot: ({ machine, what }) => say(machine, what),
      reachable: (name) => follower.follow(name),
      tick: (late) => restarter.look(late),
    },
  })
  const where = addressesOf(config.interfaces).join(', ')
  const serving = `serving ${directory.machines.size} machines on ${where} (DHCP ${config.dhcp.mode}, TFTP, HTTP port ${config.http.port})`
  tell(serving, { event: 'server', what: serving })
  using _systemd = beat()
  checkProfiles(opened)
  if (config.dhcp.mode === 'server') void lookForOthers(config, trouble)
  // What a crash or a restart broke off.
  for (const name of opened.machines.toFollow()) follower.follow(name)
  const reload = (): Promise<void> => readAgain(opened, flags, (line) => tell(line, { event: 'server', what: line }))
  process.on('SIGHUP', reload)
  await using __ = new InventoryWatch({
    sources: inventorySources(flags.inventory, [flags.config]),
    folders: [dirname(flags.config)],
    changed: reload,
  })
  if (!stop.signal.aborted) await once(stop.signal, 'abort')
  process.off('SIGHUP', reload)
  await Promise.all([follower.stop(), restarter.stop()])
  return EXIT.done
}

/** Tells systemd that we are ready, then that we live, and at the end that we stop. */
function beat(): Disposable {
  const systemd = sdNotify()
  systemd.send('READY=1')
  const timer = systemd.watchdog && setInterval(() => systemd.send('WATCHDOG=1'), systemd.watchdog / 3)
  return {
    [Symbol.dispose]() {
      clearInterval(timer || undefined)
      systemd.send('STOPPING=1')
    },
  }
}

/** Reads the inventory again. One that is wrong changes nothing. */
async function readAgain(
  opened: Awaited<ReturnType<typeof open>>,
  flags: NetbootFlags,
  tell: (line: string) => void,
): Promise<void> {
  const { directory, trouble } = opened
  try {
    const before = new Map(directory.machines)
    const inventory = await openInventory(flags.inventory, [flags.config])
    directory.replace(machinesOf(inventory))
    opened.inventory = inventory
    checkProfiles(opened)
    const names = [...directory.machines.keys()]
    const fresh = names.filter((name) => !before.has(name))
    const gone = [...before.keys()].filter((name) => !directory.machines.has(name))
    const change = [list('new', fresh), list('gone', gone)].filter(Boolean).join('; ')
    tell(`the inventory was read again: ${names.length} machines${change && `; ${change}`}`)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    trouble(`the inventory has changed and cannot be used, so the old one is: ${error.message}`)
  }
}

/** Machines whose profile cannot be filled in are not installed, and those whose address is nowhere get none; the others do. */
function checkProfiles(opened: Awaited<ReturnType<typeof open>>): void {
  const desk = new Desk(opened)
  const wrong: string[] = []
  for (const [name, machine] of opened.directory.machines) {
    const unanswered = opened.directory.unanswered(machine)
    if (unanswered) wrong.push(`${name} gets no answer: ${unanswered}`)
    try {
      desk.check(name)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      wrong.push(`${name} cannot be installed: ${error.message}`)
    }
  }
  for (const message of wrong.slice(0, MOST_SHOWN)) opened.trouble(message)
  if (wrong.length > MOST_SHOWN) opened.trouble(`and ${wrong.length - MOST_SHOWN} machines more`)
}

function list(what: string, names: readonly string[]): string {
  if (names.length === 0) return ''
  return names.length > MOST_SHOWN ? `${names.length} ${what}` : `${what}: ${names.join(', ')}`
}

async function lookForOthers({ interfaces }: NetbootConfig, trouble: (message: string) => void): Promise<void> {
  try {
    for (const { server, interface: name, offered } of await probe(interfaces)) {
      const gives = offered === 0 ? 'boot files' : 'addresses'
      trouble(`another DHCP server, ${formatIp4(server)}, gives ${gives} on ${name}: stop it, or set mode: proxy`)
    }
  } catch (error) {
    trouble(`cannot look for other DHCP servers: ${(error as Error).message}`)
  }
}

function size(bytes: number): string {
  return bytes < 10_000
    ? `${bytes} B`
    : bytes < 10e6
      ? `${Math.round(bytes / 1000)} kB`
      : `${Math.round(bytes / 1e6)} MB`
}

/** A tag is a name of the machine, and no use in a log. */
function shorten(file: string): string {
  return file.replace(/((?:^|\/)(?:m|discover)\/[^/]+\/)[^/]+/, '$1…')
}
