import { findHandlers, type Handler, type Section, type Task, tasksOf } from '../playbook/index.ts'
import { UserError } from '../shared/errors.ts'
import { PendingError } from '../values/index.ts'
import { truth } from './become.ts'
import { concludeTask } from './conclude.ts'
import { Cursor } from './cursor.ts'
import type { Entry } from './entry.ts'
import type { HostState } from './host.ts'
import { sumUp } from './judge.ts'
import type { Met } from './meeting.ts'
import { NOTHING, type Outcome } from './outcome.ts'
import { Performer } from './perform.ts'
import type { PlayRun } from './play.ts'
import { isTrouble } from './prepare.ts'
import { Progress } from './progress.ts'
import { MeetingNeeded, taskScope } from './vars.ts'
import { collect, type Slot, type Window } from './window.ts'

/** One host's way through a play: window after window, at its own pace except where hosts meet. */
export class HostRun {
  readonly state: HostState
  readonly play: PlayRun
  /** The host has left the play early without having failed (`meta: end_host`). */
  left = false
  cursor = new Cursor([])
  /** A failure that nothing rescued: the host ends when its `always` parts have run. */
  ending: 'failed' | 'unreachable' | undefined
  /** The task that is under way with some of its items done. */
  #progress: Progress | undefined
  #begun = false
  /** Handlers that are owed for a change which is just being made, and by which task. */
  readonly #ahead = new Map<Handler, Task>()
  /** For a run_once task that this host runs for the others. */
  #shared: Met | undefined
  readonly #performer: Performer

  constructor(play: PlayRun, state: HostState) {
    this.play = play
    this.state = state
    this.#performer = new Performer(this)
  }

  /** Runs a section and the handlers that it notified. */
  async section(section: Section): Promise<void> {
    const { forks } = this.play.run
    await forks.acquire()
    try {
      if (this.halted) return
      this.#begin()
      await this.#walk(section.steps)
      if (!this.play.run.stopping && (this.state.ended === undefined || this.#forcesHandlers))
        await this.flushHandlers()
    } finally {
      forks.release()
      this.play.meeting.leave(this.state)
    }
  }

  /** Nothing more is to be begun on this host. */
  get halted(): boolean {
    return (
      this.left ||
      this.state.ended !== undefined ||
      this.play.run.stopping ||
      this.play.stopped !== undefined ||
      this.play.batchEnded
    )
  }

  get #forcesHandlers(): boolean {
    return this.play.play.forceHandlers && this.state.ended === 'failed'
  }

  #begin(): void {
    if (this.#begun) return
    this.#begun = true
    this.play.run.emit({ type: 'host_started', host: this.state.name, playId: this.play.play.id })
    this.state.notified.clear()
    for (const { handler, by } of this.play.run.input.journal.owed(this.play.key, this.state.name)) {
      const found = this.play.handlers.find((h) => h.id === handler || this.handlerName(h) === handler)
      if (!found) continue
      this.state.notified.set(found, by)
      const msg = `handler "${this.handlerName(found)}" is still owed from an earlier run`
      this.play.run.emit({ type: 'host_note', host: this.state.name, level: 'info', msg })
    }
  }

  /** Runs steps to their end, or until a failure that nothing rescues. */
  async #walk(steps: Section['steps'], whileHalted = false): Promise<void> {
    const outer = this.cursor
    this.cursor = new Cursor(steps)
    this.#progress = undefined
    try {
      while (whileHalted || !this.halted) {
        const step = this.cursor.peek()
        if (!step) {
          this.state.ended ??= this.ending
          return
        }
        if (step.kind === 'task' && this.meets(step)) await this.#together(step)
        else if (step.kind === 'task' && step.throttle) await this.#throttled(step)
        else await this.#window((task) => this.meets(task) || task.throttle !== undefined)
      }
    } finally {
      this.cursor = outer
    }
  }

  /** Whether the hosts of the batch meet before this task. */
  meets(task: Task): boolean {
    return task.runOnce || this.play.play.strategy === 'linear'
  }

  /** Runs a task that only so many hosts may be at; while it waits its place among the forks is free. */
  async #throttled(task: Task): Promise<void> {
    const limit = Math.max(1, Number(task.throttle!.evaluate(taskScope(this.play, this.state, task, new Map()))))
    const { run } = this.play
    const places = this.play.throttle(task, limit)
    run.forks.release()
    await places.acquire()
    await run.forks.acquire()
    try {
      if (!this.halted) await this.#only(task)
    } finally {
      places.release()
    }
  }

  /** Waits for the others, then runs the task: alone for all of them with run_once. */
  async #together(task: Task): Promise<void> {
    const met = await this.#meet(task)
    try {
      if (this.halted) return
      if (!task.runOnce) await this.#only(task)
      else if (met.hosts[0] === this.state) {
        this.#shared = met
        await this.#only(task)
      } else {
        const outcome = await met.outcome.promise
        if (outcome) this.#take(task, outcome)
        else if (!this.halted) this.cursor.advance()
      }
    } finally {
      if (met.hosts[0] === this.state) met.outcome.resolve(undefined)
      this.#shared = undefined
      this.play.meeting.depart(this.state)
    }
  }

  /** Meets the others; its place among the forks is free meanwhile. */
  async #meet(task: Task): Promise<Met> {
    const { run, meeting, order } = this.play
    run.forks.release()
    try {
      return await meeting.arrive(this.state, order.get(task) ?? 0)
    } finally {
      await run.forks.acquire()
    }
  }

  /** Runs one task with all its items and nothing else. */
  async #only(task: Task): Promise<void> {
    do await this.#window(() => true)
    while (this.#progress?.task === task && !this.halted)
  }

  async #window(meets: (task: Task) => boolean): Promise<void> {
    let window: Window
    try {
      window = await collect(this.play, this.state, this.cursor, this.#progress, meets)
    } catch (error) {
      if (!(error instanceof PendingError)) throw error
      const task = this.cursor.peek() as Task
      if (error instanceof MeetingNeeded) {
        await this.#meet(task)
        if (this.halted) return
        try {
          window = await collect(this.play, this.state, this.cursor, this.#progress, () => true)
        } finally {
          this.play.meeting.depart(this.state)
        }
      } else if (this.play.run.input.check) {
        window = { slots: [this.#unknowable(task, error.variable)], moves: [] }
      } else throw error
    }
    for (const move of window.moves) move(this.cursor)
    await this.#performer.perform(window.slots)
  }

  /** In check mode: a task that needs the result of one that was not carried out. */
  #unknowable(task: Task, variable: string): Slot {
    const scope = taskScope(this.play, this.state, task, new Map())
    const entry: Entry = {
      kind: 'unknown',
      task,
      item: undefined,
      scope,
      name: task.moduleName,
      noLog: false,
      variable,
    }
    const msg = `check mode cannot tell: it depends on ${variable}, which only a real run gives`
    return {
      entry,
      progress: Progress.of(task, entry),
      settled: { ...NOTHING, status: 'skipped', msg, unknown: true },
      before: [],
    }
  }

  /**
   * An entry has come to its end. False when what comes next is not what stood behind it: the task failed, or changed
   * the way of the run.
   */
  finish(slot: Slot, outcome: Outcome): boolean {
    const { progress, entry } = slot
    if (progress.outcomes.length === 0) for (const move of slot.before) move(this.cursor)
    // Looking ahead was done with a copy: the cursor itself still stands in front of a block.
    if (this.cursor.peek()?.id !== progress.task.id) throw new Error(`${progress.key} is not the task that comes next`)
    progress.outcomes.push(outcome)
    if (progress.isLoop && this.#breaks(progress, entry)) progress.broken = true
    if (!progress.done) {
      this.#progress = progress
      return true
    }
    this.#progress = undefined
    const total = progress.isLoop
      ? sumUp(
          progress.outcomes,
          progress.items.map((item) => item.label ?? ''),
        )
      : outcome
    this.#shared?.outcome.resolve(total)
    return concludeTask(this, entry, progress, total)
  }

  #breaks(progress: Progress, entry: Entry): boolean {
    const { loop } = progress.task
    if (!loop || loop.breakWhen.length === 0) return false
    return loop.breakWhen.every((condition) => condition.test(entry.scope))
  }

  /** The outcome of a run_once task that another host ran. */
  #take(task: Task, outcome: Outcome): void {
    const scope = taskScope(this.play, this.state, task, new Map())
    const entry: Entry = { kind: 'skip', task, item: undefined, scope, name: task.moduleName, noLog: true, msg: '' }
    concludeTask(this, entry, new Progress(task, []), outcome, { silent: true })
  }

  /** Runs the handlers that are owed, in the order in which they are defined, until none is owed any more. */
  async flushHandlers(): Promise<void> {
    const { journal } = this.play.run.input
    for (;;) {
      const next = this.play.handlers.find((h) => this.state.notified.has(h))
      if (!next || this.play.run.stopping || (this.halted && !this.#forcesHandlers)) return
      const before = this.state.recap.failed + this.state.recap.unreachable
      const by = this.state.notified.get(next) ?? ''
      this.state.notified.delete(next)
      await this.#walk([next], this.#forcesHandlers)
      const failed = this.state.recap.failed + this.state.recap.unreachable > before
      const interrupted = this.play.run.stopping
      if (failed || interrupted) this.state.notified.set(next, by)
      else if (!this.play.run.input.check) journal.paid(this.play.key, this.state.name, this.handlerName(next))
      if (failed) return
    }
  }

  /**
   * The handlers that a task's change will be followed by are owed from before the change is made: a run that dies in
   * between would find the change done and never run them.
   */
  oweAhead(task: Task, entry: Entry): void {
    const { run, key } = this.play
    for (const handler of this.#wanted(task, entry)) {
      if (this.state.notified.has(handler)) continue
      run.input.journal.owe(key, this.state.name, this.handlerName(handler), entry.name, run.id)
      this.#ahead.set(handler, task)
    }
  }

  /** A task has ended: what it notified is owed if it changed something, and no longer if it did not. */
  notify(task: Task, entry: Entry, changed: boolean): void {
    if (task.notify.length === 0) return
    const { run, play, key } = this.play
    for (const handler of this.#wanted(task, entry)) {
      const name = this.handlerName(handler)
      const ahead = this.#ahead.get(handler) === task
      if (ahead) this.#ahead.delete(handler)
      if (this.state.notified.has(handler)) continue
      if (changed) {
        this.state.notified.set(handler, entry.name)
        if (!ahead && !run.input.check) run.input.journal.owe(key, this.state.name, name, entry.name, run.id)
        run.emit({ type: 'notified', host: this.state.name, playId: play.id, handler: name, by: entry.name })
      } else if (ahead) run.input.journal.paid(key, this.state.name, name)
    }
  }

  #wanted(task: Task, entry: Entry): readonly Handler[] {
    const names = task.notify.flatMap((value) => [value.evaluate(entry.scope)].flat().map(String))
    const found = names.flatMap((name) => {
      const handlers = findHandlers(this.play.handlers, name, task.role, (h) => this.handlerName(h))
      if (handlers.length > 0) return handlers
      throw new UserError({ message: `no handler has the name or topic "${name}"`, place: task.notify[0]!.place })
    })
    return [...new Set(found)]
  }

  handlerName(handler: Handler): string {
    try {
      return String(handler.name.evaluate(taskScope(this.play, this.state, handler, new Map())))
    } catch (error) {
      if (!isTrouble(error) && !(error instanceof PendingError)) throw error
      return handler.id
    }
  }

  /** Whether `task` is a handler of this play. */
  isHandler(task: Task): boolean {
    return this.play.handlers.includes(task as Handler)
  }

  /** A keyword that must come out as a boolean; false where it is not given. */
  flag(value: Task['ignoreErrors'], entry: Entry, keyword: string): boolean {
    return value !== undefined && truth(value.evaluate(entry.scope), keyword)
  }
}

/** How many tasks a list of steps holds. */
export function countTasks(steps: Section['steps']): number {
  return [...tasksOf(steps)].length
}
