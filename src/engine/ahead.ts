import type { Section } from '../playbook/index.ts'
import { PendingError } from '../values/index.ts'
import type { HostState } from './host.ts'
import type { PlayRun } from './play.ts'
import { becomeFor, isTrouble } from './prepare.ts'
import { taskScope } from './vars.ts'

const NO_VARS: ReadonlyMap<string, unknown> = new Map()

/**
 * A section that begins by reading facts needs the host whatever comes then: it logs us in while its tasks are rendered. What goes
 * wrong with that is told when the task is at its turn.
 */
export function logInAhead(play: PlayRun, state: HostState, { steps: [first] }: Section): void {
  if (first?.kind !== 'task' || first.moduleName !== 'facts') return
  if (first.when.length > 0 || first.loop || first.delegateTo || play.run.stepper) return
  try {
    const scope = taskScope(play, state, first, NO_VARS)
    state.link.begin(becomeFor(play, first, scope, scope))
  } catch (error) {
    if (!isTrouble(error) && !(error instanceof PendingError)) throw error
  }
}
