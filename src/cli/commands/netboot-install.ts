/** `runbook netboot install`: a systemd unit for the server. */
import { execFileSync } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { readConfig } from '../../netboot/config.ts'
import { Directory } from '../../netboot/directory.ts'
import { unitText } from '../../netboot/unit.ts'
import { UserError } from '../../shared/errors.ts'
import { inventorySources, openInventory } from '../inputs.ts'
import { machinesOf } from '../netboot-machines.ts'
import { writeUnit } from '../unit-file.ts'
import type { NetbootFlags } from './netboot.ts'

/** Checks netboot.yml and the inventory first: a unit that cannot start helps nobody. State is not touched. */
export async function install(
  flags: NetbootFlags & { readonly print: boolean; readonly user?: string; readonly unit: string },
): Promise<number> {
  const config = readConfig(flags.config)
  new Directory(config, machinesOf(await openInventory(flags.inventory, [flags.config])), flags.site)
  const text = unitText({
    program: [process.execPath, realpathSync(process.argv[1]!)],
    file: resolve(flags.config),
    inventory: inventorySources(flags.inventory, [flags.config]).map(absolute),
    site: flags.site,
    user: flags.user,
    ssh: join(homeOf(flags.user), '.ssh'),
    rawSockets: config.routerAdvertisement,
  })
  return writeUnit(text, flags)
}

function homeOf(user: string | undefined): string {
  if (user === undefined) return homedir()
  try {
    const entry = execFileSync('getent', ['passwd', '--', user], { encoding: 'utf8' })
    return entry.split(':')[5] ?? '/'
  } catch {
    const hint = `useradd --system --create-home ${user}; what is beside netboot.yml must be the user's`
    throw new UserError({ message: `there is no user ${user}`, hint })
  }
}

/** Names of hosts (`a,b,`) stay as they are. */
const absolute = (source: string): string => (isAbsolute(source) || source.includes(',') ? source : resolve(source))
