import type { Task } from '../playbook/playbook.ts'
import { UserError } from '../shared/errors.ts'
import type { Scope } from '../values/index.ts'
import type { Entry, Item } from './entry.ts'
import { sumUp } from './judge.ts'
import { NOTHING, type Outcome } from './outcome.ts'

const NO_ITEM: Item = { index: 0, value: undefined, label: undefined, vars: new Map() }

/** How far a task has come on a host: its items, and how those ended that have. */
export class Progress {
  readonly task: Task
  readonly items: readonly Item[]
  readonly outcomes: Outcome[] = []
  /** `loop_control.break_when` held: the items that are left do not run. */
  broken = false

  /** What `register` got in the run that is resumed, where the task came to its end in it and is looked at again. */
  earlier: Readonly<Record<string, unknown>> | undefined

  /** The one entry of a task whose loop could not be evaluated, or need not be. */
  readonly only: Entry | undefined

  /** Tells this running of the task from others that an include brings. */
  readonly key: string

  constructor(task: Task, items: readonly Item[], key = '', only?: Entry) {
    this.task = task
    this.items = items
    this.key = task.id + key
    this.only = only
  }

  /** A task with one entry that is known already. */
  static of(task: Task, entry: Entry, key = ''): Progress {
    return new Progress(task, [NO_ITEM], key, entry)
  }

  /** How the task ended: where nothing had to be done again, as it ended in the run that is resumed. */
  total(): Outcome {
    const outcome =
      this.isLoop && this.items.length > 0
        ? sumUp(
            this.outcomes,
            this.items.map((item) => item.label ?? ''),
            this.items.map((item) => ({ [this.task.loop!.loopVar]: item.value })),
          )
        : this.outcomes[0]!
    if (!this.earlier || outcome.status !== 'ok') return outcome
    const msg = 'still as the run that is resumed left it'
    return { ...NOTHING, status: 'ok', msg, data: this.earlier, elapsedMs: outcome.elapsedMs, resumed: true }
  }

  get isLoop(): boolean {
    return this.task.loop !== undefined && this.only === undefined
  }

  get done(): boolean {
    return this.broken || this.outcomes.length >= this.items.length
  }

  /** Items must run one at a time: there is something to do between them. */
  get isSequential(): boolean {
    const { loop } = this.task
    return loop !== undefined && (loop.pause !== undefined || loop.breakWhen.length > 0)
  }
}

/** The items of a task's loop; a task without one has a single item without variables. */
export function itemsOf(task: Task, scope: Scope): readonly Item[] {
  const { loop } = task
  if (!loop) return [NO_ITEM]
  const values = listOf(loop.items.evaluate(scope), task)
  return values.map((value, index) => {
    const vars = new Map<string, unknown>([[loop.loopVar, value]])
    if (loop.indexVar) vars.set(loop.indexVar, index)
    // CEL keeps the word `loop` for itself.
    if (loop.extended) for (const name of ['loop', 'ansible_loop']) vars.set(name, extended(values, index))
    const label = loop.label ? loop.label.evaluate(scope.with(vars, 'loop item')) : value
    return { index, value, label: labelText(label), vars }
  })
}

/** A map is looped over as {key, value}, in its order. */
function listOf(value: unknown, task: Task): readonly unknown[] {
  if (Array.isArray(value)) return value
  if (value !== null && typeof value === 'object') {
    return Object.entries(value).map(([key, entry]) => ({ key, value: entry }))
  }
  throw new UserError({
    message: `loop must be a list or a map, not ${value === null ? 'null' : typeof value}`,
    place: task.loop!.items.place ?? task.place,
  })
}

/** Ansible's `ansible_loop`, also under the name `loop`. */
function extended(values: readonly unknown[], index: number): Record<string, unknown> {
  return {
    index: index + 1,
    index0: index,
    first: index === 0,
    last: index === values.length - 1,
    length: values.length,
    revindex: values.length - index,
    revindex0: values.length - index - 1,
    allitems: values,
    ...(index > 0 ? { previtem: values[index - 1] } : {}),
    ...(index < values.length - 1 ? { nextitem: values[index + 1] } : {}),
  }
}

function labelText(label: unknown): string {
  const text = typeof label === 'string' ? label : JSON.stringify(label)
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}
