/** Power control by a program of the site's: a PDU, a hypervisor, a robot with a finger. */
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BootTarget, PowerAction, PowerDriver, PowerState } from './driver.ts'
import { PowerError } from './errors.ts'

export interface CommandSettings {
  /** Program and arguments; no shell. */
  readonly argv: readonly string[]
  /** More environment, beside HOST and ACTION. */
  readonly env: Readonly<Record<string, string>>
  /** Milliseconds that one call may take. */
  readonly timeoutMs: number
}

/** Exit status for "this program cannot do that": EX_USAGE of sysexits.h. */
const CANNOT = 64

/** Bytes of output that are kept. */
const MOST_OUTPUT = 64 * 1024

/** Milliseconds to read what stands in the pipes after the program has ended. */
const DRAIN_MS = 250

/**
 * The program is run with HOST and ACTION: `state` (prints on, off or unknown; nothing where it cannot tell), `on`,
 * `soft-off`, `hard-off`, `reset`, `boot-pxe`, `boot-none` and so on. Exit status 0: done; 64: cannot do that; else failed.
 */
export function commandDriver(host: string, settings: CommandSettings): PowerDriver {
  let seesPower = true
  const call = async (action: string, signal: AbortSignal): Promise<string> => {
    const { code, out, err } = await run(host, settings, action, signal)
    if (code === 0) return out
    const said = err.trim().split('\n').slice(-3).join('; ') || out.trim().split('\n').at(-1) || 'without a word'
    const kind = code === CANNOT ? 'unsupported' : 'refused'
    throw new PowerError(kind, host, `${settings.argv[0]} ended with ${code} for ACTION=${action}: ${said}`)
  }
  return {
    description: `command ${settings.argv[0]}`,
    get seesPower() {
      return seesPower
    },
    async state(signal): Promise<PowerState> {
      const word = (await call('state', signal)).trim().toLowerCase()
      if (word === '') seesPower = false
      if (word === 'on' || word === 'off' || word === 'unknown' || word === '') return word || 'unknown'
      throw new PowerError('protocol', host, `${settings.argv[0]} said "${word.slice(0, 80)}" for ACTION=state`, {
        hint: 'it must print on, off or unknown, and nothing else, on its standard output',
      })
    },
    act: async (action: PowerAction, signal) => void (await call(action, signal)),
    async boot(target: BootTarget, signal) {
      await call(`boot-${target}`, signal)
      return { target, once: target !== 'none', notes: [] }
    },
    async [Symbol.asyncDispose]() {},
  }
}

function run(
  host: string,
  { argv, env, timeoutMs }: CommandSettings,
  action: string,
  signal: AbortSignal,
): Promise<{ code: number | string; out: string; err: string }> {
  const timeout = AbortSignal.timeout(timeoutMs)
  const stop = AbortSignal.any([signal, timeout])
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0]!, argv.slice(1), {
      env: { ...process.env, ...env, HOST: host, ACTION: action },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own, so that what a script runs is killed with it.
      detached: true,
    })
    let out = ''
    let err = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out = (out + text).slice(-MOST_OUTPUT)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err = (err + text).slice(-MOST_OUTPUT)
    })
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
    stop.addEventListener('abort', kill, { once: true })
    if (stop.aborted) kill()
    const close = (): void => {
      stop.removeEventListener('abort', kill)
      child.stdout.destroy()
      child.stderr.destroy()
    }
    child.on('error', (cause) => {
      close()
      const message = `${argv[0]} cannot be run: ${cause.message}`
      reject(new PowerError('refused', host, message, { cause, hint: 'check path and permissions' }))
    })
    child.on('exit', async (code, killed) => {
      // What it leaves running may hold its output open for ever; what it has said itself is there by now.
      await Promise.race([new Promise((done) => child.once('close', done)), sleep(DRAIN_MS)])
      close()
      if (signal.aborted) reject(signal.reason)
      else if (timeout.aborted && killed) {
        const message = `${argv[0]} did not end within ${timeoutMs / 1000} s for ACTION=${action}`
        reject(new PowerError('unreachable', host, message))
      } else resolve({ code: code ?? killed ?? 'nothing', out, err })
    })
  })
}
