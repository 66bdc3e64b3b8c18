/** Starts the program as a user does. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'

export const BIN = join(import.meta.dirname, '../../bin/runbook.js')

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs the program; `during` gets at it while it runs. */
export function runbook(
  args: string[],
  cwd = '.',
  during: (p: { kill(s: NodeJS.Signals): void; out(): string }) => void = () => {},
): Promise<Ended> {
  const env = { ...process.env, XDG_CACHE_HOME: join(import.meta.dirname, '../../.cache'), RUNBOOK_INVENTORY: '' }
  const child = spawn(process.execPath, [BIN, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  const control = { kill: (signal: NodeJS.Signals) => void child.kill(signal), out: () => out }
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    err += chunk
    during(control)
  })
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk
    during(control)
  })
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })))
}
