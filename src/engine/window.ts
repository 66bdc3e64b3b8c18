import type { Module } from '../module/define.ts'
import type { Handler, Include, Task } from '../playbook/playbook.ts'
import { REDACTED } from '../shared/redact.ts'
import { PENDING, PendingError, type Scope } from '../values/index.ts'
import type { Cursor } from './cursor.ts'
import { type Entry, type Item, isRetried, type ModuleEntry, type SkipEntry } from './entry.ts'
import type { HostState } from './host.ts'
import { openInclude } from './include.ts'
import { judge } from './judge.ts'
import { failure, NOTHING, type Outcome, registered } from './outcome.ts'
import type { PlayRun } from './play.ts'
import { isTrouble, prepare, taskName } from './prepare.ts'
import { itemsOf, Progress } from './progress.ts'
import { taskScope } from './vars.ts'

/** An entry in its place: which task's progress it belongs to, and its outcome where that needed no host. */
export interface Slot {
  readonly entry: Entry
  readonly progress: Progress
  readonly settled: Outcome | undefined
  /** Includes on the way to it, which the host's own cursor still has to go into. */
  readonly before: readonly Move[]
}

/** Moves a cursor from an include that it stands at, into it or past it. */
export type Move = (cursor: Cursor) => void

export interface Window {
  readonly slots: readonly Slot[]
  /** Moves when there are no slots to carry them: the includes led to nothing, or to where hosts meet. */
  readonly moves: readonly Move[]
}

/** Entries a window at the most: beyond this a request grows faster than the round trips it saves. */
const WINDOW_LIMIT = 250

/**
 * The tasks that come next and that one request can ask about. A window ends
 * - before a task that needs a value not known yet (the `register` of a task in the window),
 * - before a task at which hosts meet, or one that runs as another user or on another host,
 * - after an action, a task that is retried, and one that is sure to fail.
 * Its first task is always in it; when its values are not known the PendingError is thrown on.
 */
export async function collect(
  play: PlayRun,
  state: HostState,
  cursor: Cursor,
  started: Progress | undefined,
  meets: (step: Task | Include) => boolean,
): Promise<Window> {
  const window = new WindowBuilder(play, state)
  state.ahead = window.overlay
  try {
    return await fill(window, cursor, started, meets)
  } finally {
    state.ahead = undefined
  }
}

async function fill(
  window: WindowBuilder,
  cursor: Cursor,
  started: Progress | undefined,
  meets: (step: Task | Include) => boolean,
): Promise<Window> {
  const ahead = cursor.clone()
  for (let first = true; !window.full; first = false) {
    const step = ahead.peek()
    if (!step || (!first && meets(step))) break
    try {
      if (step.kind === 'include') {
        await window.include(step, ahead)
        continue
      }
      await window.add(step, first ? started : undefined, ahead)
    } catch (error) {
      // With includes on the way the window is what leads to where the value is needed.
      if (!(error instanceof PendingError) || (window.slots.length === 0 && window.moves.length === 0)) throw error
      break
    }
    if (!window.full) ahead.advance()
  }
  return { slots: window.slots, moves: window.slots.length > 0 ? [] : window.moves }
}

class WindowBuilder {
  readonly slots: Slot[] = []
  /** Since the last slot. */
  moves: Move[] = []
  full = false
  readonly #play: PlayRun
  readonly #state: HostState
  /** What tasks of the window will set: their values, or PENDING. */
  readonly overlay = new Map<string, unknown>()
  /** What the includes around the present task add. */
  #outer: ReadonlyMap<string, unknown> | undefined

  constructor(play: PlayRun, state: HostState) {
    this.#play = play
    this.#state = state
  }

  /** Goes into an include, or past it. One that fails or is skipped is reported like a task. */
  async include(step: Include, ahead: Cursor): Promise<void> {
    const result = await openInclude(this.#play, this.#state, step, this.overlay, ahead.vars)
    if ('entry' in result) {
      const progress = Progress.of(result.entry.task, result.entry)
      this.#push(result.entry, progress, settle(result.entry))
      if (result.entry.kind === 'broken') this.full = true
      else ahead.advance()
      return
    }
    const move: Move = (cursor) => cursor.open(result.opened)
    move(ahead)
    this.moves.push(move)
  }

  #push(entry: Entry, progress: Progress, settled: Outcome | undefined): Slot {
    const slot = { entry, progress, settled, before: this.moves }
    this.moves = []
    this.slots.push(slot)
    return slot
  }

  /** Adds a task, item by item. Throws PendingError when not even its first item can be rendered. */
  async add(task: Task, started: Progress | undefined, ahead: Cursor): Promise<void> {
    this.#outer = ahead.vars
    const progress = started ?? (await this.#resume(task, ahead.key)) ?? (await this.#begin(task, ahead.key))
    const overlay = new Map(this.overlay)
    const added: Slot[] = []
    for (const item of progress.items.slice(progress.outcomes.length)) {
      const next = progress.only ?? (await this.#next(task, item, overlay, added.length > 0))
      const entry: typeof next = next?.kind === 'module' && progress.earlier ? { ...next, again: true } : next
      if (!entry || !this.#fits(entry)) {
        this.full = true
        break
      }
      const settled = settle(entry)
      added.push(this.#push(entry, progress, settled))
      for (const [name, value] of Object.entries(settled?.sets ?? {})) overlay.set(name, value)
      this.full ||= endsWindow(entry, settled) || progress.isSequential || this.slots.length >= WINDOW_LIMIT
      if (this.full) break
    }
    if (progress.items.length === 0) {
      const entry = emptyLoop(task, taskScope(this.#play, this.#state, task, overlay, this.#outer))
      added.push(this.#push(entry, progress, { ...NOTHING, status: 'skipped', msg: entry.msg, data: { results: [] } }))
    }
    this.#foresee(task, progress, overlay, added)
  }

  /** An item's entry; undefined when it is not the first and needs what an item before it will give. */
  async #next(
    task: Task,
    item: Item,
    overlay: ReadonlyMap<string, unknown>,
    later: boolean,
  ): Promise<Entry | undefined> {
    try {
      return await prepare(this.#play, this.#state, task, item, overlay, this.#outer)
    } catch (error) {
      if (later && error instanceof PendingError) return undefined
      throw error
    }
  }

  /**
   * A task that came to its end in the run that is resumed is not done again; what it gave is taken from there. Whether a
   * state still is as declared is looked at: hours may lie between the two, a reboot, a hand.
   */
  async #resume(task: Task, key: string): Promise<Progress | undefined> {
    const earlier = this.#play.earlier(this.#state, task.id + key)
    // What notified a handler then has no part in what notifies it now.
    if (!earlier || task.moduleName === 'meta' || this.#play.handlers.includes(task as Handler)) return undefined
    if (task.module.type === 'module' && task.module.provides) return undefined
    if (task.register !== undefined && (!earlier.result || JSON.stringify(earlier.result).includes(REDACTED)))
      return undefined
    const { module } = task
    const declares = module.type === 'module' && !module.readOnly && !module.once
    if (declares && (earlier.status === 'ok' || earlier.status === 'changed')) {
      const progress = await this.#begin(task, key)
      progress.earlier = earlier.result ?? {}
      return progress
    }
    const scope = taskScope(this.#play, this.#state, task, this.overlay, this.#outer)
    const entry: Entry = {
      kind: 'resumed',
      task,
      item: undefined,
      vars: this.#outer,
      scope,
      name: taskName(task, scope),
      noLog: false,
      result: earlier.result ?? {},
      failed: earlier.status === 'rescued',
    }
    return Progress.of(task, entry, key)
  }

  async #begin(task: Task, key: string): Promise<Progress> {
    const scope = taskScope(this.#play, this.#state, task, this.overlay, this.#outer)
    try {
      return new Progress(task, itemsOf(task, scope), key)
    } catch (error) {
      if (!isTrouble(error)) throw error
      // A loop that cannot be evaluated does not matter where `when` is false without its items.
      const entry = await prepare(this.#play, this.#state, task, undefined, this.overlay, this.#outer)
      const { name, noLog } = entry
      return Progress.of(
        task,
        entry.kind === 'skip'
          ? entry
          : { kind: 'broken', task, item: undefined, vars: this.#outer, scope, name, noLog, error },
      )
    }
  }

  /** One request goes to one shell. */
  #fits(entry: Entry): boolean {
    const first = this.slots.find((s) => isReady(s.entry))?.entry
    if (!first || !isReady(first) || !isReady(entry)) return true
    const same = first.actor === entry.actor && first.become?.user === entry.become?.user
    if (!same) this.full = true
    return same
  }

  /** What later tasks may know of this one. */
  #foresee(task: Task, progress: Progress, overlay: ReadonlyMap<string, unknown>, slots: readonly Slot[]): void {
    for (const [name, value] of overlay) this.overlay.set(name, value)
    if (task.register !== undefined) {
      const only = slots.length === 1 && !progress.isLoop ? slots[0]!.settled : undefined
      this.overlay.set(task.register, only ? registered(only) : PENDING)
    }
    for (const { entry, settled } of slots) {
      if (entry.kind === 'module' && !settled && entry.module.provides) this.#pend(entry.module.provides, entry)
    }
  }

  #pend(provides: NonNullable<Module['provides']>, entry: ModuleEntry): void {
    if (provides === 'facts') this.overlay.set('facts', PENDING)
    else for (const name of Object.keys(entry.args as object)) this.overlay.set(name, PENDING)
  }
}

function isReady(entry: Entry): entry is Extract<Entry, { kind: 'module' | 'action' }> {
  return entry.kind === 'module' || entry.kind === 'action'
}

function endsWindow(entry: Entry, settled: Outcome | undefined): boolean {
  if (entry.kind === 'action' || entry.kind === 'broken') return true
  if (entry.kind === 'module' && (isRetried(entry.task) || entry.detach)) return true
  // What it gives another host is read through hostvars, which do not know what is still to come there.
  if (entry.task.delegateFacts && (entry.kind !== 'module' || entry.module.provides)) return true
  return settled?.status === 'failed'
}

/** Tasks that read nothing of the host and change nothing (debug, assert, set_fact) are over as soon as they are rendered. */
function settle(entry: Entry): Outcome | undefined {
  if (entry.kind === 'resumed')
    return {
      ...NOTHING,
      // The way went on through a rescue part; what was done there is in front of us.
      status: entry.failed ? 'failed' : 'ok',
      msg: 'done in the run that is resumed',
      data: entry.result,
      resumed: true,
    }
  if (entry.kind === 'skip') return { ...NOTHING, status: 'skipped', msg: entry.msg }
  if (entry.kind !== 'module' || !entry.module.readOnly || entry.read.asks.length > 0 || isRetried(entry.task))
    return undefined
  const outcome = attempt(entry)
  try {
    return judge(entry.task, entry.scope, outcome)
  } catch (error) {
    if (error instanceof PendingError) throw error
    return { ...failure(error), data: outcome.data }
  }
}

function attempt(entry: ModuleEntry): Outcome {
  try {
    return conclude(entry, entry.read.from([]))
  } catch (error) {
    return failure(error)
  }
}

/** The outcome of a module that has nothing to change. */
export function conclude(entry: ModuleEntry, state: unknown): Outcome {
  const { module, args } = entry
  module.plan(args, state)
  const data = module.result(args, state, [])
  return {
    ...NOTHING,
    status: 'ok',
    msg: typeof data.msg === 'string' ? data.msg : '',
    data,
    sets: module.provides === 'variables' ? data : undefined,
    facts: module.provides === 'facts' ? data : undefined,
  }
}

function emptyLoop(task: Task, scope: Scope): SkipEntry {
  return {
    kind: 'skip',
    task,
    item: undefined,
    vars: undefined,
    scope,
    name: taskName(task, scope),
    noLog: false,
    msg: 'the loop has no items',
  }
}
