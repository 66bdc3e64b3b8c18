/** `--start-at-task`. */
import { didYouMean, UserError } from '../shared/errors.ts'
import { globSource } from '../shared/glob.ts'
import { writtenName } from './names.ts'
import type { Include, Included, Play, Step, Task } from './playbook.ts'
import { selectSteps, type TagSelection } from './tags.ts'

/**
 * The plays from the first task on whose name, as it is written, is `wanted` or matches it as a pattern (`Install*`, `role :
 * name` too). What stands before it is left out, whole plays too; handlers stay. `plays` are selected by tags already,
 * `selection` is for what stands in includes. Throws UserError when no task has that name.
 */
export function startAt(plays: readonly Play[], wanted: string, selection: TagSelection): readonly Play[] {
  const search = new Search(wanted, selection)
  const begun = plays.map((play): Play => {
    if (search.found) return play
    const sections = play.sections.flatMap((section) => {
      const steps = search.from(section.steps)
      return steps ? [{ ...section, steps }] : []
    })
    // Nothing of a play that is passed over is done: its questions need no answers.
    return search.found ? { ...play, sections } : { ...play, sections: [], prompts: [] }
  })
  if (!search.found) throw search.unknown()
  return begun
}

class Search {
  found = false
  readonly #wanted: string
  readonly #pattern: RegExp
  readonly #selection: TagSelection
  readonly #names = new Set<string>()
  /** There are includes of which nobody knows yet what is in them. */
  #hidden = false

  constructor(wanted: string, selection: TagSelection) {
    this.#wanted = wanted
    this.#selection = selection
    this.#pattern = patternOf(wanted)
  }

  /** What is left of a list of steps: all of it once the task was found, undefined while it was not. */
  from(steps: readonly Step[]): readonly Step[] | undefined {
    if (this.found) return steps
    for (const [i, step] of steps.entries()) {
      const rest = this.#step(step)
      if (rest) return [rest, ...steps.slice(i + 1)]
    }
    return undefined
  }

  unknown(): UserError {
    const names = [...this.#names]
    const hidden = 'includes whose file only a run knows are not looked into: start at the include'
    return new UserError({
      message: `no task is named "${this.#wanted}"`,
      hint: didYouMean(this.#wanted, names) ?? (this.#hidden ? hidden : '--list-tasks shows the names'),
    })
  }

  #step(step: Step): Step | undefined {
    if (step.kind === 'block') {
      const block = this.from(step.block)
      if (block) return { ...step, block }
      // A rescue part runs after a failure of its block alone, so nothing can begin there.
      const always = this.from(step.always)
      return always && { ...step, block: [], rescue: [], always }
    }
    if (this.#is(step)) {
      this.found = true
      return step
    }
    return step.kind === 'include' ? this.#include(step) : undefined
  }

  #is(step: Task | Include): boolean {
    const name = writtenName(step)
    const names = step.role === undefined ? [name] : [name, `${step.role} : ${name}`]
    for (const one of names) this.#names.add(one)
    return names.some((one) => one === this.#wanted || this.#pattern.test(one))
  }

  #include(include: Include): Include | undefined {
    const { known } = include
    if (!known) {
      this.#hidden = true
      return undefined
    }
    const steps = this.from(selectSteps(known.steps, this.#selection))
    if (!steps) return undefined
    if (include.loop) {
      throw new UserError({
        message: `the task "${this.#wanted}" stands in an include with a loop, which would begin in the middle of every item`,
        place: include.place,
        hint: `start at the include: --start-at-task '${writtenName(include)}'`,
      })
    }
    const rest: Included = { ...known, steps }
    return { ...include, known: rest, load: async () => rest }
  }
}

function patternOf(wanted: string): RegExp {
  try {
    return new RegExp(`^${globSource(wanted)}`, 's')
  } catch {
    // `[z-a]`: a name may look like that, a pattern not.
    return new RegExp(`^${RegExp.escape(wanted)}$`)
  }
}
