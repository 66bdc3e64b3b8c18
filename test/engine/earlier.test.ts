/** What counts of runs that were resumed themselves. */
import t from 'tap'
import { earlierResults } from '../../src/engine/earlier.ts'
import type { Status } from '../../src/shared/events.ts'

/** Runs as `task status …`; each resumes the one in front of it. */
function left(...runs: string[]): string {
  const rows = runs.map((text) =>
    text
      .split(' ')
      .filter(Boolean)
      .map((word, i, all) => ({ taskId: word, status: all[i + 1] as Status, result: { run: text } }))
      .filter((_, i) => i % 2 === 0),
  )
  const journal = {
    progress: (run: string) => ({ results: rows[Number(run)]! }),
    run: (run: string) =>
      ({ resumes: Number(run) > 0 ? String(Number(run) - 1) : undefined }) as ReturnType<
        Parameters<typeof earlierResults>[0]['run']
      >,
  }
  return [...earlierResults(journal, String(runs.length - 1), '0', 'h1')]
    .map(([task, { status, result }]) => `${task} ${status}${result?.run === runs.at(-1) ? '' : ' before'}`)
    .join(', ')
}

for (const [title, runs, want] of [
  ['one that was killed', ['a changed b ok'], 'a changed, b ok'],
  ['up to its failure', ['a changed b failed c ok'], 'a changed'],
  ['killed again before it came so far', ['a changed b ok c changed', 'a ok'], 'a ok, b ok before, c changed before'],
  ['and before its first task', ['a changed b ok', ''], 'a changed before, b ok before'],
  ['not reached again', ['a changed b ok', 'a unreachable'], 'a changed before, b ok before'],
  ['failed where the first one had come further', ['a ok b changed c changed', 'a ok b failed'], 'a ok'],
  ['failed behind where the first one failed', ['a ok b failed', 'a ok b changed c failed'], 'a ok, b changed'],
  ['three', ['a ok b ok c ok d failed', 'a unreachable', 'a ok'], 'a ok, b ok before, c ok before'],
  ['what failed in the middle one', ['a ok b ok c ok', 'a ok b failed', 'a unreachable'], 'a ok before'],
] as const)
  t.test(title, async (t) => t.equal(left(...runs), want))
