import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** sysconf(_SC_CLK_TCK) on Linux. */
const TICKS_PER_SECOND = 100

export interface Cost {
  readonly cpuSeconds: number
  readonly peakMb: number
  readonly wallSeconds: number
  readonly code: number | null
  /** The last megabytes of it. */
  readonly stdout: string
  readonly stderr: string
}

/** Runs a process to its end and reads what it costs from /proc while it lives: the last look is at most 20 ms before. */
export async function costOf(argv: readonly string[]): Promise<Cost> {
  const started = performance.now()
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout = (stdout + chunk).slice(-2_000_000)
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  let ticks = 0
  let peakKb = 0
  const timer = setInterval(() => {
    try {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')
      ticks = Number(fields[11]) + Number(fields[12])
      peakKb = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? peakKb)
    } catch {
      // It has just ended.
    }
  }, 20)
  const code = await new Promise<number | null>((done) => child.on('close', done))
  clearInterval(timer)
  return {
    cpuSeconds: ticks / TICKS_PER_SECOND,
    peakMb: peakKb / 1024,
    wallSeconds: (performance.now() - started) / 1000,
    code,
    stdout,
    stderr,
  }
}
