/** `runbook netboot serve`. */
import { once } from 'node:events'
import { join } from 'node:path'
import { ActivityLog } from '../../netboot/activity.ts'
import { addressesOf, formatIp4 } from '../../netboot/address.ts'
import type { NetbootConfig } from '../../netboot/config.ts'
import { probe } from '../../netboot/dhcp/probe.ts'
import { startNetboot } from '../../netboot/netboot.ts'
import { EXIT } from '../exit.ts'
import { Follower } from '../netboot-follow.ts'
import { Restarter } from '../netboot-power.ts'
import { type NetbootFlags, open, write } from './netboot.ts'

/** Serves until Ctrl-C or SIGTERM, with a line for each thing that happens to a machine. */
export async function serve(flags: NetbootFlags): Promise<number> {
  using opened = await open(flags)
  const { config, directory, folder, trouble } = opened
  using activity = new ActivityLog(opened.db, (name) => directory.machines.has(name), trouble)
  const say = (machine: string, what: string): void => {
    activity.note(machine, Date.now(), what)
    write(`${new Date().toTimeString().slice(0, 8)}  ${machine.padEnd(20)}  ${what}\n`)
  }
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort())
  // TFTP and HTTP events have only an address; DHCP, which came before, knows whose it is.
  const names = new Map<string, string>()
  const follower = new Follower({ ...opened, flags, say })
  const restarter = new Restarter({
    ...opened,
    inventory: () => opened.inventory,
    giveUp: { repave: config.repave.giveUp, reboot: config.reboot.giveUp },
    say,
  })
  await using _ = await startNetboot({
    ...opened,
    leases: join(folder, '.runbook', 'leases'),
    onTrouble: trouble,
    on: {
      dhcp({ mac, machine = mac, message = 'packet', answer, address, file, reason, kind }) {
        // Strangers that get no answer are counted, and not shown: a busy network has many.
        if (machine === mac && answer === undefined) return
        if (address !== undefined) names.set(address, machine)
        if (names.size > 10_000) names.clear()
        const got =
          answer === undefined
            ? `no answer: ${reason}`
            : [answer, address, file && shorten(file)].filter(Boolean).join(' ')
        say(machine, `${message} (${kind}) → ${got}`)
      },
      tftp({ client, file, outcome, bytes, took, reason }) {
        if (outcome === 'started') return
        say(
          names.get(client) ?? client,
          `TFTP ${shorten(file)} ${outcome}, ${size(bytes)} in ${Math.round(took)} ms${reason ? `: ${reason}` : ''}`,
        )
      },
      http({ client, method, path, status, bytes, complete, took }) {
        const end = complete ? '' : ', broken off'
        say(names.get(client) ?? client, `${method} ${path} ${status}, ${size(bytes)} in ${took} ms${end}`)
      },
      boot: ({ machine, what }) => say(machine, what),
      reachable: (name) => follower.follow(name),
      tick: (late) => restarter.look(late),
    },
  })
  const where = addressesOf(config.interfaces).join(', ')
  write(
    `serving ${directory.machines.size} machines on ${where} (DHCP ${config.dhcp.mode}, TFTP, HTTP port ${config.http.port})\n`,
  )
  if (config.dhcp.mode === 'server') void lookForOthers(config, trouble)
  // What a crash or a restart broke off.
  for (const name of opened.machines.toFollow()) follower.follow(name)
  if (!stop.signal.aborted) await once(stop.signal, 'abort')
  await Promise.all([follower.stop(), restarter.stop()])
  return EXIT.done
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
