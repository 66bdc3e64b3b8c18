import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Target } from '../session/session.ts'

type Facts = Readonly<Record<string, unknown>>
type Who = Pick<Target, 'name' | 'address'>

/**
 * Facts that earlier runs gathered, in `.runbook/facts/HOST.json` (0600). A host that answers at another
 * address now is another host. The cache is a help: what cannot be read or written there is as if it was not there.
 */
export class FactsCache {
  readonly #folder: string
  readonly #maxAgeMs: number

  constructor(stateDir: string, maxAgeMs: number) {
    this.#folder = join(stateDir, '.runbook', 'facts')
    this.#maxAgeMs = maxAgeMs
  }

  /** Undefined when there are none, or they are too old. */
  read(host: Who): Facts | undefined {
    try {
      const { at, address, facts } = JSON.parse(readFileSync(this.#path(host), 'utf8')) as Record<string, unknown>
      const age = Date.now() - Number(at)
      // A clock that was put back makes none of them young.
      if (!(age >= 0 && age <= this.#maxAgeMs) || address !== host.address) return undefined
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
