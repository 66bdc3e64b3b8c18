import type { Task } from '../playbook/playbook.ts'
import type { Scope } from '../values/index.ts'
import { NOTHING, type Outcome, registered } from './outcome.ts'

/**
 * Lets `changed_when` and `failed_when` have their say; both see the result under its `register` name, as `until` does.
 * An unreachable host stays unreachable, a skipped task skipped.
 */
export function judge(task: Task, scope: Scope, outcome: Outcome): Outcome {
  if (outcome.status === 'skipped' || outcome.status === 'unreachable' || outcome.unknown) return outcome
  const seen = withResult(task, scope, outcome)
  let result = outcome
  if (task.failedWhen.length > 0) {
    const failing = task.failedWhen.find((condition) => !condition.test(seen)) === undefined
    if (failing) {
      const why = `failed_when: ${task.failedWhen.map((c) => c.source).join(' and ')}`
      // What a failed task would set it does not set.
      result = {
        ...result,
        sets: undefined,
        facts: undefined,
        status: 'failed',
        msg: result.status === 'failed' && result.msg ? result.msg : why,
      }
    } else if (result.status === 'failed') {
      const { cmd: _cmd, ...rest } = result
      result = { ...rest, status: result.changes.length > 0 || result.rc !== undefined ? 'changed' : 'ok', msg: '' }
    }
  }
  if (task.changedWhen.length > 0 && result.status !== 'failed') {
    const changed = task.changedWhen.every((condition) => condition.test(seen))
    result = { ...result, status: changed ? 'changed' : 'ok', changes: changed ? result.changes : [] }
  }
  return result
}

/** Whether the `until` of a task is satisfied by this try; without one, whether it did not fail. */
export function isDone(task: Task, scope: Scope, outcome: Outcome): boolean {
  if (task.until.length === 0) return outcome.status !== 'failed'
  const seen = withResult(task, scope, outcome)
  return task.until.every((condition) => condition.test(seen))
}

/** The scope in which a task's own conditions see its result. */
export function withResult(task: Task, scope: Scope, outcome: Outcome): Scope {
  return task.register === undefined ? scope : scope.with({ [task.register]: registered(outcome) }, 'register')
}

/** The outcome of a loop from those of its items; each result also has its item, under the name of the loop's variable. */
export function sumUp(
  outcomes: readonly Outcome[],
  labels: readonly string[],
  items: readonly Readonly<Record<string, unknown>>[] = [],
): Outcome {
  const failed = outcomes.filter((o) => o.status === 'failed')
  const status = outcomes.some((o) => o.status === 'unreachable')
    ? 'unreachable'
    : failed.length > 0
      ? 'failed'
      : outcomes.some((o) => o.status === 'changed')
        ? 'changed'
        : outcomes.some((o) => o.status === 'ok')
          ? 'ok'
          : 'skipped'
  const worst = outcomes.find((o) => o.status === 'unreachable') ?? failed[0]
  const msg =
    worst === undefined
      ? outcomes.length === 0
        ? 'the loop has no items'
        : status === 'skipped'
          ? (outcomes[0]?.msg ?? '')
          : ''
      : failed.length > 1
        ? `${failed.length} of ${outcomes.length} items failed; the first: ${worst.msg}`
        : `item ${labels[outcomes.indexOf(worst)]}: ${worst.msg}`
  return {
    ...NOTHING,
    ...(worst ?? {}),
    status,
    msg,
    changes: outcomes.flatMap((o) => o.changes),
    data: { results: outcomes.map((outcome, i) => ({ ...items[i], ...registered(outcome) })) },
    elapsedMs: outcomes.reduce((sum, o) => sum + o.elapsedMs, 0),
    unknown: outcomes.some((o) => o.unknown),
    unsure: outcomes.some((o) => o.unsure),
    uncertain: outcomes.some((o) => o.uncertain),
    sets: merged(outcomes.map((o) => o.sets)),
    facts: merged(outcomes.map((o) => o.facts)),
  }
}

function merged(
  parts: readonly (Readonly<Record<string, unknown>> | undefined)[],
): Record<string, unknown> | undefined {
  const present = parts.filter((p) => p !== undefined)
  return present.length === 0 ? undefined : Object.assign({}, ...present)
}
