/**
 * What a run has to come to, written down a second time and as plainly as possible: one task after the other, one host
 * after the other, no windows, no requests. Hosts are generators that stop where hosts meet.
 */

export type Condition =
  | { readonly is: 'true' }
  | { readonly is: 'false' }
  | { readonly is: 'host'; host: string }
  | { readonly is: 'item'; item: string }
  | { readonly is: 'register'; name: string; field: 'changed' | 'failed' | 'skipped'; not: boolean }

export type Work =
  | { readonly module: 'set'; key: string; value: string }
  | { readonly module: 'cmd' | 'act'; say: string; rc: number }
  | { readonly module: 'look'; key: string }
  | { readonly module: 'fail' | 'note' }
  | { readonly module: 'remember'; name: string; value: string }
  | { readonly module: 'meta'; word: 'flush_handlers' | 'end_host' | 'noop' }

/** Texts may hold `{{ NAME }}`. */
export interface TaskSpec {
  readonly kind: 'task'
  readonly id: number
  readonly work: Work
  readonly when?: Condition | undefined
  readonly loop?: readonly string[] | undefined
  readonly register?: string | undefined
  readonly notify?: string | undefined
  readonly ignoreErrors?: boolean | undefined
  readonly failedWhen?: Condition | undefined
  readonly changedWhen?: Condition | undefined
  readonly fatal?: boolean | undefined
  readonly runOnce?: boolean | undefined
  readonly throttle?: number | undefined
}

export interface BlockSpec {
  readonly kind: 'block'
  readonly when?: Condition | undefined
  readonly block: readonly StepSpec[]
  readonly rescue: readonly StepSpec[]
  readonly always: readonly StepSpec[]
}

/** `include_tasks`, once for each item; the steps inside see it as `inc`. */
export interface IncludeSpec {
  readonly kind: 'include'
  readonly id: number
  readonly when?: Condition | undefined
  readonly loop?: readonly string[] | undefined
  readonly steps: readonly TaskSpec[]
}

export type StepSpec = TaskSpec | BlockSpec | IncludeSpec

/** Handlers never run once for all. */
export interface HandlerSpec extends Omit<TaskSpec, 'loop'> {
  readonly name: string
  readonly listen?: string | undefined
}

export interface PlaySpec {
  readonly linear: boolean
  readonly serial: readonly number[]
  readonly fatal: boolean
  readonly maxFailPercentage: number | undefined
  readonly forceHandlers: boolean
  readonly sections: readonly (readonly StepSpec[])[]
  readonly handlers: readonly HandlerSpec[]
}

type Status = 'ok' | 'changed' | 'skipped' | 'failed'
type Register = Readonly<Record<string, unknown>>

/** What a module did, before anybody judged it. */
interface Did {
  readonly status: Status
  readonly data: Register
  /** It was a command, which ran. */
  readonly ran?: boolean
  /** The host was changed. */
  readonly made: boolean
  readonly sets?: Readonly<Record<string, unknown>>
}

interface Outcome {
  readonly status: Status
  readonly register: Register
  readonly changed: boolean
  readonly sets?: Readonly<Record<string, unknown>>
}

/** A host as it has to be in the end. */
export class ReferenceHost {
  readonly name: string
  readonly keys = new Map<string, string>()
  readonly log: string[] = []
  readonly trace: string[] = []
  readonly vars = new Map<string, unknown>()
  readonly owed = new Set<string>()
  /** Of the present play: they are owed to the next run. */
  readonly failedHandlers = new Set<string>()
  failed = false
  left = false

  constructor(name: string) {
    this.name = name
  }
}

class Failure extends Error {}
class Undefined extends Error {}
/** The play was stopped by another host's failure. */
class Stopped extends Error {}
class EndHost extends Error {}

interface Stop {
  readonly task: TaskSpec | HandlerSpec
  readonly position: number
}
/** How a host goes on from a stop. */
type Go = { readonly taken: Outcome } | { readonly tell: (outcome: Outcome) => void } | 'alone' | 'again'
type Way<T = void> = Generator<Stop, T, Go>

export function runReference(plays: readonly PlaySpec[], hosts: readonly ReferenceHost[]): void {
  for (const play of plays) if (!runPlay(play, hosts)) return
}

function runPlay(play: PlaySpec, all: readonly ReferenceHost[]): boolean {
  const rest = all.filter((h) => !h.failed)
  for (let i = 0; rest.length > 0; i++) {
    const batch = rest.splice(
      0,
      play.serial.length === 0 ? rest.length : play.serial[Math.min(i, play.serial.length - 1)],
    )
    const state = new BatchReference(play, batch)
    state.run()
    if (state.fatal || batch.every((h) => h.failed)) return false
  }
  return true
}

class BatchReference {
  readonly play: PlaySpec
  readonly batch: readonly ReferenceHost[]
  fatal = false
  /** The play went on when those that are now at a task met there. */
  committed = false
  /** Hosts, not failures: a forced handler of a failed host can fail too. */
  readonly #failures = new Set<ReferenceHost>()

  constructor(play: PlaySpec, batch: readonly ReferenceHost[]) {
    this.play = play
    this.batch = batch
  }

  run(): void {
    for (const host of this.batch) {
      host.left = false
      host.owed.clear()
      host.failedHandlers.clear()
    }
    this.play.sections.forEach((steps, n) => {
      if (this.fatal) return
      const ways = new Map(
        this.batch.filter((h) => !h.failed && !h.left).map((h) => [h, new HostReference(this, h).section(steps, n)]),
      )
      this.#schedule(ways)
    })
  }

  failure(task: TaskSpec | HandlerSpec, host: ReferenceHost): void {
    this.#failures.add(host)
    if (this.play.fatal || task.fatal) this.fatal = true
    const { maxFailPercentage: max } = this.play
    if (max !== undefined && (this.#failures.size / this.batch.length) * 100 > max) this.fatal = true
  }

  /** All go to where they stop; those that are least far go on together. */
  #schedule(ways: Map<ReferenceHost, Way>): void {
    const stops = new Map<ReferenceHost, Stop>()
    const step = (host: ReferenceHost, go?: Go): void => {
      const next = go === undefined ? ways.get(host)!.next() : ways.get(host)!.next(go)
      if (next.done) stops.delete(host)
      else stops.set(host, next.value)
    }
    for (const host of ways.keys()) step(host)
    while (stops.size > 0) {
      const least = Math.min(...[...stops.values()].map((s) => s.position))
      const group = this.batch.filter((h) => stops.get(h)?.position === least)
      const { task } = stops.get(group[0]!)!
      this.committed = !this.fatal
      if (task.runOnce && task.work.module !== 'meta') {
        let told: Outcome | undefined
        step(group[0]!, {
          tell: (outcome) => {
            told = outcome
            for (const other of group.slice(1)) step(other, { taken: outcome })
          },
        })
        if (!told) for (const other of group.slice(1)) step(other, 'again')
      } else for (const host of group) step(host, 'alone')
    }
    this.committed = false
  }
}

class HostReference {
  readonly host: ReferenceHost
  readonly batch: BatchReference
  /** Whether each block around the present task has a rescue part that is still to come. */
  readonly #rescues: boolean[] = []
  readonly #included = new Map<string, unknown>()
  /** Failed, and on the way out. */
  #failing = false
  #stopped = false
  #forcing = false
  #always = 0
  /** How many tasks have begun. */
  #begun = 0
  /** Blocks out of the always part that runs: their rescue parts do not matter once the play is stopped. */
  #outside = 0

  constructor(batch: BatchReference, host: ReferenceHost) {
    this.batch = batch
    this.host = host
  }

  *section(steps: readonly StepSpec[], n: number): Way {
    try {
      yield* this.#steps(steps, [])
      if (!this.#failing) yield* this.#flush(10_000 * (n + 1))
    } catch (error) {
      if (error instanceof EndHost) {
        this.host.left = true
        return
      }
      if (!(error instanceof Failure || error instanceof Stopped)) throw error
    }
    if (this.#failing) this.host.failed = true
    if (this.batch.play.forceHandlers && (this.host.failed || this.batch.fatal)) {
      this.#forcing = true
      for (let again = true; again; ) {
        again = false
        try {
          yield* this.#flush(10_000 * (n + 1))
        } catch (error) {
          if (!(error instanceof Failure)) throw error
          again = true
        }
      }
      if (this.#failing) this.host.failed = true
    }
  }

  *#steps(steps: readonly StepSpec[], when: readonly Condition[]): Way {
    for (const step of steps) {
      if (step.kind === 'block') yield* this.#block(step, when)
      else if (step.kind === 'include') yield* this.#include(step, when)
      else yield* this.#task(step, step.id, when)
    }
  }

  *#block(block: BlockSpec, outer: readonly Condition[]): Way {
    const begun = this.#begun
    const when = block.when ? [...outer, block.when] : outer
    let error: unknown
    try {
      this.#rescues.push(block.rescue.length > 0)
      try {
        yield* this.#steps(block.block, when)
      } finally {
        this.#rescues.pop()
      }
    } catch (e) {
      if (e instanceof EndHost) throw e
      error = e
    }
    if (error instanceof Failure && block.rescue.length > 0 && !this.#deadAt(this.#rescues.length)) {
      error = undefined
      try {
        yield* this.#steps(block.rescue, when)
      } catch (e) {
        if (e instanceof EndHost) throw e
        error = e
      }
    }
    if (block.always.length > 0 && !(error instanceof Stopped && this.#begun === begun)) {
      if (this.#always++ === 0) this.#outside = this.#rescues.length
      try {
        yield* this.#steps(block.always, when)
      } finally {
        this.#always--
      }
      // Stopped while the always part ran: out of here, by the always parts around it.
      if (this.#always === 0 && this.batch.fatal && !this.#failing && !error) {
        this.#stopped = true
        throw new Stopped()
      }
    }
    if (error) throw error
  }

  /** Its own condition is asked once, for the include; the steps inside inherit those of the blocks around it alone. */
  *#include(include: IncludeSpec, outer: readonly Condition[]): Way {
    this.#check()
    if (this.batch.play.linear) {
      yield { task: { kind: 'task', id: include.id, work: { module: 'note' } }, position: include.id }
      if (!this.batch.committed) this.#check()
    }
    const conditions = include.when ? [...outer, include.when] : outer
    const name = `i${include.id}`
    let items: (readonly [number, string | undefined])[]
    try {
      const { name: host, vars } = this.host
      items = [...(include.loop ?? [undefined]).entries()].filter(([, item]) =>
        conditions.every((c) => holds(c, item === undefined ? vars : new Map([...vars, ['inc', item]]), host)),
      )
    } catch (error) {
      if (!(error instanceof Undefined)) throw error
      const status = this.#rescuable ? 'rescued' : 'failed'
      this.host.trace.push(`include_tasks ${status}`)
      if (status === 'failed') {
        this.#failing = true
        this.batch.failure({ kind: 'task', id: 0, work: { module: 'fail' } }, this.host)
      }
      this.#begun++
      throw new Failure()
    }
    if (items.length === 0) {
      this.#begun++
      this.host.trace.push(`${name} skipped`)
    }
    try {
      for (const [n, item] of items) {
        if (item !== undefined) this.#included.set('inc', item)
        for (const step of include.steps)
          yield* this.#task(step, include.id + (1000 * n + step.id - include.id) / 1e6, outer)
      }
    } finally {
      this.#included.clear()
    }
  }

  #deadAt(depth: number): boolean {
    return this.#stopped && depth < this.#outside
  }

  get #rescuable(): boolean {
    return this.#rescues.some((r, depth) => r && !(this.#stopped && depth < this.#outside))
  }

  *#flush(position: number): Way {
    const { handlers } = this.batch.play
    for (;;) {
      this.#check()
      const i = handlers.findIndex((h) => this.host.owed.has(h.name) && !this.host.failedHandlers.has(h.name))
      const handler = handlers[i]
      if (!handler) return
      const included = [...this.#included]
      this.#included.clear()
      try {
        yield* this.#task(handler, position + (i + 1) / 1e8, [])
        this.host.owed.delete(handler.name)
      } catch (error) {
        if (error instanceof Failure) this.host.failedHandlers.add(handler.name)
        throw error
      } finally {
        for (const [name, value] of included) this.#included.set(name, value)
      }
    }
  }

  /** A stop by another host's failure is noticed before each task, unless this host is on its way out already. */
  #check(): void {
    if (!this.batch.fatal || this.#failing || this.#stopped || this.#forcing) return
    this.#stopped = true
    if (this.#always > 0) return
    this.#outside = Number.POSITIVE_INFINITY
    throw new Stopped()
  }

  *#task(task: TaskSpec | HandlerSpec, position: number, outer: readonly Condition[]): Way {
    this.#check()
    let go: Go = 'alone'
    const once = task.runOnce && task.work.module !== 'meta'
    if (once || this.batch.play.linear) {
      do {
        go = yield { task, position }
        if (!this.batch.committed) this.#check()
      } while (go === 'again')
    }
    this.#begun++
    const conditions = task.when ? [...outer, task.when] : outer
    const taken = typeof go === 'object' && 'taken' in go
    const outcome = taken ? (go as { taken: Outcome }).taken : this.#items(task, conditions)
    const failed = outcome.status === 'failed'
    const ignored = failed && task.ignoreErrors === true
    const status = ignored ? 'ignored' : failed ? (this.#rescuable ? 'rescued' : 'failed') : outcome.status
    if (task.register !== undefined) this.host.vars.set(task.register, outcome.register)
    for (const [name, value] of Object.entries(outcome.sets ?? {})) this.host.vars.set(name, value)
    if (!taken || failed) this.host.trace.push(`${nameOf(task)} ${status}`)
    if (task.notify !== undefined && outcome.changed) {
      for (const h of this.batch.play.handlers)
        if (h.name === task.notify || h.listen === task.notify) {
          this.host.owed.add(h.name)
          this.host.failedHandlers.delete(h.name)
        }
    }
    if (status === 'failed') {
      this.#failing = true
      this.batch.failure(task, this.host)
    }
    if (typeof go === 'object' && 'tell' in go) go.tell(outcome)
    if (status === 'failed' || status === 'rescued') throw new Failure()
    const { work } = task
    if (work.module === 'meta' && outcome.status === 'ok') {
      if (work.word === 'end_host') throw new EndHost()
      if (work.word === 'flush_handlers') yield* this.#flush(position)
    }
  }

  #items(task: TaskSpec | HandlerSpec, conditions: readonly Condition[]): Outcome {
    if (!('loop' in task) || task.loop === undefined) return this.#one(task, conditions, undefined)
    const all = task.loop.map((item) => this.#one(task, conditions, item))
    const has = (status: Status): boolean => all.some((o) => o.status === status)
    const status = has('failed') ? 'failed' : has('changed') ? 'changed' : has('ok') ? 'ok' : 'skipped'
    return {
      status,
      changed: all.some((o) => o.changed),
      register: { ...flags(status), results: all.map((o) => o.register) },
      sets: Object.assign({}, ...all.map((o) => o.sets)),
    }
  }

  #one(task: TaskSpec | HandlerSpec, conditions: readonly Condition[], item: string | undefined): Outcome {
    const vars = new Map([
      ...this.host.vars,
      ...this.#included,
      ...(item === undefined ? [] : [['item', item] as const]),
    ])
    try {
      if (!conditions.every((c) => holds(c, vars, this.host.name)))
        return { status: 'skipped', register: flags('skipped'), changed: false }
      return this.#judge(task, this.#work(task.work, vars), vars)
    } catch (error) {
      if (!(error instanceof Undefined)) throw error
      return { status: 'failed', register: flags('failed'), changed: false }
    }
  }

  #judge(task: TaskSpec | HandlerSpec, did: Did, vars: ReadonlyMap<string, unknown>): Outcome {
    let { status } = did
    const { name } = this.host
    const own = new Map(vars)
    if (task.register) own.set(task.register, { ...flags(status), ...did.data })
    try {
      if (task.failedWhen) {
        if (holds(task.failedWhen, own, name)) status = 'failed'
        else if (status === 'failed') status = did.ran ? 'changed' : 'ok'
      }
      if (task.changedWhen && status !== 'failed') status = holds(task.changedWhen, own, name) ? 'changed' : 'ok'
    } catch (error) {
      if (!(error instanceof Undefined)) throw error
      status = 'failed'
    }
    const changed = status === 'changed' || (status === 'failed' && did.made)
    return {
      status,
      changed,
      register: { ...flags(status), ...did.data },
      ...(did.sets && status !== 'failed' ? { sets: did.sets } : {}),
    }
  }

  #work(work: Work, vars: ReadonlyMap<string, unknown>): Did {
    const { host } = this
    if (work.module === 'set') {
      const [key, value] = [render(work.key, vars), render(work.value, vars)]
      const same = host.keys.get(key) === value
      host.keys.set(key, value)
      if (!same) host.log.push(`set ${key}=${value}`)
      return { status: same ? 'ok' : 'changed', data: { key }, made: !same }
    }
    if (work.module === 'cmd' || work.module === 'act') {
      const say = render(work.say, vars)
      host.log.push(say)
      const good = work.rc === 0
      if (work.module === 'act' && !good) return { status: 'failed', data: {}, made: false }
      return { status: good ? 'changed' : 'failed', data: { stdout: say }, ran: true, made: good }
    }
    if (work.module === 'look')
      return { status: 'ok', data: { value: host.keys.get(render(work.key, vars)) ?? '' }, made: false }
    if (work.module === 'fail') return { status: 'failed', data: {}, made: false }
    if (work.module === 'remember') {
      const sets = { [work.name]: render(work.value, vars) }
      return { status: 'ok', data: sets, sets, made: false }
    }
    return { status: 'ok', data: {}, made: false }
  }
}

export const nameOf = (task: TaskSpec | HandlerSpec): string => ('name' in task ? task.name : `t${task.id}`)

function flags(status: Status): Register {
  const skipped = status === 'skipped'
  // Nobody has to ask whether a command was skipped before its output is looked at.
  return { changed: status === 'changed', failed: status === 'failed', skipped, ...(skipped ? { stdout: '' } : {}) }
}

function holds(condition: Condition, vars: ReadonlyMap<string, unknown>, host: string): boolean {
  if (condition.is === 'true' || condition.is === 'false') return condition.is === 'true'
  if (condition.is === 'host') return condition.host === host
  if (condition.is === 'item') {
    if (!vars.has('item')) throw new Undefined()
    return vars.get('item') === condition.item
  }
  const register = vars.get(condition.name)
  if (register === undefined) throw new Undefined()
  return ((register as Register)[condition.field] === true) !== condition.not
}

function render(text: string, vars: ReadonlyMap<string, unknown>): string {
  return text.replace(/\{\{ ([\w.]+) \}\}/g, (_, path: string) => {
    const value = path.split('.').reduce<unknown>((v, part) => {
      const next = v instanceof Map ? v.get(part) : (v as Register)[part]
      if (next === undefined) throw new Undefined()
      return next
    }, vars)
    return String(value)
  })
}
