/**
 * One node's turn: `runbook apply PLAYBOOK --limit HOST` as a process of its own. It writes to files, so that it lives on
 * when the daemon dies, and the next daemon takes it up again.
 */
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readSync, statSync, writeFileSync } from 'node:fs'
import { isAlive, processName } from '../../journal/process.ts'
import { quoteAll } from '../../shared/quote.ts'
import {
  type Attempt,
  begunBefore,
  type Files,
  filesOf,
  readFile,
  type Started,
  startedOf,
  touchedBefore,
} from './attempts.ts'
import { endOf, lastWord, type NodeEnd, parseLine } from './node-end.ts'
import { Progress, type Touch } from './progress.ts'
import { DEFAULT_PLAYBOOK } from './schema.ts'

export interface NodeRun {
  /** Its name in journal/process.ts. */
  readonly process: string
  readonly done: Promise<NodeEnd>
  /** The same for a person, who goes on with it. */
  readonly command: string
  touch(): Touch
  /** First: it finishes the step it is at. Again: now. */
  stop(): void
}

export interface NodeRunRequest extends Attempt {
  /** By `runbook node maintain`, with its guards, and not by `runbook apply`. */
  readonly cycle: boolean
  /** Told to those who find the node cordoned. */
  readonly reason: string
  readonly inventory: readonly string[]
  /** Of the window itself. */
  readonly vars: Readonly<Record<string, unknown>>
  /** Where it runs: a relative path in the inventory begins there. */
  readonly cwd: string
  /** Names the opening. */
  readonly occurrence: string
  /** Told of the step that is under way, with ` …` behind it, or else of the last that came to its end. */
  readonly onStep: (step: string) => void
}

/** What starts runbook: Node and its script. */
export type Program = readonly [string, ...string[]]

/** How often files and processes are looked at. Milliseconds. */
const LOOK = 300

/** Starts it. Throws when no process can be had. */
export function startNode(program: Program, request: NodeRunRequest): NodeRun {
  const { vars, folder } = request
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const files = filesOf(request)
  if (Object.keys(vars).length > 0) writeFileSync(files.vars, JSON.stringify(vars), { mode: 0o600 })
  const args = argsOf(request, files)
  const [out, err] = [openSync(files.out, 'w', 0o600), openSync(files.err, 'w', 0o600)]
  try {
    // Its own process group: a Ctrl-C at the daemon's terminal is the daemon's to hand on.
    const child = spawn(program[0], [...program.slice(1), ...args], {
      cwd: request.cwd,
      detached: true,
      stdio: ['ignore', out, err],
      env: childEnvironment(),
    })
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
      child.once('error', () => resolve())
    })
    child.unref()
    if (child.pid === undefined) throw new Error(`cannot start ${program[0]}`)
    const name = processName(child.pid)
    const started: Started = { process: name, playbook: request.playbook }
    writeFileSync(files.started, JSON.stringify(started), { mode: 0o600 })
    return follow(child.pid, name, files, request, ended)
  } finally {
    closeSync(out)
    closeSync(err)
  }
}

/**
 * A run that was killed leaves the step that it was at, and with it the host's lock, until the step ends. That is no failure
 * of the node; nor is a person who is at work there for a moment.
 */
const WAIT_LOCK = '15m'

function argsOf(request: NodeRunRequest, files: Files): string[] {
  const { host, playbook, cycle, reason, inventory, cwd } = request
  const common = [
    ...inventory.flatMap((one) => ['-i', one]),
    // -v: what is begun is told, too; see Progress.
    ...['-v', ...varsOf(request, files), '--wait-lock', WAIT_LOCK, '--folder', cwd],
  ]
  if (cycle) return ['node', 'maintain', host, '--playbook', playbook, '--reason', reason, '--json', '--yes', ...common]
  const resume = begunBefore(request) ? ['--resume'] : []
  return ['apply', playbook, `--limit=${host}`, '--output', 'json', ...common, ...resume]
}

function commandOf(request: NodeRunRequest, files: Files): string {
  const { host, playbook, cycle, reason, inventory, cwd } = request
  const common = ['--folder', cwd, ...inventory.flatMap((one) => ['-i', one]), ...varsOf(request, files)]
  if (!cycle) return quoteAll(['runbook', 'apply', playbook, '--limit', host, ...common, '--resume'])
  const other = playbook === DEFAULT_PLAYBOOK ? [] : ['--playbook', playbook]
  return quoteAll(['runbook', 'node', 'maintain', host, ...other, '--reason', reason, ...common])
}

/**
 * Variables of the command line. `nodes` is what the shipped playbooks call their hosts; the opening makes this run another
 * one than that of the last opening, which `--resume` would go on with if it had come to no good end.
 */
function varsOf({ host, cycle, vars, occurrence }: NodeRunRequest, files: Files): string[] {
  const own = Object.keys(vars).length > 0 ? ['-e', `@${files.vars}`] : []
  return [...(cycle ? [] : ['-e', `nodes=${host}`, '-e', `runbook_window=${occurrence}`]), ...own]
}

/**
 * Takes up one that a daemon before this one started; undefined when it is at its end and its last words are missing.
 * `known`: its process; null when that daemon died before it had written it down with the node.
 */
export function adoptNode(known: string | null, request: NodeRunRequest): NodeRun | undefined {
  const files = filesOf(request)
  const process = known ?? startedOf(files)?.process
  if (process === undefined) return undefined
  const [, pid] = JSON.parse(process) as [string, number]
  if (!isAlive(process) && lastWord(readFile(files.out)) === undefined) return undefined
  return follow(pid, process, files, request, undefined)
}

function follow(
  pid: number,
  process_: string,
  files: Files,
  request: NodeRunRequest,
  ended: Promise<void> | undefined,
): NodeRun {
  const { host, onStep } = request
  const tail = new Tail(files.out)
  const progress = new Progress()
  const before = touchedBefore(request)
  let stops = 0
  let said: string | undefined
  const look = (): void => {
    let step = said
    for (let lines = tail.lines(); lines; lines = tail.lines()) {
      for (const event of lines.map(parseLine)) {
        if (event === undefined) continue
        progress.take(event)
        if (event.type === 'task_started') step = `${event.task} …`
        if (event.type !== 'task_result' || event.status === 'skipped') continue
        step = `${event.task}${event.status === 'ok' || event.status === 'changed' ? '' : `: ${event.status}`}`
      }
    }
    if (step !== undefined && step !== said) onStep(step)
    said = step
  }
  const watch = async (): Promise<NodeEnd> => {
    let over = false
    void ended?.then(() => {
      over = true
    })
    // An adopted process is nobody's child here: its end is seen by looking.
    while (!over && (ended !== undefined || isAlive(process_))) {
      await Promise.race([new Promise((resolve) => setTimeout(resolve, LOOK)), ...(ended ? [ended] : [])])
      look()
    }
    look()
    return endOf(host, readFile(files.out), readFile(files.err))
  }
  return {
    process: process_,
    done: watch(),
    command: commandOf(request, files),
    touch: () => {
      look()
      return before ? 'touched' : progress.touch
    },
    stop() {
      if (stops++ > 2 || !isAlive(process_)) return
      try {
        process.kill(pid, 'SIGTERM')
      } catch {
        // It has just ended.
      }
    },
  }
}

/** Without what systemd says to the daemon alone. */
function childEnvironment(): NodeJS.ProcessEnv {
  const { NOTIFY_SOCKET: _, WATCHDOG_USEC: __, WATCHDOG_PID: ___, ...rest } = process.env
  return rest
}

/** Whole lines of a file that grows. */
class Tail {
  readonly #path: string
  #at = 0
  #rest = Buffer.alloc(0)

  constructor(path: string) {
    this.#path = path
  }

  /** Those that came since; undefined when there is nothing new. */
  lines(): string[] | undefined {
    let fd: number | undefined
    try {
      if (statSync(this.#path).size <= this.#at) return undefined
      fd = openSync(this.#path, 'r')
      const chunk = Buffer.alloc(1 << 20)
      const length = readSync(fd, chunk, 0, chunk.length, this.#at)
      this.#at += length
      const all = Buffer.concat([this.#rest, chunk.subarray(0, length)])
      const end = all.lastIndexOf(10)
      this.#rest = all.subarray(end + 1)
      return all.subarray(0, Math.max(0, end)).toString('utf8').split('\n').filter(Boolean)
    } catch {
      return undefined
    } finally {
      if (fd !== undefined) closeSync(fd)
    }
  }
}
