/**
 * One node's turn: `runbook apply PLAYBOOK --limit HOST` as a process of its own. It writes to files, so that it lives on
 * when the daemon dies, and the next daemon takes it up again.
 */
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive, isOfThisBoot, processName } from '../../journal/process.ts'
import { quoteAll } from '../../shared/quote.ts'
import { Progress, type Touch } from './progress.ts'
import { DEFAULT_PLAYBOOK } from './schema.ts'

export type NodeEnd =
  | { readonly status: 'done'; readonly detail: string }
  /** `gone`: the process ended without a word; nobody knows how far it came. */
  | { readonly status: 'failed' | 'unreachable' | 'interrupted' | 'refused' | 'gone'; readonly detail: string }

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

export interface NodeRunRequest {
  readonly host: string
  readonly playbook: string
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
  /** Of the occurrence, for what it writes. */
  readonly folder: string
  readonly attempt: number
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

/** Whether an attempt before this one began a run of the same playbook: then there is something to go on with. */
function begunBefore(request: NodeRunRequest): boolean {
  return attemptsBefore(request).some(
    (files) => startedOf(files)?.playbook === request.playbook && read(files.out) !== '',
  )
}

function attemptsBefore(request: NodeRunRequest): Files[] {
  return Array.from({ length: request.attempt - 1 }, (_, i) => filesOf({ ...request, attempt: i + 1 }))
}

/** Written down for the attempts after it. */
interface Started {
  /** Its name in journal/process.ts. */
  readonly process: string
  readonly playbook: string
}

const startedOf = (files: Files): Started | undefined => parse(read(files.started)) as unknown as Started | undefined

/**
 * Takes up one that a daemon before this one started; undefined when it is at its end and its last words are missing.
 * `known`: its process; null when that daemon died before it had written it down with the node.
 */
export function adoptNode(known: string | null, request: NodeRunRequest): NodeRun | undefined {
  const files = filesOf(request)
  const process = known ?? startedOf(files)?.process
  if (process === undefined) return undefined
  const [, pid] = JSON.parse(process) as [string, number]
  if (!isAlive(process) && lastWord(read(files.out)) === undefined) return undefined
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
      for (const event of lines.map(parse)) {
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
    return endOf(host, read(files.out), read(files.err))
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

/**
 * Whether an attempt before this one has changed the node, or may have: one that died without a word has said what it was
 * at, and that is all there unless the machine itself went down with it.
 */
export function touchedBefore(request: NodeRunRequest): boolean {
  return attemptsBefore(request).some((files) => {
    const out = read(files.out)
    const started = startedOf(files)
    const isWhole = lastWord(out) !== undefined || (/^$|\n$/.test(out) && started && isOfThisBoot(started.process))
    if (!isWhole) return true
    const progress = new Progress()
    for (const event of out.split('\n').map(parse)) if (event) progress.take(event)
    return progress.touch !== 'untouched'
  })
}

interface Files {
  readonly out: string
  readonly err: string
  /** Of type Started. */
  readonly started: string
  /** Not on a command line, where everybody could read them. */
  readonly vars: string
}

function filesOf({ folder, host, attempt }: Pick<NodeRunRequest, 'folder' | 'host' | 'attempt'>): Files {
  const base = join(folder, `${encodeURIComponent(host)}.${attempt}`)
  return { out: `${base}.ndjson`, err: `${base}.err`, started: `${base}.started.json`, vars: `${base}.vars.json` }
}

/** What its last words say; also used for its last line of trouble. */
function endOf(host: string, out: string, err: string): NodeEnd {
  const last = lastWord(out)
  const words = err.trim().split('\n').slice(-1)[0]?.slice(0, 300) ?? ''
  if (last === undefined) {
    // Exit code 3 leaves no recap: the input is wrong. The first line says what.
    const first = err.trim().split('\n')[0]?.slice(0, 300)
    if (out.trim() === '' && first) return { status: 'refused', detail: first }
    return { status: 'gone', detail: words || 'its process ended without a word' }
  }
  if (last.type === 'cycle_ended') return cycleEnd(host, last)
  const recap = last
  const counts = recap.hosts[host] ?? {}
  const failed = out
    .split('\n')
    .map(parse)
    .filter((event) => event?.type === 'task_result' && (event.status === 'failed' || event.status === 'unreachable'))
    .at(-1)
  const detail = failed ? `${failed.task}: ${failed.msg}`.split('\n')[0]!.slice(0, 300) : words
  if ((counts.failed ?? 0) > 0) return { status: 'failed', detail }
  if ((counts.unreachable ?? 0) > 0) return { status: 'unreachable', detail: detail || 'it could not be reached' }
  if (recap.interrupted) return { status: 'interrupted', detail: 'it was stopped' }
  if (recap.hosts[host] === undefined) return { status: 'refused', detail: `the playbook has no play for ${host}` }
  return { status: 'done', detail: `${counts.changed ?? 0} changed` }
}

interface Recap {
  readonly type: 'recap'
  readonly hosts: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly interrupted?: boolean
}

/** See CycleEvent of the node cycle. */
interface CycleEnded {
  readonly type: 'cycle_ended'
  readonly nodes: readonly {
    readonly node: string
    readonly outcome: string
    readonly message: string
  }[]
}

/** What `apply` and `node maintain` say last, always. */
function lastWord(out: string): Recap | CycleEnded | undefined {
  const event = parse(out.trimEnd().split('\n').at(-1) ?? '') as unknown as Recap | CycleEnded | undefined
  // The recap of a cycle's run is not its end: guards are given back after it.
  if (event?.type === 'cycle_ended') return event
  return event?.type === 'recap' && !out.startsWith('{"type":"cycle_started"') ? event : undefined
}

function cycleEnd(host: string, { nodes }: CycleEnded): NodeEnd {
  const end = nodes.find(({ node }) => node === host)
  if (end === undefined) return { status: 'refused', detail: `nothing was said of ${host}` }
  if (end.outcome === 'done') return { status: 'done', detail: 'done' }
  const detail = end.message.replaceAll('\n', '; ')
  const known = { failed: 'failed', unreachable: 'unreachable', stopped: 'interrupted', refused: 'refused' } as const
  return { status: known[end.outcome as keyof typeof known] ?? 'refused', detail: detail.slice(0, 500) }
}

function parse(line: string): Record<string, string> | undefined {
  try {
    return JSON.parse(line) as Record<string, string>
  } catch {
    return undefined
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
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
