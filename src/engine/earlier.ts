import type { HostProgress, Journal } from '../journal/journal.ts'

/** How a task ended on a host. */
export type Earlier = HostProgress['results'][number]

/**
 * What need not be done again on a host when a run is resumed: by the key of each task how it ended. A failure that nothing
 * rescued is tried again, and with it all that came after it. A run that itself resumed another one may have ended before it
 * came to where that one was: then what that one did counts.
 */
export function earlierResults(
  journal: Pick<Journal, 'progress' | 'run'>,
  run: string,
  playId: string,
  host: string,
): ReadonlyMap<string, Earlier> {
  const { results } = journal.progress(run, playId, host)
  const end = results.findIndex(({ status }) => status === 'failed' || status === 'unreachable')
  const resumed = journal.run(run)?.resumes
  const before = resumed === undefined ? [] : [...earlierResults(journal, resumed, playId, host).values()]
  const failed =
    results[end]?.status === 'failed' ? before.findIndex(({ taskId }) => taskId === results[end]!.taskId) : -1
  const kept = failed === -1 ? before : before.slice(0, failed)
  const own = end === -1 ? results : results.slice(0, end)
  return new Map([...kept, ...own].map((row) => [row.taskId, row]))
}
