import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { hostname, userInfo } from 'node:os'
import { type Host, targetOf } from '../inventory/index.ts'
import type { Journal } from '../journal/journal.ts'
import { type Handler, type Play, type Remote, type Task, tasksOf } from '../playbook/index.ts'
import type { Connect, Prompt, Target } from '../session/session.ts'
import { CONNECTION_VARIABLES } from '../shared/connection-variables.ts'
import { UserError } from '../shared/errors.ts'
import type { RunEvent } from '../shared/events.ts'
import type { Redactor } from '../shared/redact.ts'
import { type Layer, makeScope, type Scope } from '../values/index.ts'
import { Clusters } from './clusters.ts'
import { ControllerFiles } from './controller-files.ts'
import { FactsCache, factsMaxAgeOf } from './facts-cache.ts'
import { gatherTask } from './gather.ts'
import { HostState } from './host.ts'
import { HostRun } from './host-run.ts'
import { Link } from './link.ts'
import { Meeting } from './meeting.ts'
import { batches, inOrder } from './order.ts'
import { planPlays, type Selection } from './plan.ts'
import { PlayRun } from './play.ts'
import { precheck } from './precheck.ts'
import { askPrompts } from './prompts.ts'
import { EventQueue } from './queue.ts'
import { Semaphore } from './semaphore.ts'
import { type AskStep, Stepper } from './stepper.ts'

const NO_VARS: ReadonlyMap<string, unknown> = new Map()
const NO_REMOTE: Remote = { connection: undefined, user: undefined, port: undefined }

/** Everything a run needs; nothing is read from the process. */
export interface RunInput extends Selection {
  readonly check: boolean
  /** Show diffs; changes carry them either way. */
  readonly diff: boolean
  /** Hosts that are worked on at the same time. */
  readonly forks: number
  /** Milliseconds that gathered facts are kept for later runs, and taken from earlier ones; undefined: as each host says. */
  readonly factsMaxAgeMs?: number | undefined
  /** The run to go on with: tasks that came to their end in it are not done again. */
  readonly resume?: string | undefined
  readonly journal: Journal
  readonly connect: Connect
  readonly redactor: Redactor
  readonly prompt?: Prompt | undefined
  /** `--step`: asked before each task. */
  readonly step?: AskStep | undefined
  readonly becomePassword?: string | undefined
  /** How long a host that another run holds is waited for. */
  readonly waitLockMs?: number | undefined
  /**
   * Asked right before anything acts for a host: each action, each request with changes; not in check mode. A UserError that
   * it throws fails the task, and nothing of it was done.
   */
  readonly fence?: ((host: string) => Promise<void>) | undefined
  /** How long a host may take to answer questions about its state; default two minutes. */
  readonly probeTimeoutMs?: number | undefined
  /** Connection settings of the command line, under the inventory's. */
  readonly target?: Partial<Target> | undefined
  /** The folder of the (first) playbook. */
  readonly baseDir: string
  /** Where `.runbook/` stands; default: `baseDir`. */
  readonly stateDir?: string | undefined
  /** First Ctrl-C: steps that run come to their end, no more are begun. */
  readonly stop: AbortSignal
  /** Second Ctrl-C: steps that run are killed. */
  readonly abort: AbortSignal
}

/** Runs playbooks and tells what happens. Throws UserError before the first connection when the input is wrong. */
export async function* runPlaybooks(input: RunInput): AsyncGenerator<RunEvent> {
  const run = new Run(input)
  const plays = run.plan()
  await precheck(run, plays)
  const work = run.execute(plays)
  for await (const event of run.events) yield event
  await work
}

/** One run: hosts and their connections, the stream of events, the files of the controller. */
export class Run {
  readonly input: RunInput
  readonly id = newRunId()
  readonly events = new EventQueue<RunEvent>()
  readonly files = new ControllerFiles()
  readonly clusters: Clusters
  readonly forks: Semaphore
  readonly factsCache: FactsCache
  readonly stepper: Stepper | undefined
  /** Group names to the names of their hosts. */
  readonly groupNames: Readonly<Record<string, readonly string[]>>
  readonly #states = new Map<string, HostState>()
  /** In the recap: hosts of the plays, not those that were only delegated to. */
  readonly #played = new Set<HostState>()
  readonly #started = performance.now()
  readonly #answers = new Map<string, ReadonlyMap<string, unknown>>()
  readonly #keys = new Map<string, string>()
  /** Exceptions that nobody expected, each of which ended one host's part of the run. */
  bugs = 0

  constructor(input: RunInput) {
    this.input = input
    this.clusters = new Clusters(input.redactor)
    this.forks = new Semaphore(input.forks)
    this.factsCache = new FactsCache(input.stateDir ?? input.baseDir)
    this.stepper = input.step && new Stepper(input.step)
    // Every host listens; that many are no leak.
    setMaxListeners(0, input.stop, input.abort)
    this.groupNames = Object.fromEntries([...input.inventory.groups].map(([name, g]) => [name, g.hosts]))
  }

  /** The hosts of each play. Throws UserError for a pattern that names what is not there. */
  plan(): { play: Play; hosts: HostState[] }[] {
    const seen = new Map<string, number>()
    return planPlays(this.input).map(({ play, hosts }) => {
      const key = `${play.place.file.path}#${play.name}`
      const nth = (seen.get(key) ?? 0) + 1
      seen.set(key, nth)
      this.#keys.set(play.id, nth === 1 ? key : `${key}#${nth}`)
      // What is wrong with them is to be known now; what is asked for is not known yet.
      if (play.prompts.length === 0 && play.vars.some(saysHow)) for (const host of hosts) this.#target(host, play)
      return {
        play,
        hosts: inOrder(
          play,
          hosts.map((h) => this.stateOf(h.name)),
        ),
      }
    })
  }

  async execute(plays: readonly { play: Play; hosts: readonly HostState[] }[]): Promise<void> {
    try {
      this.emit({
        type: 'run_started',
        run: this.id,
        at: Date.now(),
        playbooks: this.input.playbooks.map((p) => p.file.path),
        check: this.input.check,
      })
      await this.#askAll(plays.map(({ play }) => play))
      for (const { play, hosts } of plays) {
        if (this.stopping) break
        if (play.sections.length > 0 && !(await this.#play(await withFacts(play, hosts), hosts))) break
      }
      this.emit(this.#recap())
      this.events.end()
    } catch (error) {
      this.events.end(error)
    } finally {
      this.clusters[Symbol.dispose]()
      await Promise.all([...this.#states.values()].map((s) => s.link.drop()))
    }
  }

  /** No more is begun: somebody wants the run to end. */
  get stopping(): boolean {
    const { stop, abort } = this.input
    return stop.aborted || abort.aborted || this.stepper?.stopped === true
  }

  emit(event: RunEvent): void {
    const clean = this.input.redactor.redactDeep(event)
    this.input.journal.record(clean)
    this.events.push(clean)
  }

  /** What the run knows of a host of the inventory. */
  stateOf(name: string): HostState {
    let state = this.#states.get(name)
    if (!state) {
      const host = this.input.inventory.hosts.get(name) ?? this.input.inventory.match(name)[0]
      if (!host) throw new UserError(`there is no host "${name}" in the inventory`)
      const maxAge = this.input.factsMaxAgeMs ?? factsMaxAgeOf(host, this.#scopeOf(host, undefined))
      state = new HostState(host, this.#link(host, undefined), maxAge)
      if (maxAge !== undefined) state.facts = this.factsCache.read(state.link.target, maxAge)
      this.#states.set(name, state)
    }
    return state
  }

  /** Names a play from run to run, also when other plays are put before it: for handlers that are owed. */
  keyOf(play: Play): string {
    return this.#keys.get(play.id)!
  }

  /** What the person answered to the `vars_prompt` of a play. */
  answers(play: Play): ReadonlyMap<string, unknown> {
    return this.#answers.get(play.id) ?? NO_VARS
  }

  /** All questions of all plays, before anything is done. */
  async #askAll(plays: readonly Play[]): Promise<void> {
    for (const play of plays) this.#answers.set(play.id, await askPrompts(play.prompts, this.input))
  }

  #link(host: Host, play: Play | undefined): Link {
    const { input, id } = this
    return new Link(this.#target(host, play), {
      connect: input.connect,
      prompt: input.prompt,
      addSecret: (secret) => input.redactor.add(secret),
      holder: input.check ? undefined : `run ${id} of ${userInfo().username}@${hostname()}, pid ${process.pid}`,
      waitLockMs: input.waitLockMs,
      signal: input.abort,
      stop: input.stop,
      note: (msg) => this.emit({ type: 'host_note', host: host.name, level: 'warning', msg }),
    })
  }

  /** The command line's settings lie under the play's (`remote_user`), and those under the host's variables. */
  #target(host: Host, play: Play | undefined): Target {
    return { ...this.input.target, ...defined(targetOf(host, this.#scopeOf(host, play))) }
  }

  /** A host's variables as they are before any play; with one, those of it that say how to reach the host too. */
  #scopeOf(host: Host, play: Play | undefined): Scope {
    const { connection, user, port } = play?.remote ?? NO_REMOTE
    const ofPlay = play ? [...play.vars, { name: 'vars_prompt', vars: this.answers(play) }] : []
    const counts = ofPlay.some(saysHow)
    const { extraVars, redactor } = this.input
    const magic = { inventory_hostname: host.name, group_names: host.groups, groups: this.groupNames }
    const remote = defined({ ansible_connection: connection, ansible_user: user, ansible_port: port })
    const layers = [
      ...(counts ? play!.defaultVars : []),
      { name: 'play', vars: remote },
      ...host.layers,
      ...(counts ? ofPlay : []),
      { name: 'command line', vars: extraVars },
      { name: 'runbook', vars: magic },
    ]
    return makeScope(layers, { redactor })
  }

  /** The host that a task is delegated to. */
  delegate(name: string, task: Task): HostState {
    try {
      return this.stateOf(name)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      throw new UserError({ message: `delegate_to: ${error.message}`, place: task.delegateTo?.place ?? task.place })
    }
  }

  /** Runs a play on its hosts, batch after batch; false when no other play may run after it. */
  async #play(play: Play, hosts: readonly HostState[]): Promise<boolean> {
    const started = performance.now()
    const tasks = play.sections.reduce((n, s) => n + [...tasksOf(s.steps)].length, 0)
    const names = hosts.map((h) => h.name)
    this.emit({ type: 'play_started', play: play.name, playId: play.id, hosts: names, tasks })
    for (const state of hosts) {
      this.#played.add(state)
      await state.use(this.#target(state.host, play), () => this.#link(state.host, play))
    }
    let goesOn = true
    const active = hosts.filter((h) => h.ended === undefined)
    for (const batch of batches(play, active)) {
      const playRun = await this.#batch(play, batch)
      // A batch of which nothing is left is the sign that all others would go the same way.
      goesOn = playRun.fatal === undefined && batch.some((h) => h.ended === undefined)
      if (!goesOn || playRun.ended === 'play' || this.stopping) break
    }
    this.emit({ type: 'play_ended', playId: play.id, elapsedMs: performance.now() - started })
    return goesOn
  }

  async #batch(play: Play, batch: readonly HostState[]): Promise<PlayRun> {
    const meeting = new Meeting(batch)
    const playRun = new PlayRun(this, play, batch, meeting)
    const runs = batch.map((state) => new HostRun(playRun, state))
    for (const section of play.sections) {
      if (this.stopping || playRun.fatal !== undefined || playRun.ended !== undefined) break
      const active = runs.filter((r) => r.state.ended === undefined && !r.left)
      meeting.begin(active.map((r) => r.state))
      await Promise.all(active.map((r) => r.section(section)))
    }
    if (playRun.fatal !== undefined) this.#stop(playRun)
    return playRun
  }

  #stop(playRun: PlayRun): void {
    for (const host of playRun.batch) {
      if (host.ended === undefined) {
        this.emit({ type: 'host_note', host: host.name, level: 'warning', msg: `stopped: ${playRun.fatal}` })
      }
    }
  }

  #recap(): RunEvent {
    const hosts = Object.fromEntries(
      [...this.#played].map((s) => {
        s.recap.round_trips = s.scripts
        return [s.name, s.recap]
      }),
    )
    const owed = Object.fromEntries(
      [...this.#played]
        .map((s) => [s.name, [...s.owed, ...[...s.notified.keys()].map(handlerName)]] as const)
        .filter(([, names]) => names.length > 0),
    )
    return {
      type: 'recap',
      run: this.id,
      hosts,
      elapsedMs: performance.now() - this.#started,
      interrupted: this.stopping,
      ...(this.bugs > 0 ? { bugs: this.bugs } : {}),
      owed,
    }
  }
}

const saysHow = ({ vars }: Layer): boolean =>
  [...(vars instanceof Map ? vars.keys() : Object.keys(vars))].some((name) => CONNECTION_VARIABLES.has(name))

function handlerName({ name, id }: Handler): string {
  return name.static ? String(name.evaluate(makeScope([]))) : id
}

/** Facts are read by a task in front of all others. */
async function withFacts(play: Play, hosts: readonly HostState[]): Promise<Play> {
  const [first, ...others] = play.sections
  if (!play.gatherFacts || !first) return play
  const cached = hosts.some((h) => h.factsMaxAgeMs !== undefined)
  // Those of the others are read anew in each play.
  if (cached) for (const host of hosts) if (host.factsMaxAgeMs === undefined) host.facts = undefined
  const task = await gatherTask(play, cached)
  return { ...play, sections: [{ ...first, steps: [task, ...first.steps] }, ...others] }
}

/** Time first, so that runs sort by their start: `20261120-031500-4f2a`. */
function newRunId(): string {
  const stamp = new Date().toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15)
  return `${stamp}-${randomBytes(2).toString('hex')}`
}

/** Leaves out what is undefined, so that it does not hide a value under it. */
function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T
}
