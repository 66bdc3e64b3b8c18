import { isDeepStrictEqual } from 'node:util'
import type { Host } from '../inventory/index.ts'
import { Touched } from '../module/resources.ts'
import type { Handler } from '../playbook/playbook.ts'
import type { Target } from '../session/session.ts'
import type { HostRecap } from '../shared/events.ts'
import type { Link } from './link.ts'

/** Why a host takes no further part in the run. */
export type Ended = 'failed' | 'unreachable' | undefined

/** What a run knows of one host. Lives as long as the run; plays come and go over it. */
export class HostState {
  readonly host: Host
  link: Link
  /** Milliseconds that its facts are kept for later runs, and taken from earlier ones; undefined: neither. */
  readonly factsMaxAgeMs: number | undefined
  #scriptsBefore = 0
  facts: Readonly<Record<string, unknown>> | undefined
  /** `register` and set_fact values. Replaced as a whole when it changes, so that a scope can keep the one it has. */
  vars: ReadonlyMap<string, unknown> = new Map()
  /** While a window is made: what the tasks of it will set, values or PENDING. */
  ahead: ReadonlyMap<string, unknown> | undefined
  ended: Ended
  readonly recap: HostRecap = {
    ok: 0,
    changed: 0,
    skipped: 0,
    failed: 0,
    ignored: 0,
    rescued: 0,
    unreachable: 0,
    round_trips: 0,
  }
  /** Handlers that are owed in the present play, and which task asked for them first. */
  readonly notified = new Map<Handler, string>()

  /** What the include that brought a handler adds, or those around the last task that notified it: their loop's item. */
  readonly handlerVars = new Map<Handler, ReadonlyMap<string, unknown>>()

  /** Check mode: what changes that were not made would have touched. */
  readonly unapplied = new Touched()
  /** Names of those that plays before it left owed. */
  readonly owed: string[] = []

  constructor(host: Host, link: Link, factsMaxAgeMs?: number) {
    this.host = host
    this.link = link
    this.factsMaxAgeMs = factsMaxAgeMs
  }

  get name(): string {
    return this.host.name
  }

  /** Scripts that were run on the host, over all connections. */
  get scripts(): number {
    return this.#scriptsBefore + this.link.scripts
  }

  /** A play can reach a host in another way (remote_user) than the one before; then the old connection ends. */
  async use(target: Target, makeLink: () => Link): Promise<void> {
    if (isDeepStrictEqual(target, this.link.target)) return
    await this.link.drop()
    this.#scriptsBefore = this.scripts
    this.link = makeLink()
  }

  setVars(entries: Iterable<readonly [string, unknown]>): void {
    this.vars = new Map([...this.vars, ...entries])
  }
}
