/** `--tags` and `--skip-tags`. */
import { didYouMean, UserError } from '../shared/errors.ts'
import type { Include, Play, Step, Task } from './playbook.ts'

export interface TagSelection {
  /** Empty: all but `never`. `all`, `tagged`, `untagged` are special. */
  readonly tags: readonly string[]
  readonly skipTags: readonly string[]
}

const SPECIAL = new Set(['all', 'tagged', 'untagged', 'always', 'never'])

/**
 * Throws UserError for a tag that nothing in the plays has: a slip of the pen would run nothing, or leave nothing out. Says
 * nothing where includes are known at run time only.
 */
export function checkTags(plays: readonly Play[], { tags, skipTags }: TagSelection): void {
  const there = new Set<string>()
  let unknown = false
  const look = (steps: readonly Step[]): void => {
    for (const step of steps) {
      if (step.kind === 'block') look([...step.block, ...step.rescue, ...step.always])
      else for (const tag of step.tags) there.add(tag)
      if (step.kind !== 'include') continue
      if (step.known) look(step.known.steps)
      else unknown = true
    }
  }
  for (const play of plays) {
    for (const tag of play.tags) there.add(tag)
    for (const { steps } of play.sections) look(steps)
    look(play.handlers)
  }
  if (unknown) return
  const problems = [...new Set([...tags, ...skipTags])]
    .filter((tag) => !there.has(tag) && !SPECIAL.has(tag))
    .map((tag) => ({
      message: `nothing has the tag "${tag}"`,
      hint: didYouMean(tag, there) ?? `there are ${[...there].join(', ') || 'no tags at all'}`,
    }))
  if (problems.length > 0) throw new UserError(problems)
}

/** The play with only what is selected; handlers stay, they run when something notifies them. */
export function selectTags(play: Play, selection: TagSelection): Play {
  const sections = play.sections.map((section) => ({ ...section, steps: selectSteps(section.steps, selection) }))
  return { ...play, sections: sections.filter(({ steps }) => steps.length > 0) }
}

/** For what an include brings at run time. */
export function selectSteps(steps: readonly Step[], selection: TagSelection): readonly Step[] {
  return steps.flatMap((step) => selectStep(step, selection) ?? [])
}

/** The selected tasks in file order, blocks and includes opened; of includes that only a run can open, the include itself. */
export function* selectedSteps(steps: readonly Step[], selection: TagSelection): Generator<Task | Include> {
  for (const step of selectSteps(steps, selection)) {
    if (step.kind === 'block') yield* selectedSteps([...step.block, ...step.rescue, ...step.always], selection)
    else if (step.kind === 'include' && step.known) yield* selectedSteps(step.known.steps, selection)
    else yield step as Task | Include
  }
}

function selectStep(step: Step, selection: TagSelection): Step | undefined {
  if (step.kind === 'task') return isSelected(step.tags, selection) ? step : undefined
  if (step.kind === 'include') {
    // What is inside has tags of its own, which decide once it is there.
    const inside = step.known === undefined || selectSteps(step.known.steps, selection).length > 0
    return inside || isSelected(step.tags, selection) ? step : undefined
  }
  const [block = [], rescue = [], always = []] = [step.block, step.rescue, step.always].map((part) =>
    selectSteps(part, selection),
  )
  return block.length + always.length > 0 ? { ...step, block, rescue, always } : undefined
}

/** Ansible's rules (lib/ansible/playbook/taggable.py, evaluate_tags). */
export function isSelected(own: readonly string[], { tags, skipTags }: TagSelection): boolean {
  const is = (tag: string): boolean => own.includes(tag)
  const tagged = own.length > 0
  const only = tags.length === 0 ? ['all'] : tags
  const run =
    is('always') ||
    only.some(is) ||
    (only.includes('all') && !is('never')) ||
    (only.includes('tagged') && tagged && !is('never')) ||
    (only.includes('untagged') && !tagged)
  if (!run) return false
  if (skipTags.includes('all')) return is('always') && !skipTags.includes('always')
  return !(skipTags.some(is) || (skipTags.includes('tagged') && tagged) || (skipTags.includes('untagged') && !tagged))
}
