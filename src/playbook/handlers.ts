/** Which handlers a notification means. */
import { didYouMean, type Problems } from '../shared/errors.ts'
import { makeScope } from '../values/index.ts'
import { type Handler, type Included, type Section, type Step, tasksOf } from './playbook.ts'

const NO_SCOPE = makeScope([])

/**
 * The handlers that a notification runs: all that listen to it, and one with its name: of the task's own role, else the
 * play's, else the last of another role. `role : name` names one outright. `nameOf` gives a handler's name when that is a
 * template.
 */
export function findHandlers(
  handlers: readonly Handler[],
  notification: string,
  role: string | undefined,
  nameOf: (handler: Handler) => string | undefined = staticName,
): readonly Handler[] {
  const named = handlers.filter((one) => {
    const name = nameOf(one)
    return name === notification || (one.role !== undefined && `${one.role} : ${name}` === notification)
  })
  const own =
    named.findLast((one) => one.role === role) ?? named.findLast((one) => one.role === undefined) ?? named.at(-1)
  return handlers.filter((one) => one === own || one.listen.includes(notification))
}

function staticName({ name }: Handler): string | undefined {
  return name.static ? String(name.evaluate(NO_SCOPE)) : undefined
}

/** A notification that no handler takes is a problem, unless handlers are still to come from an include. */
export function checkNotify(sections: readonly Section[], handlers: readonly Handler[], problems: Problems): void {
  const steps = sections.flatMap((section) => section.steps)
  const includes = [...includesOf(steps)]
  const all = [...handlers, ...includes.flatMap((one) => one?.handlers ?? [])]
  if (includes.includes(undefined) || all.some((one) => !one.name.static)) return
  const known = all.flatMap((one) => [staticName(one)!, ...one.listen])
  const seen = new Set<object>()
  for (const task of [...tasksOf(steps), ...all]) {
    for (const value of task.notify) {
      if (!value.static || seen.has(value)) continue
      seen.add(value)
      const name = String(value.evaluate(NO_SCOPE))
      if (findHandlers(all, name, task.role).length > 0) continue
      problems.add(`no handler has the name or topic "${name}"`, value.place, didYouMean(name, known))
    }
  }
}

/** What is inside the includes that can bring handlers; undefined for one that is not known yet. */
function* includesOf(steps: readonly Step[]): Generator<Included | undefined> {
  for (const step of steps) {
    if (step.kind === 'include') {
      yield step.known
      yield* includesOf(step.known?.steps ?? [])
    } else if (step.kind === 'block') yield* includesOf([...step.block, ...step.rescue, ...step.always])
  }
}
