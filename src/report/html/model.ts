import type { Diff } from '../../shared/diff.ts'
import type { RunEvent, Status, TaskResultEvent } from '../../shared/events.ts'
import { diffLines } from '../diff.ts'
import { makeStyle } from '../style.ts'

export const STATUSES = ['ok', 'changed', 'skipped', 'failed', 'ignored', 'rescued', 'unreachable'] as const

/** What is to be said of a result beyond its status and times. */
export interface Detail {
  /** Where it is not the task's own: a name with a template. */
  readonly name?: string
  readonly msg?: string
  readonly hint?: string
  readonly changes?: readonly { readonly summary: string; readonly diff?: string }[]
  readonly items?: readonly { readonly label: string; readonly status: string; readonly msg: string }[]
  readonly cmd?: string
  readonly rc?: number
  readonly stdout?: string
  readonly stderr?: string
  readonly frame?: string
  readonly notRun?: readonly string[]
}

/** What the page holds, as its script reads it. */
export interface PageData {
  readonly run: string
  readonly playbooks: readonly string[]
  readonly check: boolean
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly elapsedMs: number
  /** False: no recap came; the run was killed, or is still going on. */
  readonly ended: boolean
  readonly interrupted: boolean
  readonly plays: readonly string[]
  readonly hosts: readonly string[]
  /** Columns, by play and then in the order in which they were first met. */
  readonly tasks: readonly {
    readonly play: number
    readonly name: string
    readonly module: string
    readonly place: string
    readonly handler: boolean
  }[]
  /** Six numbers a result: host, task, status, start (ms since `at`), milliseconds, detail (-1: none). */
  readonly results: readonly number[]
  readonly details: readonly Detail[]
  /** Handlers that are still owed, and what was said of hosts. */
  readonly notes: readonly { readonly host: string; readonly msg: string }[]
}

/** Characters that are kept of one text; nobody reads more of it in a page. */
const LONGEST = 20_000
/** Characters of all details together; past them diffs and outputs are left out. */
const ROOM = 40_000_000

/** Collects a run for its page; the same detail of many hosts is kept once. */
export class Model {
  #start = { run: '', playbooks: [] as readonly string[], check: false, at: 0 }
  #last = 0
  #recap: { elapsedMs: number; interrupted: boolean } | undefined
  readonly #plays = new Map<string, { index: number; name: string }>()
  readonly #hosts = new Map<string, number>()
  readonly #tasks = new Map<string, { index: number; task: PageData['tasks'][number] }>()
  readonly #results: number[] = []
  readonly #details = new Map<string, number>()
  readonly #notes: { host: string; msg: string }[] = []
  #room = ROOM

  get began(): boolean {
    return this.#start.run !== ''
  }

  event(event: RunEvent): void {
    if (event.type === 'run_started') this.#start = event
    else if (event.type === 'play_started') {
      this.#play(event.playId, event.play)
      for (const host of event.hosts) this.#host(host)
    } else if (event.type === 'host_note') this.#note(event.host, event.msg)
    else if (event.type === 'task_result') this.#result(event)
    else if (event.type === 'recap') {
      this.#recap = event
      for (const [host, names] of Object.entries(event.owed))
        this.#note(host, `handlers still owed: ${names.join(', ')}`)
    }
  }

  data(): PageData {
    // Columns stand by play; a play of which a task came late must not tear another one's apart.
    const tasks = [...this.#tasks.values()].sort((a, b) => a.task.play - b.task.play || a.index - b.index)
    const column = new Map(tasks.map(({ index }, i) => [index, i]))
    const { run, playbooks, check, at } = this.#start
    return {
      run,
      playbooks,
      check,
      at,
      elapsedMs: this.#recap?.elapsedMs ?? Math.max(0, this.#last - at),
      ended: this.#recap !== undefined,
      interrupted: this.#recap?.interrupted ?? false,
      plays: [...this.#plays.values()].map(({ name }) => name),
      hosts: [...this.#hosts.keys()],
      tasks: tasks.map(({ task }) => task),
      results: this.#results.map((n, i) => (i % 6 === 1 ? column.get(n)! : n)),
      details: [...this.#details.keys()].map((text) => JSON.parse(text) as Detail),
      notes: this.#notes,
    }
  }

  #play(id: string, name: string): number {
    const known = this.#plays.get(id) ?? { index: this.#plays.size, name }
    this.#plays.set(id, known)
    return known.index
  }

  #host(name: string): number {
    const index = this.#hosts.get(name) ?? this.#hosts.size
    this.#hosts.set(name, index)
    return index
  }

  #note(host: string, msg: string): void {
    if (this.#notes.length < 1000) this.#notes.push({ host, msg })
  }

  #result(event: TaskResultEvent): void {
    const { playId, play, taskId, task: name, module, place, handler, status, at, elapsedMs } = event
    const key = `${playId} ${taskId}`
    let known = this.#tasks.get(key)
    if (!known) {
      known = { index: this.#tasks.size, task: { play: this.#play(playId, play), name, module, place, handler } }
      this.#tasks.set(key, known)
    }
    this.#last = Math.max(this.#last, at)
    const start = Math.max(0, Math.round(at - elapsedMs - this.#start.at))
    const code = STATUSES.indexOf(status as Status)
    const detail = this.#detail(event, known.task.name)
    this.#results.push(this.#host(event.host), known.index, code, start, Math.round(elapsedMs), detail)
  }

  #detail(event: TaskResultEvent, name: string): number {
    const { task, msg, hint, changes, items, cmd, rc, stdout, stderr, frame, notRun, diff } = event
    const full = this.#room > 0
    const text = JSON.stringify({
      name: task === name ? undefined : task,
      msg: cut(msg),
      hint: hint || undefined,
      changes:
        changes.length === 0
          ? undefined
          : changes.slice(0, 200).map((change) => ({
              summary: cut(change.summary),
              diff:
                change.diff && diff !== false
                  ? full
                    ? textOf(change.diff)
                    : 'left out: this page is large'
                  : undefined,
            })),
      items: items?.slice(0, 500).map((item) => ({ label: item.label, status: item.status, msg: cut(item.msg) ?? '' })),
      cmd,
      rc,
      stdout: full ? cut(stdout) : undefined,
      stderr: full ? cut(stderr) : undefined,
      frame,
      notRun,
    })
    if (text === '{}') return -1
    const known = this.#details.get(text)
    if (known !== undefined) return known
    this.#room -= text.length
    this.#details.set(text, this.#details.size)
    return this.#details.size - 1
  }
}

const style = makeStyle({ colour: false, unicode: false })

function textOf(diff: Diff): string {
  return cut(diffLines(diff, style).join('\n')) ?? ''
}

function cut(text: string | undefined): string | undefined {
  if (!text) return undefined
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}\n… ${text.length - LONGEST} characters more`
}
