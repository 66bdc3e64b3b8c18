/** Which process holds a lock, and whether it is known to be gone. */
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { isAlive, processName } from '../../journal/process.ts'

/** This process: its number means something only within its PID namespace. */
export function thisProcess(): string {
  return `${pidNamespace()} ${processName()}`
}

/**
 * Whether a process has certainly ended. That can be said only of one that this process would see: of the same boot of the
 * same machine, in the same PID namespace. Never of one elsewhere: it may just not be able to reach anything.
 */
export function isKnownDead(process: string): boolean {
  const space = process.indexOf(' ')
  const name = process.slice(space + 1)
  try {
    const [host, , start] = JSON.parse(name) as [string, number, string | null]
    if (process.slice(0, space) !== pidNamespace() || host !== hostname() || start === null) return false
    return start.startsWith(`${bootId()}/`) && !isAlive(name)
  } catch {
    return false
  }
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return 'unknown'
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
}
