import type { Task } from '../playbook/playbook.ts'
import type { Scope } from '../values/index.ts'
import { concludeTask } from './conclude.ts'
import type { HostRun } from './host-run.ts'
import type { Met } from './meeting.ts'
import { NOTHING } from './outcome.ts'
import { taskName } from './prepare.ts'
import { Progress } from './progress.ts'
import { taskScope } from './vars.ts'

const NO_VARS: ReadonlyMap<string, unknown> = new Map()

/** What a person says before a task. `stop`: no answer will come any more. */
export type StepAnswer = 'yes' | 'no' | 'continue' | 'stop'

/** Asks a person whether to run a task on hosts. */
export type AskStep = (task: string, hosts: readonly string[]) => Promise<StepAnswer>

/** `--step`: all hosts meet before each task, and one question is for all that are there. */
export class Stepper {
  /** False once the person said to go on without questions. */
  asks = true
  /** Nothing more is to be begun. */
  stopped = false
  readonly #ask: AskStep
  readonly #answers = new WeakMap<Met, Promise<boolean>>()

  constructor(ask: AskStep) {
    this.#ask = ask
  }

  /** Whether the hosts that have met run the task: the first to come is `host`. */
  wants(met: Met, host: HostRun, task: Task): Promise<boolean> {
    let answer = this.#answers.get(met)
    if (!answer) {
      answer = this.#question(met, host, task)
      this.#answers.set(met, answer)
    }
    return answer
  }

  async #question(met: Met, host: HostRun, task: Task): Promise<boolean> {
    if (!this.asks) return true
    const hosts = met.hosts.map((host) => host.name)
    const name = host.play.run.input.redactor.redact(taskName(task, scopeOf(host, task)))
    const answer = await this.#ask(name, hosts)
    this.asks = answer === 'yes' || answer === 'no'
    this.stopped = answer === 'stop'
    return answer === 'yes' || answer === 'continue'
  }
}

/** Leaves out a task that the person does not want; a handler stays owed. */
export function passOver(host: HostRun, task: Task): void {
  const scope = scopeOf(host, task)
  const msg = 'not wanted (--step)'
  const common = { task, item: undefined, vars: host.cursor.vars, scope, name: taskName(task, scope), noLog: false }
  const outcome = { ...NOTHING, status: 'skipped', msg } as const
  concludeTask(host, { ...common, kind: 'skip', msg }, new Progress(task, [], host.cursor.key), outcome, { owed: true })
}

const scopeOf = (host: HostRun, task: Task): Scope => taskScope(host.play, host.state, task, NO_VARS, host.cursor.vars)
