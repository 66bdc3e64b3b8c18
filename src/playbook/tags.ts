/** `--tags` and `--skip-tags`. */
import type { Play, Step } from './playbook.ts'

export interface TagSelection {
  /** Empty: all but `never`. `all`, `tagged`, `untagged` are special. */
  readonly tags: readonly string[]
  readonly skipTags: readonly string[]
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
