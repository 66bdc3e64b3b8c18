import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Journal, RunRecord } from '../../journal/journal.ts'
import { JOURNAL_FILE, JOURNAL_FOLDER, openJournal } from '../../journal/open.ts'
import { createReporter, type OutputName } from '../../report/create.ts'
import { duration } from '../../report/duration.ts'
import type { Verbosity } from '../../report/reporter.ts'
import { UserError } from '../../shared/errors.ts'
import { quoteAll } from '../../shared/quote.ts'
import { EXIT } from '../exit.ts'

function open(folder: string): Journal {
  const path = join(folder, JOURNAL_FOLDER, JOURNAL_FILE)
  if (!existsSync(path)) {
    throw new UserError({
      message: `there is no journal ${path}`,
      hint: 'it stands beside the playbook: give that folder with --folder',
    })
  }
  return openJournal(folder)
}

/** `runbook history`: the newest runs, newest first. */
export function listRuns(folder: string, limit: number): number {
  using journal = open(folder)
  for (const run of journal.runs(limit)) {
    const took = run.endedAt === undefined ? '' : duration(run.endedAt - run.startedAt)
    const cells = [run.id.padEnd(20), time(run.startedAt), took.padStart(7), outcome(run).padEnd(12), run.user]
    process.stdout.write(`${cells.join('  ')}  ${quoteAll(run.command)}\n`)
  }
  return EXIT.done
}

/** `runbook history show ID`: what that run said, again. The beginning of an id is enough. */
export async function showRun(
  folder: string,
  id: string,
  { output, verbose, diff }: { output?: OutputName; verbose: Verbosity; diff: boolean },
): Promise<number> {
  using journal = open(folder)
  const found = journal.runs(100_000).filter((run) => run.id.startsWith(id))
  const [run] = found
  if (!run || found.length > 1) {
    throw new UserError({
      message: run ? `"${id}" is the beginning of ${found.length} runs` : `there is no run "${id}" in this journal`,
      hint: '`runbook history` lists them',
    })
  }
  const reporter = await createReporter({ output: output ?? 'plain', verbosity: verbose, diff })
  if (output !== 'json')
    process.stdout.write(`${run.id}  ${time(run.startedAt)}  ${outcome(run)}  ${run.user}  ${quoteAll(run.command)}\n`)
  for (const event of journal.events(run.id)) reporter.event(event)
  await reporter.close()
  return EXIT.done
}

const OUTCOMES: Readonly<Record<number, string>> = {
  [EXIT.done]: 'done',
  [EXIT.bug]: 'broke off',
  [EXIT.failed]: 'failed',
  [EXIT.input]: 'wrong input',
  [EXIT.unreachable]: 'unreachable',
  [EXIT.pending]: 'pending',
  [EXIT.interrupted]: 'interrupted',
}

function outcome({ exitCode }: RunRecord): string {
  return exitCode === undefined ? 'not ended' : (OUTCOMES[exitCode] ?? String(exitCode))
}

/** Local time to the second, without a locale's surprises: `2026-11-20 03:15:00`. */
function time(ms: number): string {
  const date = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000)
  return date.toISOString().slice(0, 19).replace('T', ' ')
}
