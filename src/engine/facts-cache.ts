import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { explain, type Host } from '../inventory/index.ts'
import type { Target } from '../session/session.ts'
import { UserError } from '../shared/errors.ts'
import type { Scope } from '../values/index.ts'

type Facts = Readonly<Record<string, unknown>>
type Who = Pick<Target, 'name' | 'address'>

/** Seconds that facts of a host are good for; `--facts-max-age` stands above it. */
const VARIABLE = 'runbook_facts_max_age'

/** Milliseconds from a host's `runbook_facts_max_age`; undefined: its facts are not kept. Throws UserError. */
export function factsMaxAgeOf(host: Host, scope: Scope): number | undefined {
  const value = scope.has(VARIABLE) ? (scope.get(VARIABLE) ?? undefined) : undefined
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(String(value))) return Number(value) * 1000
  throw new UserError({
    message: `host ${host.name}: ${VARIABLE} must be a number of seconds, such as 3600`,
    place: explain(host.layers, VARIABLE)[0]?.place,
  })
}

/**
 * Facts that earlier runs gathered, in `.runbook/facts/HOST.json` (0600). A host that answers at another
 * address now is another host. The cache is a help: what cannot be read or written there is as if it was not there.
 */
export class FactsCache {
  readonly #folder: string

  constructor(stateDir: string) {
    this.#folder = join(stateDir, '.runbook', 'facts')
  }

  /** Undefined when there are none, or they are too old. */
  read(host: Who, maxAgeMs: number): Facts | undefined {
    try {
      const { at, address, facts } = JSON.parse(readFileSync(this.#path(host), 'utf8')) as Record<string, unknown>
      const age = Date.now() - Number(at)
      // A clock that was put back makes none of them young.
      if (!(age >= 0 && age <= maxAgeMs) || address !== host.address) return undefined
      return typeof facts === 'object' && facts !== null && !Array.isArray(facts) ? (facts as Facts) : undefined
    } catch {
      return undefined
    }
  }

  write(host: Who, facts: Facts): void {
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
      const path = this.#path(host)
      const temporary = `${path}.${process.pid}.new`
      writeFileSync(temporary, JSON.stringify({ at: Date.now(), address: host.address, facts }), { mode: 0o600 })
      chmodSync(temporary, 0o600)
      renameSync(temporary, path)
    } catch {
      // The next run gathers them.
    }
  }

  forget(host: Who): void {
    rmSync(this.#path(host), { force: true })
  }

  /** Names of hosts may hold anything; those of files not. */
  #path({ name }: Who): string {
    return join(this.#folder, `${encodeURIComponent(name).replaceAll('.', '%2E')}.json`)
  }
}
