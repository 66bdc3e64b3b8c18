import { findHandlers, type Handler, type Task } from '../playbook/index.ts'
import { UserError } from '../shared/errors.ts'
import { PendingError } from '../values/index.ts'
import type { Entry } from './entry.ts'
import type { HostState } from './host.ts'
import type { PlayRun } from './play.ts'
import { isTrouble } from './prepare.ts'
import { taskScope } from './vars.ts'

const NO_VARS: ReadonlyMap<string, unknown> = new Map()

/** The handlers that a host owes in a play: in memory for this run, in the journal over its end. */
export class Handlers {
  readonly #play: PlayRun
  readonly #state: HostState
  /** Owed for changes which are just being made, and by which tasks. */
  readonly #ahead = new Map<Handler, Set<Task>>()
  readonly #failed = new Set<Handler>()

  constructor(play: PlayRun, state: HostState) {
    this.#play = play
    this.#state = state
  }

  /** The play begins for the host: takes over what earlier runs of it left. */
  begin(): void {
    const { run, key, handlers } = this.#play
    const { name, notified, owed } = this.#state
    owed.push(...[...notified.keys()].map((h) => this.#nameOf(h)))
    notified.clear()
    for (const { handler, by } of run.input.journal.owed(key, name)) {
      const found = handlers.find((h) => h.id === handler || this.#nameOf(h) === handler)
      if (!found) continue
      notified.set(found, by)
      const msg = `handler "${this.#nameOf(found)}" is still owed from an earlier run`
      run.emit({ type: 'host_note', host: name, level: 'info', msg })
    }
  }

  /** The one that is run next, in the order in which they are defined; one that has failed is owed to the next run. */
  next() {
    const { handlers } = this.#play
    const rank = handlers.findIndex((h) => this.#state.notified.has(h) && !this.#failed.has(h))
    const step = handlers[rank]
    return step && { step, rank, vars: this.#state.handlerVars.get(step) }
  }

  /** A handler has come to its end; it is owed no more if it did not fail. */
  handled(handler: Handler, failed: boolean): void {
    const { run, key } = this.#play
    if (failed) {
      this.#failed.add(handler)
      return
    }
    this.#state.notified.delete(handler)
    if (!run.input.check) run.input.journal.paid(key, this.#state.name, this.#nameOf(handler))
  }

  /**
   * The handlers that a task's change will be followed by are owed from before the change is made: a run that dies in
   * between would find the change done and never run them.
   */
  oweAhead(task: Task, entry: Entry): void {
    const { run, key } = this.#play
    for (const handler of this.#ifKnown(task, entry)) {
      if (this.#state.notified.has(handler)) continue
      run.input.journal.owe(key, this.#state.name, this.#nameOf(handler), entry.name, run.id)
      this.#ahead.set(handler, new Set([...(this.#ahead.get(handler) ?? []), task]))
    }
  }

  /**
   * A task has ended: what it notified is owed if it changed something. `outer`: what the includes around it add, which the
   * handler sees too. Throws UserError when there is no such handler.
   */
  notify(task: Task, entry: Entry, changed: boolean, outer?: ReadonlyMap<string, unknown>): void {
    const { run, play, key } = this.#play
    if (!changed) {
      this.oweNoMore(task, entry)
      return
    }
    for (const handler of this.wanted(task, entry)) {
      const ahead = this.#ahead.delete(handler)
      this.#failed.delete(handler)
      if (outer) this.#state.handlerVars.set(handler, outer)
      if (this.#state.notified.has(handler)) continue
      const name = this.#nameOf(handler)
      this.#state.notified.set(handler, entry.name)
      if (!ahead && !run.input.check) run.input.journal.owe(key, this.#state.name, name, entry.name, run.id)
      run.emit({ type: 'notified', host: this.#state.name, playId: play.id, handler: name, by: entry.name })
    }
  }

  /** A task whose handlers were owed ahead has not made its change. */
  oweNoMore(task: Task, entry: Entry): void {
    for (const handler of this.#ahead.size > 0 ? this.#ifKnown(task, entry) : []) {
      const tasks = this.#ahead.get(handler)
      if (!tasks?.delete(task) || tasks.size > 0) continue
      this.#ahead.delete(handler)
      this.#play.run.input.journal.paid(this.#play.key, this.#state.name, this.#nameOf(handler))
    }
  }

  /** A wrong name comes out when the task has ended. */
  #ifKnown(task: Task, entry: Entry): readonly Handler[] {
    try {
      return this.wanted(task, entry)
    } catch (error) {
      if (!isTrouble(error) && !(error instanceof PendingError)) throw error
      return []
    }
  }

  /** The handlers that a task notifies. Throws UserError for one that is not there. */
  wanted(task: Task, entry: Entry): readonly Handler[] {
    if (task.notify.length === 0) return []
    const scope = taskScope(this.#play, this.#state, task, NO_VARS, entry.vars)
    const names = task.notify.flatMap((value) => [value.evaluate(scope)].flat().map(String))
    const found = names.flatMap((name) => {
      const handlers = findHandlers(this.#play.handlers, name, task.role, (h) => this.#nameOf(h))
      if (handlers.length > 0) return handlers
      throw new UserError({ message: `no handler has the name or topic "${name}"`, place: task.notify[0]!.place })
    })
    return [...new Set(found)]
  }

  #nameOf(handler: Handler): string {
    try {
      return String(handler.name.evaluate(taskScope(this.#play, this.#state, handler, NO_VARS)))
    } catch (error) {
      if (!isTrouble(error) && !(error instanceof PendingError)) throw error
      return handler.id
    }
  }

  /** Whether `task` is a handler of this play. */
  has(task: Task): task is Handler {
    return this.#play.handlers.includes(task as Handler)
  }
}
