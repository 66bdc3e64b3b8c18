/** What follows when an installed machine phones home: its host keys are pinned, and its profile's playbook is applied. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Inventory, targetOf } from '../inventory/index.ts'
import type { Directory } from '../netboot/directory.ts'
import type { Machines } from '../netboot/machines.ts'
import { keyPlaceOf, pinHostKeys } from '../session/pin-host-keys.ts'
import { makeScope } from '../values/index.ts'
import { EXIT } from './exit.ts'
import { inventorySources } from './inputs.ts'

export interface FollowOptions {
  readonly inventory: () => Inventory
  readonly directory: Directory
  readonly machines: Machines
  /** Where `.runbook/` stands. */
  readonly folder: string
  readonly flags: { readonly config: string; readonly inventory: readonly string[] }
  readonly say: (machine: string, what: string) => void
}

/** How often a machine that cannot be reached yet is tried again, and the milliseconds in between. */
const TRIES = 10
const PAUSE = 15_000
const WAIT_FOR_LOCK = '30m'
/** Playbooks applied at the same time: a rack that was installed comes up at once. */
const AT_ONCE = 10

export class Follower {
  readonly #options: FollowOptions
  readonly #stop = new AbortController()
  readonly #running = new Map<string, Promise<void>>()
  readonly #waiting: string[] = []

  constructor(options: FollowOptions) {
    this.#options = options
  }

  /** Does what follows for a machine, in the background. What is broken off is begun again at the next start. */
  follow(name: string): void {
    if (this.#running.size >= AT_ONCE || this.#running.has(name)) {
      if (!this.#waiting.includes(name)) this.#waiting.push(name)
      return
    }
    const work = this.#follow(name)
      .catch((error: Error) => this.#options.say(name, `what follows on its installation failed: ${error.message}`))
      .finally(() => {
        this.#running.delete(name)
        const next = this.#waiting.shift()
        if (next !== undefined && !this.#stop.signal.aborted) this.follow(next)
      })
    this.#running.set(name, work)
  }

  /** Ends what runs, as Ctrl-C does, and waits for it. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#running.values())
  }

  async #follow(name: string): Promise<void> {
    const { machines, directory, say } = this.#options
    const machine = directory.machines.get(name)
    await this.#pin(name)
    const profile = machine && directory.profileOf(machine)?.profile
    const playbook = profile?.kind === 'kernel' ? profile.apply : undefined
    if (playbook === undefined) return machines.followed(name, Date.now(), 'host keys pinned')
    say(name, `apply ${playbook}; its output is in ${this.#log(name)}`)
    let code = await this.#apply(name, playbook)
    for (let tries = 1; code === EXIT.unreachable && tries < TRIES && !this.#stop.signal.aborted; tries++) {
      await sleep(PAUSE, undefined, { signal: this.#stop.signal }).catch(() => {})
      if (!this.#stop.signal.aborted) code = await this.#apply(name, playbook)
    }
    if (this.#stop.signal.aborted && code !== EXIT.done) return
    const result = code === EXIT.done ? `${playbook} applied` : `${playbook} ended with ${code}: see ${this.#log(name)}`
    machines.followed(name, Date.now(), result)
    say(name, result)
  }

  async #pin(name: string): Promise<void> {
    const { inventory, machines, say } = this.#options
    const keys = machines.hostKeys(name)
    const { hosts, groups: all } = inventory()
    const host = hosts.get(name)
    if (host === undefined || keys.length === 0) return
    const groups = Object.fromEntries([...all].map(([group, { hosts }]) => [group, hosts]))
    const magic = { inventory_hostname: host.name, group_names: host.groups, groups }
    const target = targetOf(host, makeScope([...host.layers, { name: 'runbook', vars: magic }]))
    const { file, name: known } = keyPlaceOf(target)
    await pinHostKeys(file, known, keys)
    say(name, `its ${keys.length} host keys are in ${file} as ${known}`)
  }

  #log(name: string): string {
    return join(this.#options.folder, '.runbook', 'apply', `${name.replace(/[^\w.-]/g, '_')}.log`)
  }

  /** The exit code of `runbook apply`, run as a user would. */
  async #apply(name: string, playbook: string): Promise<number> {
    const { flags, folder } = this.#options
    const sources = inventorySources(flags.inventory, [flags.config])
    mkdirSync(join(folder, '.runbook', 'apply'), { recursive: true, mode: 0o700 })
    const log = openSync(this.#log(name), 'a', 0o600)
    // What a killed server began may still run, and holds the machine's lock.
    const args = [process.argv[1]!, 'apply', playbook, '--limit', name, '--wait-lock', WAIT_FOR_LOCK]
    args.push(...sources.flatMap((one) => ['-i', one]))
    const child: ChildProcess = spawn(process.execPath, args, { stdio: ['ignore', log, log] })
    const stop = (): void => void child.kill('SIGINT')
    this.#stop.signal.addEventListener('abort', stop, { once: true })
    const [code] = (await once(child, 'close')) as [number | null]
    this.#stop.signal.removeEventListener('abort', stop)
    return code ?? EXIT.bug
  }
}
