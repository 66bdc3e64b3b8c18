/** Restarts machines through their power control: for reboots, for repaves that ask for it, and when both are given up. */
import pLimit from 'p-limit'
import { explain, type Inventory } from '../inventory/index.ts'
import type { Late, Machines } from '../netboot/machines.ts'
import { openPower, POWER_VARIABLE, type PowerSettings, parsePower } from '../power/config.ts'
import { PowerError } from '../power/errors.ts'
import type { Power } from '../power/power.ts'
import { Problems } from '../shared/errors.ts'
import { makeScope } from '../values/index.ts'
import { redactor } from './secrets.ts'

export interface RestarterOptions {
  readonly inventory: () => Inventory
  readonly machines: Machines
  /** Where `.runbook/` stands. */
  readonly folder: string
  /** What is done with a machine after the last try. */
  readonly giveUp: { readonly repave: 'leave' | 'off'; readonly reboot: 'leave' | 'off' }
  readonly say: (machine: string, what: string) => void
}

/** Machines restarted at the same time: a rack that loads its kernels at once fills the wire. */
const AT_ONCE = 10

export class Restarter {
  readonly #options: RestarterOptions
  readonly #limit = pLimit(AT_ONCE)
  readonly #stop = new AbortController()
  readonly #running = new Set<Promise<void>>()
  /** What is under way, by machine. */
  readonly #busy = new Set<string>()

  constructor(options: RestarterOptions) {
    this.#options = options
  }

  /** Begins what is due, in the background. Machines without power control are left to who restarts them by hand. */
  look(late: readonly Late[]): void {
    const { machines, giveUp, say } = this.#options
    for (const { name, gaveUp } of late) {
      if (gaveUp === undefined || giveUp[gaveUp] !== 'off' || !this.#has(name)) continue
      this.#begin(name, async (power) => {
        await power.off({ signal: this.#stop.signal, force: true })
        say(name, `its ${gaveUp} is given up: turned off`)
      })
    }
    for (const name of machines.toRestart(Date.now())) {
      if (this.#has(name)) this.#begin(name, (power) => this.#restart(name, power))
    }
  }

  /** Ends what runs and waits for it. What was begun and not seen is tried again, as the settings say, at the next start. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#running)
  }

  #has(name: string): boolean {
    try {
      return powerOf(this.#options.inventory(), name) !== undefined
    } catch (error) {
      this.#options.machines.apply(name, { type: 'restarting', at: Date.now() })
      this.#fail(name, error)
      return false
    }
  }

  #begin(name: string, work: (power: Power) => Promise<void>): void {
    if (this.#busy.has(name) || this.#stop.signal.aborted) return
    this.#busy.add(name)
    const running = this.#limit(async () => {
      if (this.#stop.signal.aborted) return
      const settings = powerOf(this.#options.inventory(), name)
      if (settings === undefined) return
      await using power = openPower(settings, {
        host: name,
        folder: this.#options.folder,
        note: (text) => this.#options.say(name, text),
        addSecret: (secret) => redactor.add(secret),
      })
      await work(power)
    })
      .catch((error: unknown) => this.#fail(name, error))
      .finally(() => {
        this.#busy.delete(name)
        this.#running.delete(running)
      })
    this.#running.add(running)
  }

  async #restart(name: string, power: Power): Promise<void> {
    const { machines, say } = this.#options
    const { state, refused } = machines.apply(name, { type: 'restarting', at: Date.now() })
    if (refused !== undefined) return
    const { force = false } = state.restart ?? {}
    const { signal } = this.#stop
    say(name, `is restarted from the network through ${power.description}`)
    try {
      await power.bootOnce('pxe', { signal })
    } catch (error) {
      // Its firmware may do that by itself; whether it did is what is waited for.
      if (!(error instanceof PowerError) || error.kind !== 'unsupported') throw error
    }
    await power.cycle({ signal, force })
  }

  #fail(name: string, error: unknown): void {
    if (this.#stop.signal.aborted) return
    const { machines, say } = this.#options
    const reason = redactor.redact(`power control: ${(error as Error).message}`).slice(0, 400)
    say(name, reason)
    machines.apply(name, { type: 'not-restarted', at: Date.now(), reason })
  }
}

/** How a machine's power is controlled; undefined where nobody knows. Throws UserError for what is wrong with it. */
export function powerOf(inventory: Inventory, name: string): PowerSettings | undefined {
  const host = inventory.hosts.get(name)
  if (host === undefined) return undefined
  const groups = Object.fromEntries([...inventory.groups].map(([group, { hosts }]) => [group, hosts]))
  const magic = { inventory_hostname: name, group_names: host.groups, groups }
  const value = makeScope([...host.layers, { name: 'runbook', vars: magic }], { redactor }).get(POWER_VARIABLE)
  if (value === undefined || value === null) return undefined
  return parsePower(name, value, explain(host.layers, POWER_VARIABLE)[0]?.place)
}

/** `powerOf` for a command line: several machines, all problems at once. Throws UserError. */
export function withPower(inventory: Inventory, names: Iterable<string>): Set<string> {
  const problems = new Problems()
  const known = new Set<string>()
  for (const name of names) problems.catch(() => powerOf(inventory, name) && known.add(name))
  problems.throwIfAny()
  return known
}
