import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'

/**
 * Names a process so that it is not mistaken for a later one with the same number: machine, pid and, where /proc tells
 * it, the start time in clock ticks since boot (field 22 of proc_pid_stat(5)) with the boot's id.
 */
export function processName(pid = process.pid): string {
  return JSON.stringify([hostname(), pid, startTime(pid) ?? null])
}

/** Whether the process of a name still runs. One on another machine cannot be asked and counts as gone. */
export function isAlive(name: string): boolean {
  const [host, pid, start] = JSON.parse(name) as [string, number, string | null]
  if (host !== hostname()) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  return start === null || startTime(pid) === start
}

/** Whether a process was started since this machine has booted: what it wrote to files is all there, however it ended. */
export function isOfThisBoot(name: string): boolean {
  const [host, , start] = JSON.parse(name) as [string, number, string | null]
  return host === hostname() && start !== null && start.startsWith(`${bootId()}/`)
}

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()

function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name in parentheses may hold spaces and parentheses; what follows the last one is field 3.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie has ended; whoever should take note of it has not yet, or never will.
    if (state === 'Z') return undefined
    const ticks = fields[18]
    return `${bootId()}/${ticks}`
  } catch {
    return undefined
  }
}
