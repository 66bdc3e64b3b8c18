import { failure, type Outcome } from './outcome.ts'
import type { Performer } from './perform.ts'
import { isTrouble } from './prepare.ts'

/** What is said against a task that would act now; see RunInput.fence. */
export async function barred(performer: Performer): Promise<Outcome | undefined> {
  const { run } = performer.host.play
  try {
    await run.input.fence?.(performer.host.state.name)
    return undefined
  } catch (error) {
    if (!isTrouble(error)) throw error
    return failure(error)
  }
}
