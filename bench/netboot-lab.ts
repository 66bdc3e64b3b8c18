/** What the netboot benchmarks share: a process, its CPU time, and a table. */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Ends what it was given, last first. */
export class Bench implements AsyncDisposable {
  readonly #ends: (() => Promise<void>)[] = []

  teardown(end: () => Promise<void>): void {
    this.#ends.push(end)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends.reverse()) await end()
  }
}

/** User and system time of a process and its threads so far, in seconds. `ip netns exec` execs, so the pid is its own. */
export function cpuSeconds(child: ChildProcess | number): number {
  const pid = typeof child === 'number' ? child : child.pid!
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / Number(execFileSync('getconf', ['CLK_TCK']))
}

/** Resident memory of a process, in MB. */
export function residentMegabytes(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** A Markdown table. */
export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`
  console.log([line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n'))
}

/** What else the machine is doing: a figure measured beside a busy neighbour says little. */
export function load(): string {
  return readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 2).join(' ')
}
