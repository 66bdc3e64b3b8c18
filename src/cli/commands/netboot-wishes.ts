/** `runbook netboot repave` and `reboot`: what operators wish for, and servers carry out. */
import { Desk } from '../../netboot/boot.ts'
import type { WishSettings } from '../../netboot/machines.ts'
import { duration } from '../../report/duration.ts'
import { didYouMean, Problems, UserError } from '../../shared/errors.ts'
import { EXIT } from '../exit.ts'
import { withPower } from '../netboot-power.ts'
import { type NetbootFlags, open, write } from './netboot.ts'

type Opened = Awaited<ReturnType<typeof open>>

/** `netboot repave NODE…`: each of them is installed anew the next time that it boots from the network. */
export async function repave(
  names: readonly string[],
  flags: NetbootFlags & { cancel: boolean; restart: boolean },
): Promise<number> {
  using opened = await open(flags)
  const { config, directory, machines, inventory } = opened
  const desk = new Desk(opened)
  known(names, opened, (name) => {
    const machine = directory.machines.get(name)
    const profile = machine && directory.profileOf(machine)?.profile
    if (flags.cancel) return undefined
    if (profile !== undefined && profile.kind !== 'local') {
      desk.check(name)
      return undefined
    }
    return {
      message: `${name} has no profile that installs it`,
      hint: 'assign one in netboot.yml, or set netboot_profile',
    }
  })
  const power = withPower(inventory, names)
  if (flags.restart) needPower(names, power)
  return each(names, (name, now) => {
    if (flags.cancel) return [machines.apply(name, { type: 'cancel', at: now }).refused, 'repave cancelled']
    const profile = directory.profileOf(directory.machines.get(name)!)?.name
    const why = machines.repave(name, now, config.repave, flags.restart ? config.reboot : undefined)
    const when = flags.restart ? `; ${RESTARTS}` : power.has(name) ? '; --restart restarts it for that' : ''
    return [
      why,
      `will be installed with profile ${profile} at its next network boot, within ${duration(config.repave.valid)}${when}`,
    ]
  })
}

/** `netboot reboot NODE…`: each is restarted, and waited for until it boots from the network. */
export async function reboot(
  names: readonly string[],
  flags: NetbootFlags & { cancel: boolean; force: boolean },
): Promise<number> {
  using opened = await open(flags)
  const { config, machines, inventory } = opened
  known(names, opened, () => undefined)
  const power = withPower(inventory, names)
  return each(names, (name, now) => {
    if (flags.cancel) return [machines.apply(name, { type: 'cancel-restart', at: now }).refused, 'reboot cancelled']
    const why = machines.restart(name, now, { ...config.reboot, force: flags.force })
    return [why, power.has(name) ? RESTARTS : byHand(config.reboot)]
  })
}

const RESTARTS = 'runbook netboot serve restarts it through its power control'
const byHand = ({ valid }: WishSettings): string =>
  `has no runbook_power: restart it by hand; its next network boot is waited for, within ${duration(valid)}`

function needPower(names: readonly string[], power: ReadonlySet<string>): void {
  const without = names.filter((name) => !power.has(name))
  if (without.length === 0) return
  throw new UserError({
    message: `${without.join(', ')}: no runbook_power, so nobody here can restart it`,
    hint: 'leave --restart out and restart it by hand, or see docs/power.md',
  })
}

/** Throws UserError for names that are no machines, and for what `wrong` finds. */
function known(
  names: readonly string[],
  { directory }: Opened,
  wrong: (name: string) => { message: string; hint: string } | undefined,
): void {
  const problems = new Problems()
  for (const name of names) {
    const hint = didYouMean(name, directory.machines.keys()) ?? 'a machine is a host with netboot_mac'
    if (!directory.machines.has(name)) problems.add(`there is no machine ${name} in the inventory`, undefined, hint)
    else {
      const found = problems.catch(() => wrong(name))
      if (found) problems.add(found.message, undefined, found.hint)
    }
  }
  problems.throwIfAny()
}

/** A line for each; `wish` gives why it was refused, if it was, and else what happens. */
function each(
  names: readonly string[],
  wish: (name: string, now: number) => readonly [refused: string | undefined, done: string],
): number {
  let refused = false
  for (const name of new Set(names)) {
    const [why, done] = wish(name, Date.now())
    refused ||= why !== undefined
    write(`${name}: ${why ?? done}\n`)
  }
  return refused ? EXIT.failed : EXIT.done
}
