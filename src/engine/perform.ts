import { setTimeout as delay } from 'node:timers/promises'
import type { Change } from '../module/change.ts'
import { ReadError } from '../module/read.ts'
import { SessionError, type Shell } from '../session/session.ts'
import type { ReportedChange } from '../shared/events.ts'
import { PendingError } from '../values/index.ts'
import { runAction } from './action.ts'
import { applyBatch, slotKey } from './batch.ts'
import { type Detached, runDetached } from './detached.ts'
import { type ActionEntry, isRetried, type ModuleEntry } from './entry.ts'
import { excused, unsure } from './foresight.ts'
import type { HostRun } from './host-run.ts'
import { isDone, judge } from './judge.ts'
import { failure, NOTHING, type Outcome, report } from './outcome.ts'
import { atLeast, isTrouble, seconds } from './prepare.ts'
import { type Answer, request } from './request.ts'
import { conclude, type Slot } from './window.ts'

/** Questions that are not answered in this time: something on the host hangs (a dead NFS server, a stuck device). */
export const PROBE_TIMEOUT_MS = 120_000
/** How often an edit is tried anew because its file had changed in the meantime. */
const STALE_LIMIT = 3
/** A task whose request lost its connection this many times in a row is given up. */
const LOST_LIMIT = 3

/** What a module found and wants, from the answers to its questions. */
export type Plan = { readonly state: unknown; readonly changes: readonly Change[] } | { readonly failed: Outcome }

/** Brings a window of tasks to their ends, one after the other, with as few requests as their order allows. */
export class Performer {
  readonly host: HostRun
  /** Tasks (with items) whose command was under way when the connection was lost. */
  readonly doubtful = new Set<string>()
  /** What was changed, or was being changed when the connection was lost: found done later, it counts as changed. */
  readonly attempted = new Map<string, readonly ReportedChange[]>()
  readonly #stale = new Map<string, number>()
  #lost = 0
  /** Detached commands of a task that is not over. */
  readonly #detached: Detached[] = []
  /** So many entries are asked about one by one: a question of theirs hangs, and only the task that asks it shall fail. */
  #alone = 0

  constructor(host: HostRun) {
    this.host = host
  }

  /** Ends early when a task fails or the rest has to be looked at anew; the caller collects the next window. */
  async perform(window: readonly Slot[]): Promise<void> {
    const slots = this.#alone > 0 ? window.slice(0, 1) : window
    if (this.#alone > 0) this.#alone--
    const answers = new Map<string, Answer>()
    let asked = false
    for (let at = 0; at < slots.length; ) {
      const slot = slots[at]!
      const { entry } = slot
      if (!this.host.halted) await this.#pause(slot)
      if (this.host.halted) return
      let goesOn: boolean
      if (slot.settled) goesOn = this.host.finish(slot, slot.settled)
      else if (entry.kind === 'broken') goesOn = this.host.finish(slot, failure(entry.error))
      else if (entry.kind === 'action') goesOn = this.host.finish(slot, await this.#action(entry))
      else if (entry.kind !== 'module') throw new Error(`an unsettled ${entry.kind} entry`)
      else if (entry.detach && !entry.check) {
        const ended = await runDetached(this, slot, entry)
        // The run ends, and the command goes on without it.
        if (!ended) return
        goesOn = this.host.finish(slot, ended.outcome)
        this.#detached.push(ended)
        // Of a loop all together: a run that is resumed begins it anew and finds what its items came to.
        if (slot.progress.done) for (const one of this.#detached.splice(0)) await one.cleanUp()
      } else if (isRetried(entry.task)) goesOn = this.host.finish(slot, await this.#retry(slot, entry))
      else {
        if (!asked) {
          const error = await this.ask(entry, slots.slice(at), answers)
          if (error === 'again') return
          asked = true
          if (error) {
            this.host.finish(slot, this.judged(entry, error))
            return
          }
        }
        const plan = this.plan(entry, answers)
        if ('failed' in plan) goesOn = this.host.finish(slot, this.judged(entry, plan.failed))
        else if (plan.changes.length === 0) goesOn = this.host.finish(slot, this.settled(slot, entry, plan.state))
        else if (entry.check) goesOn = this.host.finish(slot, this.foreseen(entry, plan.changes))
        else {
          const next = await applyBatch(this, slots, at, plan, answers)
          if (next === undefined) return
          at = next
          continue
        }
      }
      if (!goesOn) return
      at++
    }
  }

  /** `loop_control.pause`, in front of each item but the first that runs. */
  async #pause({ entry, progress }: Slot): Promise<void> {
    const pause = progress.task.loop?.pause
    const ran = progress.outcomes.some(({ status }) => status !== 'skipped')
    if (!pause || !ran || (entry.kind !== 'module' && entry.kind !== 'action')) return
    await this.sleep(seconds(pause.evaluate(entry.scope), 'loop_control.pause'))
  }

  get probeTimeoutMs(): number {
    return this.host.play.run.input.probeTimeoutMs ?? PROBE_TIMEOUT_MS
  }

  shell(entry: ModuleEntry | ActionEntry): Promise<Shell> {
    return entry.actor.link.shell(entry.become)
  }

  /** One request for all questions of a window. `again`: the connection was lost, and the window has to be made anew. */
  async ask(
    first: ModuleEntry,
    slots: readonly Slot[],
    answers: Map<string, Answer>,
  ): Promise<Outcome | 'again' | undefined> {
    const asks = slots.flatMap(({ entry, settled }) => (entry.kind === 'module' && !settled ? entry.read.asks : []))
    if (asks.length === 0) return undefined
    try {
      const shell = await this.shell(first)
      const reply = await request(shell, [], asks, {
        timeoutMs: first.timeout ?? PROBE_TIMEOUT_MS,
        signal: this.host.play.run.input.abort,
      })
      for (const [id, answer] of reply.answers) answers.set(id, answer)
      this.#lost = 0
      return undefined
    } catch (error) {
      if (this.lost(error)) return 'again'
      const excuse = excused(first, error)
      if (excuse) return excuse
      if (!(error instanceof SessionError) || error.kind !== 'timeout') return this.unlucky(error)
      if (slots.filter(({ entry, settled }) => entry.kind === 'module' && !settled).length > 1) {
        this.#alone = slots.length
        return 'again'
      }
      const hint = 'something that this task looks at does not answer: a dead NFS server, a stuck disk?'
      return { ...this.unlucky(error), hint: error.hint ?? hint }
    }
  }

  /** Whether an error means that the connection is gone and the task should be tried over a new one. */
  lost(error: unknown): boolean {
    return error instanceof SessionError && error.kind === 'lost' && ++this.#lost <= LOST_LIMIT
  }

  /** Whether an edit that came too late is tried again; somebody who writes all the time is not raced for ever. */
  triesAgain(key: string): boolean {
    const tries = (this.#stale.get(key) ?? 0) + 1
    this.#stale.set(key, tries)
    return tries <= STALE_LIMIT
  }

  connectionWorks(): void {
    this.#lost = 0
  }

  /** An error of a request as an outcome; an abort is thrown on. */
  unlucky(error: unknown): Outcome {
    if (this.host.play.run.input.abort.aborted) return { ...NOTHING, status: 'failed', msg: 'interrupted' }
    return failure(error)
  }

  /** What a module wants to change, from the answers. Pure. */
  plan(entry: ModuleEntry, answers: ReadonlyMap<string, Answer>): Plan {
    try {
      const values = entry.read.asks.map(({ id }) => {
        const answer = answers.get(id)
        if (!answer) throw new Error(`no answer to ${id}`)
        if ('error' in answer) throw answer.error
        return answer.value
      })
      const state = entry.read.from(values)
      const changes = entry.module.plan(entry.args, state)
      return { state, changes: entry.again ? changes.filter((c) => !c.transient) : changes }
    } catch (error) {
      const excuse = excused(entry, error)
      if (excuse) return { failed: excuse }
      if (!isTrouble(error) && !(error instanceof ReadError)) throw error
      return { failed: failure(error) }
    }
  }

  /** An outcome after changed_when and failed_when; an expression that fails makes the task fail. */
  judged(entry: ModuleEntry | ActionEntry, outcome: Outcome): Outcome {
    const { task } = entry
    if (task.failedWhen.length === 0 && task.changedWhen.length === 0) return outcome
    const { changes, data } = outcome
    try {
      return judge(task, this.host.scopeOf(entry), outcome)
    } catch (error) {
      if (error instanceof PendingError) return { ...this.#unknown(entry, error), changes, data }
      if (!isTrouble(error)) throw error
      return { ...failure(error), changes, data }
    }
  }

  /** The end of a task that depends on what is not known: no mistake in check mode. */
  #unknown({ check }: ModuleEntry | ActionEntry, { variable }: PendingError): Outcome {
    if (!check) return { ...NOTHING, status: 'failed', msg: `${variable} cannot be known here` }
    const msg = `check mode cannot tell: it depends on ${variable}, which only a real run gives`
    return { ...NOTHING, status: 'skipped', msg, unknown: true, unsure: true }
  }

  /** The outcome of a module with nothing to change. */
  settled(slot: Slot, entry: ModuleEntry, state: unknown): Outcome {
    try {
      const outcome = conclude(entry, state)
      const words = unsure(entry)
      if (words !== undefined) return { ...outcome, msg: words, unknown: true, unsure: true }
      const changes = this.attempted.get(slotKey(slot))
      if (!changes) return this.judged(entry, outcome)
      return this.judged(entry, {
        ...outcome,
        status: 'changed',
        changes,
        msg: 'was changed by this task before the host was asked again',
      })
    } catch (error) {
      return this.judged(entry, failure(error))
    }
  }

  /** An item has come to its end. Where it failed, what it had begun to change may be changed all the same. */
  conclude(slot: Slot, outcome: Outcome): Outcome {
    const key = slotKey(slot)
    const uncertain = this.attempted.has(key) && (outcome.status === 'failed' || outcome.status === 'unreachable')
    this.attempted.delete(key)
    this.doubtful.delete(key)
    return uncertain ? { ...outcome, uncertain } : outcome
  }

  /** In check mode: what would be changed. */
  foreseen(entry: ModuleEntry, changes: readonly Change[]): Outcome {
    const words = unsure(entry)
    for (const change of changes) entry.actor.unapplied.add(change.touches)
    const { changedWhen } = entry.task
    const never = changedWhen.length === 1 && changedWhen[0]!.source.trim() === 'false'
    const status = never ? 'ok' : 'changed'
    return {
      ...NOTHING,
      status,
      changes: never ? [] : report(changes),
      msg: words ?? '',
      unknown: true,
      unsure: words !== undefined,
    }
  }

  /** The change log of a task that is under way, for those who watch. */
  started(entry: ModuleEntry | ActionEntry, looks = entry.kind === 'module' && entry.harmless): void {
    const { id: taskId, moduleName: module } = entry.task
    const host = this.host.state.name
    this.host.play.run.emit({ type: 'task_started', host, task: entry.name, taskId, module, looks })
  }

  output(entry: ModuleEntry | ActionEntry, stream: 'stdout' | 'stderr' | 'log', text: string): void {
    if (entry.noLog || text === '') return
    const { name, task } = entry
    this.host.play.run.emit({
      type: 'task_output',
      host: this.host.state.name,
      task: name,
      taskId: task.id,
      stream,
      text,
    })
  }

  /** Waits; returns early when the run is stopped. */
  async sleep(ms: number): Promise<void> {
    const { stop, abort } = this.host.play.run.input
    await delay(ms, undefined, { signal: AbortSignal.any([stop, abort]) }).catch(() => {})
  }

  async #action(entry: ActionEntry): Promise<Outcome> {
    if (!isRetried(entry.task)) return this.judged(entry, await runAction(this, entry))
    return this.#repeat(entry, () => runAction(this, entry).then((o) => this.judged(entry, o)))
  }

  /** A module with `until` or `retries`: by itself, try after try. */
  #retry(slot: Slot, entry: ModuleEntry): Promise<Outcome> {
    return this.#repeat(entry, () => this.#once(slot, entry))
  }

  async #repeat(entry: ModuleEntry | ActionEntry, attempt: () => Promise<Outcome>): Promise<Outcome> {
    const { task } = entry
    const scope = this.host.scopeOf(entry)
    try {
      const retries = task.retries === undefined ? 3 : atLeast(0, task.retries.evaluate(scope), 'retries')
      const pause = task.delay === undefined ? 5000 : seconds(task.delay.evaluate(scope), 'delay')
      for (let n = 1; ; n++) {
        const outcome = await attempt()
        if (outcome.unknown || isDone(task, scope, outcome)) return outcome
        if (n > retries || this.host.play.run.stopping) {
          const tries = `gave up after ${n} ${n === 1 ? 'try' : 'tries'}`
          const why = task.until.length > 0 ? `until: ${task.until.map((c) => c.source).join(' and ')}` : outcome.msg
          return {
            ...outcome,
            status: 'failed',
            msg: outcome.status === 'failed' ? `${outcome.msg} (${tries})` : `${tries}: ${why}`,
          }
        }
        this.host.play.run.emit({
          type: 'task_retry',
          host: this.host.state.name,
          task: entry.name,
          taskId: task.id,
          attempt: n,
          attempts: retries + 1,
          msg: entry.noLog ? '' : outcome.msg,
        })
        await this.sleep(pause)
      }
    } catch (error) {
      if (error instanceof PendingError) return this.#unknown(entry, error)
      if (!isTrouble(error)) throw error
      return failure(error)
    }
  }

  /** One try of a module: its own questions, its changes, its questions again. */
  async #once(slot: Slot, entry: ModuleEntry): Promise<Outcome> {
    const answers = new Map<string, Answer>()
    const error = await this.ask(entry, [slot], answers)
    if (error === 'again') return this.#once(slot, entry)
    if (error) return this.judged(entry, error)
    const plan = this.plan(entry, answers)
    if ('failed' in plan) return this.judged(entry, plan.failed)
    if (plan.changes.length === 0) return this.settled(slot, entry, plan.state)
    if (entry.check) return this.foreseen(entry, plan.changes)
    let ended: Outcome | undefined
    await applyBatch(this, [slot], 0, plan, answers, (_slot, outcome) => {
      ended = outcome
      return true
    })
    return ended ?? this.#once(slot, entry)
  }
}
