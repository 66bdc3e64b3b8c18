import type { Include, Section, Task } from '../playbook/index.ts'
import { UserError } from '../shared/errors.ts'
import { PendingError, type Scope } from '../values/index.ts'
import { logInAhead } from './ahead.ts'
import { truth } from './become.ts'
import { concludeBug, endByBug } from './bug.ts'
import { concludeTask } from './conclude.ts'
import { Cursor } from './cursor.ts'
import type { Entry } from './entry.ts'
import { Handlers } from './handlers.ts'
import type { HostState } from './host.ts'
import { asTask } from './include.ts'
import { withResult } from './judge.ts'
import type { Met } from './meeting.ts'
import { failure, NOTHING, type Outcome } from './outcome.ts'
import { Performer } from './perform.ts'
import type { PlayRun } from './play.ts'
import { atLeast, isTrouble, taskName } from './prepare.ts'
import { Progress } from './progress.ts'
import type { Semaphore } from './semaphore.ts'
import { passOver } from './stepper.ts'
import { MeetingNeeded, taskScope } from './vars.ts'
import { collect, type Slot, type Window } from './window.ts'

const NO_VARS: ReadonlyMap<string, unknown> = new Map()

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
  /** How many tasks have come to their end. */
  #concluded = 0
  /** For a run_once task that this host runs for the others. */
  #shared: Met | undefined
  /** The meeting that the task under way goes back to. */
  #met: Met | undefined
  /** Its place at a throttled task. */
  #places: Semaphore | undefined
  /** Only handlers are run any more (`force_handlers`). */
  #forcing = false
  readonly handlers: Handlers
  readonly #performer: Performer

  constructor(play: PlayRun, state: HostState) {
    this.play = play
    this.state = state
    this.handlers = new Handlers(play, state)
    this.#performer = new Performer(this)
  }

  /** Runs a section and the handlers that it notified. */
  async section(section: Section): Promise<void> {
    const { forks } = this.play.run
    await forks.acquire()
    try {
      if (this.halted) return
      this.#begin()
      logInAhead(this.play, this.state, section)
      await this.#walk(new Cursor(section.steps))
      for (;;) {
        this.#forcing = this.#forcesHandlers
        if (this.halted || !this.handlers.next()) return
        await this.#walk(Cursor.behind(() => this.handlers.next()))
      }
    } catch (error) {
      endByBug(this, error)
    } finally {
      this.#forcing = false
      forks.release()
      this.play.meeting.leave(this.state)
    }
  }

  /** Nothing more is to be begun on this host. */
  get halted(): boolean {
    const { run, ended, fatal } = this.play
    if (this.left || run.stopping) return true
    if (this.#forcing) return false
    if (this.state.ended !== undefined || ended !== undefined) return true
    return fatal !== undefined && !this.#leaves && !this.#met?.goesOn
  }

  /** On its way out of the play, through `always` parts alone: it has failed, or the play was stopped around it. */
  get #leaves(): boolean {
    return this.ending !== undefined || this.cursor.abandoned
  }

  get #forcesHandlers(): boolean {
    return this.play.play.forceHandlers && (this.state.ended === 'failed' || this.play.fatal !== undefined)
  }

  #begin(): void {
    if (this.#begun) return
    this.#begun = true
    this.play.run.emit({ type: 'host_started', host: this.state.name, playId: this.play.play.id })
    this.handlers.begin()
  }

  /** Runs steps to their end, or until a failure that nothing rescues. */
  async #walk(cursor: Cursor): Promise<void> {
    this.cursor = cursor
    this.#progress = undefined
    try {
      for (;;) {
        if (this.play.fatal !== undefined && !this.#forcing && !this.#leaves) {
          cursor.abandon(this.#progress !== undefined)
          this.#progress = undefined
        }
        if (this.halted) return
        const step = cursor.peek()
        if (!step) {
          this.state.ended ??= this.ending
          return
        }
        if (this.meets(step)) await this.#together(step)
        else if (step.kind === 'task' && step.throttle) await this.#throttled(step)
        else await this.#window((next) => this.meets(next) || (next.kind === 'task' && next.throttle !== undefined))
      }
    } finally {
      this.cursor = new Cursor([])
    }
  }

  /** Whether the hosts of the batch meet before this step. */
  meets(step: Task | Include): boolean {
    if (this.play.run.stepper?.asks) return true
    return this.play.play.strategy === 'linear' || (step.kind === 'task' && runsOnce(step))
  }

  /** Runs a task that only so many hosts may be at. */
  async #throttled(task: Task): Promise<void> {
    const places = this.#placesAt(task)
    if (!places) return this.#only()
    await this.#aside(() => places.acquire())
    this.#places = places
    try {
      if (!this.halted) await this.#only()
    } finally {
      this.#places = undefined
      places.release()
    }
  }

  /** Undefined when the limit cannot be evaluated: then the task itself will fail of that. */
  #placesAt(task: Task): Semaphore | undefined {
    try {
      const scope = taskScope(this.play, this.state, task, NO_VARS, this.cursor.vars)
      return this.play.throttle(task, atLeast(1, task.throttle!.evaluate(scope), 'throttle'))
    } catch (error) {
      if (!isTrouble(error) && !(error instanceof PendingError)) throw error
      return undefined
    }
  }

  /** Waits without its place among the forks or at a throttled task: those that it waits for may need it. */
  async #aside<T>(wait: () => Promise<T>): Promise<T> {
    const { forks } = this.play.run
    const places = this.#places
    forks.release()
    places?.release()
    try {
      return await wait()
    } finally {
      await places?.acquire()
      await forks.acquire()
    }
  }

  /** Waits for the others, then runs the task: alone for all of them with run_once. */
  async #together(task: Task | Include): Promise<void> {
    const outer = this.#met
    const met = await this.#meet(task)
    met.goesOn ??= this.play.fatal === undefined
    this.#met = met
    try {
      if (this.halted) return
      if (task.kind === 'include') return await this.#window(() => true)
      const wanted = (await this.play.run.stepper?.wants(met, this, task)) ?? true
      if (this.halted) return
      if (!wanted) passOver(this, task)
      else if (!runsOnce(task)) await (task.throttle ? this.#throttled(task) : this.#only())
      else if (met.hosts[0] === this.state) {
        this.#shared = met
        await this.#only()
      } else {
        const outcome = await this.#aside(() => met.outcome.promise)
        // Without one the other did not get to it: those that are still there meet again.
        if (outcome) this.#take(task, outcome, met.hosts[0]!)
      }
    } finally {
      if (met.hosts[0] === this.state) met.outcome.resolve(undefined)
      this.#met = outer
      this.#shared = undefined
      this.play.meeting.depart(this.state)
    }
  }

  /** Meets the others before the step that comes next. */
  #meet(step: { readonly id: string }): Promise<Met> {
    const place = { position: this.cursor.position, key: step.id + this.cursor.key }
    return this.#aside(() => this.play.meeting.arrive(this.state, place))
  }

  /** Runs the task that comes next, with all its items, and nothing else. */
  async #only(): Promise<void> {
    const before = this.#concluded
    do await this.#window(() => true)
    while (this.#concluded === before && !this.halted)
  }

  async #window(meets: (step: Task | Include) => boolean): Promise<void> {
    try {
      await this.#tasks(meets)
    } catch (error) {
      this.#progress = undefined
      this.#concluded++
      const outcome = concludeBug(this, error)
      this.#shared?.outcome.resolve(outcome)
    }
  }

  async #tasks(meets: (step: Task | Include) => boolean): Promise<void> {
    let window: Window
    try {
      window = await collect(this.play, this.state, this.cursor, this.#progress, meets)
    } catch (error) {
      if (!(error instanceof PendingError)) throw error
      const step = this.cursor.peek()!
      if (error instanceof MeetingNeeded) {
        await this.#meet(step)
        if (this.halted) return
        try {
          window = await collect(this.play, this.state, this.cursor, this.#progress, () => true)
        } finally {
          this.play.meeting.depart(this.state)
        }
      } else {
        window = { slots: [this.#unknowable(step.kind === 'include' ? asTask(step) : step, error.variable)], moves: [] }
      }
    }
    for (const move of window.moves) move(this.cursor)
    await this.#performer.perform(window.slots)
  }

  /** A task that needs the result of one that was not carried out: no mistake in check mode. */
  #unknowable(task: Task, variable: string): Slot {
    const scope = taskScope(this.play, this.state, task, NO_VARS, this.cursor.vars)
    const entry: Entry = {
      kind: 'unknown',
      task,
      item: undefined,
      vars: this.cursor.vars,
      scope,
      name: taskName(task, scope),
      noLog: false,
      variable,
    }
    const msg = `check mode cannot tell: it depends on ${variable}, which only a real run gives`
    return {
      entry,
      progress: Progress.of(task, entry, this.cursor.key),
      settled: this.play.run.input.check
        ? { ...NOTHING, status: 'skipped', msg, unknown: true, unsure: true }
        : { ...NOTHING, status: 'failed', msg: `${variable} is not known: what gives it ran in check mode` },
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
    const ended = this.#performer.conclude(slot, outcome)
    progress.outcomes.push(progress.isLoop ? this.#afterItem(progress, entry, ended) : ended)
    if (!progress.done) {
      this.#progress = progress
      return true
    }
    this.#progress = undefined
    this.#concluded++
    const total = progress.total()
    this.#shared?.outcome.resolve({ ...total, hidden: entry.noLog })
    return concludeTask(this, entry, progress, total)
  }

  /** Whether the loop goes on behind an item; its outcome fails where that cannot be told. */
  #afterItem(progress: Progress, entry: Entry, outcome: Outcome): Outcome {
    const { task } = progress
    if (outcome.status === 'unreachable') progress.broken = true
    if (outcome.status === 'skipped' || outcome.unknown || !task.loop || task.loop.breakWhen.length === 0)
      return outcome
    try {
      const scope = withResult(task, this.scopeOf(entry), outcome)
      progress.broken ||= task.loop.breakWhen.every((condition) => condition.test(scope))
      return outcome
    } catch (error) {
      if (!isTrouble(error) && !(error instanceof PendingError)) throw error
      progress.broken = true
      return { ...failure(new UserError(error.message), outcome.changes), data: outcome.data }
    }
  }

  /** The outcome of a run_once task that another host ran; what that printed stands in its own result. */
  #take(task: Task, outcome: Outcome, by: HostState): void {
    const scope = taskScope(this.play, this.state, task, NO_VARS, this.cursor.vars)
    const name = taskName(task, scope)
    const noLog = outcome.hidden ?? task.noLog !== undefined
    const entry: Entry = { kind: 'skip', task, item: undefined, vars: this.cursor.vars, scope, name, noLog, msg: '' }
    const bad = outcome.status === 'failed' || outcome.status === 'unreachable'
    const said = { msg: `run_once: failed on ${by.name}`, cmd: undefined, stdout: undefined, stderr: undefined }
    // What was set for the host of `delegate_to` is set there.
    const set = task.delegateFacts && task.delegateTo ? { sets: undefined, facts: undefined } : {}
    const mine = { ...outcome, ...(bad ? said : {}), ...set }
    concludeTask(this, entry, new Progress(task, [], this.cursor.key), mine, { silent: !bad })
  }

  /** Runs the handlers that are owed before the step that comes next (`meta: flush_handlers`). */
  flushHandlers(): void {
    this.cursor.flush(() => this.handlers.next())
  }

  /** The variables of a task as they are now: those of its entry are from before the tasks in front of it ended. */
  scopeOf({ task, vars }: Entry): Scope {
    return taskScope(this.play, this.state, task, NO_VARS, vars)
  }

  /** A keyword that must come out as a boolean; false where it is not given. */
  flag(value: Task['ignoreErrors'], entry: Entry, keyword: string): boolean {
    return value !== undefined && truth(value.evaluate(this.scopeOf(entry)), keyword)
  }
}

/** `meta` steers each host for itself. */
function runsOnce(task: Task): boolean {
  return task.runOnce && task.moduleName !== 'meta'
}
