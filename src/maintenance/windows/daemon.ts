/** Opens windows when it is their time, one at a time, and goes on with what a daemon before it left open. */
import { UserError } from '../../shared/errors.ts'
import type { DaemonOptions } from './daemon-options.ts'
import type { EventKind, ScheduleEvent } from './events.ts'
import type { Resolved } from './load.ts'
import { Notifier } from './notify.ts'
import { ScheduleReader } from './reader.ts'
import type { Schedule } from './schema.ts'
import { ENDED, type OccurrenceRecord, occurrenceId } from './state.ts'
import { span } from './time.ts'
import { type Occurrence, occurrenceAt, occurrences, type Window } from './window.ts'
import { lastStartMargin, runWindow } from './window-run.ts'

/** Looks at the clock: often enough for requests of people, and so that a clock that was set is noticed. */
const TICK = 1000
/** Opening so much later than planned is no more than a busy machine or a quick restart. */
const LATE = 120_000
/** A clock that goes back by more than this was set. */
const JUMP = 60_000
/** How often the time is written down up to which everything was looked at. */
const SEEN_EVERY = 60_000
/** How often hosts and playbook of an opening are read again that could not be: its inventory asks a server which is away. */
const AGAIN = 60_000
/** Of the openings that a long absence missed, so many are written down. */
const MOST_MISSED = 10

/** Who opens windows when it is their time. */
const SCHEDULE = 'schedule'

interface Due {
  readonly window: Window
  readonly occurrence: Occurrence
  readonly actor: string
  /** It could not be read what it is to do: then that is tried again. */
  readonly notBefore?: number
}

export class Daemon {
  readonly #o: DaemonOptions
  readonly #notifier: Notifier
  readonly #next = new Map<string, Occurrence | undefined>()
  readonly #seen = new Map<string, number>()
  readonly #queue: Due[] = []
  #running: Promise<void> | undefined
  #seenWritten = 0
  #lastTick = 0
  #reload = false
  /** An opening that cannot be gone on with yet, told already. */
  #waits: string | undefined
  readonly #reader: ScheduleReader

  constructor(options: DaemonOptions) {
    this.#o = options
    this.#reader = new ScheduleReader(options.load, options.clock, (text) => this.#say('trouble', text))
    this.#notifier = new Notifier({
      onOutcome: (channel, outcome, why) => {
        options.onNotified?.(channel, outcome)
        // Not to the channels: one that fails would be told of it for ever.
        if (outcome !== 'sent') this.#log({ kind: 'trouble', text: `notification by ${channel} ${outcome}: ${why}` })
      },
    })
  }

  get schedule(): Schedule {
    return this.#reader.schedule
  }

  /** Why what is on the disk is not what is in force. */
  get trouble(): string | undefined {
    return this.#reader.trouble
  }

  /** Milliseconds since the loop last came round. */
  get idle(): number {
    return this.#o.clock.now() - this.#lastTick
  }

  /** Reads maintenance.yml again, at the next tick. */
  reload(): void {
    this.#reload = true
  }

  /** Until `leave` is aborted and nodes under way have come to their end; `hurry` stops those too. */
  async run({ leave, hurry }: { leave: AbortSignal; hurry: AbortSignal }): Promise<void> {
    const { clock, state, onTick } = this.#o
    await this.#load()
    this.#say('daemon', `started with ${this.schedule.windows.length} windows`)
    await this.#goOn(leave, hurry)
    while (!leave.aborted) {
      this.#lastTick = clock.now()
      if (this.#reload || this.#reader.isDue) {
        this.#reload = false
        await this.#load()
        if (this.#running === undefined) await this.#goOn(leave, hurry)
      }
      this.#takeRequests()
      for (const window of this.schedule.windows) this.#look(window)
      // One that was left open, and cannot be gone on with yet, is in the way of the next.
      if (this.#running === undefined && state.running().length === 0) await this.#openNext(leave, hurry)
      this.#writeSeen()
      onTick?.()
      const until = Math.min(...[...this.#next.values()].map((one) => (one?.opens ?? Infinity) - clock.now()))
      const wake = new AbortController()
      const sleep = clock.sleep(
        Math.max(1, Math.min(this.#o.tick ?? TICK, until)),
        AbortSignal.any([leave, wake.signal]),
      )
      // Also with the end of a window, when another one waits for it.
      await Promise.race([sleep, ...(this.#running && this.#queue.length > 0 ? [this.#running] : [])])
      wake.abort()
    }
    this.#say('daemon', state.running().length > 0 ? 'ends as soon as the nodes under way are through' : 'ends')
    const beat = setInterval(() => {
      this.#lastTick = clock.now()
      onTick?.()
    }, TICK)
    await this.#running
    clearInterval(beat)
    this.#writeSeen(true)
    await this.#notifier.drain(5000)
  }

  async #load(): Promise<void> {
    if (await this.#reader.read()) this.#next.clear()
  }

  /** What a daemon before this one left open. */
  async #goOn(leave: AbortSignal, hurry: AbortSignal): Promise<void> {
    const { state } = this.#o
    for (const record of state.running()) {
      const { windows, bad, noInventory } = this.schedule
      const window = windows.find(({ name }) => name === record.window)
      if (window === undefined && (noInventory || this.trouble || bad.some(({ name }) => name === record.window))) {
        if (this.#waits !== record.id)
          this.#say('trouble', `${record.window} is open, and waits until it can be read what it is to do`, record)
        this.#waits = record.id
        return
      }
      if (window === undefined) {
        this.#giveUp(record)
        continue
      }
      const resolved = await this.#resolve(window)
      const noMore = resolved?.plan === record.plan ? undefined : 'the playbook or its hosts were changed meanwhile'
      this.#say('daemon', `goes on with ${record.window}`, record)
      this.#start(window, record, leave, hurry, noMore)
      // There is never more than one.
      return
    }
  }

  /** An opening of a window that is gone. */
  #giveUp(record: OccurrenceRecord): void {
    const { state, clock } = this.#o
    const now = clock.now()
    for (const { host, status } of state.nodes(record.id).filter((one) => !ENDED.includes(one.status))) {
      const under = status !== 'waiting'
      const detail = under ? 'its window is gone from maintenance.yml: look how far it came' : 'its window is gone'
      state.node(record.id, host, { status: under ? 'failed' : 'left_out', ended_at: now, detail })
    }
    const reason = 'is not in maintenance.yml any more'
    state.close(record.id, 'interrupted', `the window ${reason}`, now)
    this.#say('trouble', `${record.window} was open when the daemon ended, and ${reason}`, record)
  }

  #takeRequests(): void {
    const { state, clock } = this.#o
    for (const { window: name, actor, at } of state.takeRequests()) {
      const window = this.schedule.windows.find((one) => one.name === name)
      if (!window) this.#say('trouble', `${actor} triggered ${name}, which is no window that can be opened`)
      else if (clock.now() - at > LATE)
        this.#say('trouble', `${actor} triggered ${name} ${span(clock.now() - at)} ago, which is too long`)
      else {
        const occurrence = occurrenceAt(window, clock.now())
        this.#queue.push({ window, occurrence: { ...occurrence, starts: occurrence.opens }, actor })
      }
    }
  }

  /** Puts what is due into the queue. */
  #look(window: Window): void {
    const now = this.#o.clock.now()
    let seen = this.#seen.get(window.name) ?? Number(this.#o.state.fact(`seen ${window.name}`) ?? now)
    if (seen > now + JUMP) {
      this.#say('trouble', `the clock went back by ${span(seen - now)}`)
      seen = now
      this.#next.delete(window.name)
    }
    const cached = this.#next.get(window.name)
    if (cached === undefined || cached.opens <= now) {
      const due: Occurrence[] = []
      let passed = 0
      let next: Occurrence | undefined
      for (const one of occurrences(window, seen)) {
        if (one.opens > now) {
          next = one
          break
        }
        due.push(one)
        if (due.length > MOST_MISSED) {
          due.shift()
          passed++
        }
      }
      if (passed > 0)
        this.#say('missed', `${window.name} was missed ${passed} times more before these`, { window: window.name })
      this.#next.set(window.name, next)
      for (const one of due) this.#decide(window, one, now)
      seen = now
    }
    this.#seen.set(window.name, Math.max(seen, now))
  }

  #decide(window: Window, occurrence: Occurrence, now: number): void {
    const { state } = this.#o
    if (state.knows(window.name, occurrence.opens)) return
    const pause = state.pausedBy(window.name, now)
    const late = now - occurrence.opens
    if (occurrence.blackout !== undefined) this.#pass(window, occurrence, 'skipped', `blackout: ${occurrence.blackout}`)
    else if (pause)
      this.#pass(window, occurrence, 'skipped', `paused by ${pause.actor}${pause.reason && `: ${pause.reason}`}`)
    else if (late > LATE && !(window.missed === 'catch_up' && this.#hasTime(window, occurrence, now)))
      this.#pass(window, occurrence, 'missed', `the daemon did not run, or the clock was set: seen ${span(late)} late`)
    else this.#queue.push({ window, occurrence, actor: SCHEDULE })
  }

  #hasTime(window: Window, { ends }: Occurrence, now: number): boolean {
    return now + lastStartMargin(window, this.#o.state) <= ends
  }

  async #openNext(leave: AbortSignal, hurry: AbortSignal): Promise<void> {
    const { state, clock } = this.#o
    for (;;) {
      const due = this.#queue.find(({ notBefore = 0 }) => notBefore <= clock.now())
      if (due === undefined) return
      this.#queue.splice(this.#queue.indexOf(due), 1)
      const { occurrence, actor, notBefore } = due
      const window = this.schedule.windows.find(({ name }) => name === due.window.name)
      if (window === undefined) {
        this.#pass(due.window, occurrence, 'skipped', 'its window is gone from maintenance.yml, or wrong there', actor)
        continue
      }
      if (occurrence.blackout !== undefined) {
        this.#pass(window, occurrence, 'skipped', `blackout: ${occurrence.blackout}`, actor)
        continue
      }
      if (!this.#hasTime(window, occurrence, clock.now())) {
        const why = notBefore === undefined ? 'another window was open' : 'its hosts or its playbook could not be read'
        this.#pass(window, occurrence, 'missed', `${why}, and no node could be finished any more`, actor)
        continue
      }
      const resolved = await this.#resolve(window, notBefore === undefined)
      if (!resolved) {
        this.#queue.push({ ...due, notBefore: clock.now() + AGAIN })
        continue
      }
      const record = this.#record(occurrence, 'running', '', actor, resolved.plan)
      if (!state.open(record, resolved.hosts, window.playbook)) continue
      const until = window.zone.format(record.ends)
      this.#say('opened', `${window.name}: open until ${until}, ${resolved.hosts.length} nodes`, record)
      this.#start(window, { ...record, closed_at: null }, leave, hurry, undefined)
      return
    }
  }

  async #resolve(window: Window, tell = true): Promise<Resolved | undefined> {
    try {
      return await this.#o.resolve(window)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      if (tell) this.#say('trouble', `${window.name}: ${error.message.split('\n')[0]}`, { window: window.name })
      return undefined
    }
  }

  #start(
    window: Window,
    record: OccurrenceRecord,
    leave: AbortSignal,
    hurry: AbortSignal,
    noMore: string | undefined,
  ): void {
    const { state, clock, nodes } = this.#o
    this.#running = runWindow({
      window,
      occurrence: record,
      state,
      clock,
      nodes: nodes(window, record.id),
      say: (kind, text, host) => this.#say(kind, text, record, host),
      leave,
      hurry,
      noMore,
    }).then(
      () => {
        this.#running = undefined
      },
      (error: unknown) => {
        this.#running = undefined
        state.close(record.id, 'interrupted', `a bug in runbook: ${error}`, clock.now())
        this.#say('trouble', `${window.name}: ${(error as Error).stack ?? error}`, record)
      },
    )
  }

  /** It stays closed. */
  #pass(window: Window, occurrence: Occurrence, status: 'missed' | 'skipped', reason: string, actor = SCHEDULE): void {
    this.#o.state.open(this.#record(occurrence, status, reason, actor, ''), [], window.playbook)
    const text = `${window.name} of ${window.zone.format(occurrence.opens)} was ${status}: ${reason}`
    this.#say(status, text, { window: window.name, id: occurrenceId(occurrence) })
  }

  #record(o: Occurrence, status: OccurrenceRecord['status'], reason: string, actor: string, plan: string) {
    const { window, opens, starts, ends } = o
    return {
      id: occurrenceId(o),
      window,
      opens,
      starts,
      ends,
      status,
      reason,
      actor,
      plan,
      opened_at: this.#o.clock.now(),
    }
  }

  #say(kind: EventKind, text: string, about: { window?: string; id?: string } = {}, host?: string): void {
    const event = this.#log({ kind, text, window: about.window, occurrence: about.id, host })
    const { channels, windows } = this.schedule
    const window = windows.find(({ name }) => name === about.window)
    // What is no single window's is told to everybody.
    const names = window ? window.notify : kind === 'trouble' ? [...channels.keys()] : []
    for (const name of names) {
      const channel = channels.get(name)
      if (channel) this.#notifier.send(channel, event)
    }
  }

  #log(event: Omit<ScheduleEvent, 'at'>): ScheduleEvent {
    const full = { ...event, at: this.#o.clock.now() }
    this.#o.state.log(full)
    this.#o.onEvent?.(full)
    return full
  }

  #writeSeen(always = false): void {
    const now = this.#o.clock.now()
    if (!always && Math.abs(now - this.#seenWritten) < SEEN_EVERY) return
    this.#seenWritten = now
    for (const [name, at] of this.#seen) {
      // What waits was not dealt with: a daemon after a crash must find it.
      const waiting = this.#queue.filter(({ window, actor }) => window.name === name && actor === SCHEDULE)
      const seen = Math.min(at, ...waiting.map(({ occurrence }) => occurrence.opens - 1))
      this.#o.state.setFact(`seen ${name}`, String(seen))
    }
  }
}
