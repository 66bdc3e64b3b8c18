import { execFile } from 'node:child_process'
import { constants } from 'node:os'

export interface CommandResult {
  /** Exit status; 128 + n when a signal n ended the command. */
  readonly rc: number
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  /** Standard input; empty without it. */
  readonly input?: string | undefined
  readonly env?: NodeJS.ProcessEnv | undefined
  /** Milliseconds after which the command is killed; none without it. */
  readonly timeoutMs?: number | undefined
}

/** Runs a command and gives its result whatever its exit status. Rejects when it cannot be started or runs too long. */
export function attempt(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [file, ...args] = argv
  return new Promise((resolve, reject) => {
    const settings = {
      env: options.env,
      timeout: options.timeoutMs ?? 0,
      killSignal: 'SIGKILL',
      maxBuffer: 256 << 20,
    } as const
    const child = execFile(file!, args, settings, (error, stdout, stderr) => {
      if (!error) resolve({ rc: 0, stdout, stderr })
      else if (error.killed) reject(new Error(`${argv.join(' ')}: killed after ${options.timeoutMs} ms`))
      else if (typeof error.code === 'number') resolve({ rc: error.code, stdout, stderr })
      else if (error.signal) resolve({ rc: 128 + signalNumber(error.signal), stdout, stderr })
      else reject(new Error(`cannot run ${file}: ${error.message}`, { cause: error }))
    })
    child.stdin?.on('error', () => {}) // a command that does not read its input is not an error
    child.stdin?.end(options.input)
  })
}

/** Runs a command that has to succeed; returns its standard output. */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { rc, stdout, stderr } = await attempt(argv, options)
  if (rc !== 0) throw new Error(`${argv.join(' ')}: exit status ${rc}\n${stderr.trim()}`)
  return stdout
}

function signalNumber(signal: NodeJS.Signals): number {
  return constants.signals[signal]
}
