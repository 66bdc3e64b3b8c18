import type { Handler, Included, Play, Task } from '../playbook/playbook.ts'
import { tasksOf } from '../playbook/playbook.ts'
import { type Earlier, earlierResults } from './earlier.ts'
import type { HostState } from './host.ts'
import type { Meeting } from './meeting.ts'
import type { Run } from './run.ts'
import { Semaphore } from './semaphore.ts'

/** One play on one batch of hosts. */
export class PlayRun {
  readonly run: Run
  readonly play: Play
  /** The hosts of the batch. */
  readonly batch: readonly HostState[]
  readonly meeting: Meeting
  /** Under which handlers are owed over the end of a run. */
  readonly key: string
  readonly magic = new WeakMap<HostState, Record<string, unknown>>()
  /** Names that tasks of the play set on a host: hosts have them at different times. */
  readonly dynamicNames = new Set<string>()
  /** Nothing runs: a value that is not there may still come. */
  readonly rehearsal: boolean
  /** Those of the play, and of the roles that were included while it runs. */
  readonly handlers: Handler[]
  readonly #earlier = new Map<HostState, ReadonlyMap<string, Earlier>>()
  readonly #throttles = new Map<Task, Semaphore>()
  /** Why the run ends with this play: any_errors_fatal, max_fail_percentage. */
  fatal: string | undefined
  /** What the hosts of the batch do no more of: `meta: end_play`, `meta: end_batch`. */
  ended: 'play' | 'batch' | undefined

  /** `earlier`: for a rehearsal (precheck.ts), the names that earlier plays set on hosts. */
  constructor(run: Run, play: Play, batch: readonly HostState[], meeting: Meeting, earlier?: Iterable<string>) {
    this.run = run
    this.play = play
    this.batch = batch
    this.meeting = meeting
    this.key = run.keyOf(play)
    const tasks = play.sections.flatMap((s) => [...tasksOf(s.steps)])
    this.handlers = [...play.handlers]
    this.rehearsal = earlier !== undefined
    for (const name of earlier ?? []) this.dynamicNames.add(name)
    this.#addNames([...tasks, ...play.handlers])
  }

  /** How a task ended in the run that is resumed, if it came to an end there and its result is still known. */
  earlier(state: HostState, key: string): Earlier | undefined {
    const { resume, journal } = this.run.input
    if (resume === undefined) return undefined
    let results = this.#earlier.get(state)
    if (!results) {
      results = earlierResults(journal, resume, this.play.id, state.name)
      this.#earlier.set(state, results)
    }
    return results.get(key)
  }

  /** What an include brings that was not known before. */
  addIncluded({ steps, handlers }: Included): void {
    for (const handler of handlers) if (!this.handlers.includes(handler)) this.handlers.push(handler)
    this.#addNames([...tasksOf(steps), ...handlers])
  }

  #addNames(tasks: readonly Task[]): void {
    for (const { register, module, argsNode } of tasks) {
      if (register !== undefined) this.dynamicNames.add(register)
      if (module.type !== 'module' || module.provides !== 'variables' || argsNode.kind !== 'map') continue
      for (const name of argsNode.entries.keys()) this.dynamicNames.add(name)
    }
  }

  activeNames(): string[] {
    return this.batch.filter((h) => h.ended === undefined).map((h) => h.name)
  }

  /** Whether a host of this batch is still at work, so that its variables may change. */
  isActive(state: HostState): boolean {
    return state.ended === undefined && this.meeting.isWorking(state)
  }

  throttle(task: Task, limit: number): Semaphore {
    let semaphore = this.#throttles.get(task)
    if (!semaphore) {
      semaphore = new Semaphore(limit)
      this.#throttles.set(task, semaphore)
    }
    return semaphore
  }

  readonly #failed = new Set<HostState>()

  /** A host has failed: decides whether the play goes on for the others. */
  hostFailed(state: HostState, fatal: boolean): void {
    const { anyErrorsFatal, maxFailPercentage } = this.play
    if (anyErrorsFatal || fatal) this.fatal ??= `any_errors_fatal: ${state.name} failed`
    if (maxFailPercentage !== undefined) {
      const failed = this.#failed.add(state).size
      const percent = (failed / this.batch.length) * 100
      if (percent > maxFailPercentage) {
        this.fatal ??= `${failed} of ${this.batch.length} hosts failed, more than max_fail_percentage ${maxFailPercentage}`
      }
    }
  }
}
