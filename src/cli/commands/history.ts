import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { RunRecord } from '../../journal/journal.ts'
import { JOURNAL_FILE, JOURNAL_FOLDER, openJournal } from '../../journal/open.ts'
import { createReporter, type OutputName } from '../../report/create.ts'
import { duration } from '../../report/duration.ts'
import { htmlReport } from '../../report/html/page.ts'
import type { Verbosity } from '../../report/reporter.ts'
import { UserError } from '../../shared/errors.ts'
import { quoteAll } from '../../shared/quote.ts'
import { EXIT } from '../exit.ts'

/**
 * The journals of a folder of playbooks: its own (of `runbook run`, and of playbooks that stand in it) and those of the
 * folders in it (playbooks/). Throws UserError when there is none.
 */
function journalFolders(folder: string): string[] {
  const inside = existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : []
  const folders = [folder, ...inside.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name))]
  const found = folders.filter((at) => existsSync(join(at, JOURNAL_FOLDER, JOURNAL_FILE)))
  if (found.length === 0) {
    throw new UserError({
      message: `there is no journal ${join(folder, JOURNAL_FOLDER, JOURNAL_FILE)}`,
      hint: 'it stands beside the playbook: give that folder with --folder',
    })
  }
  return found
}

/** `runbook history`: the newest runs, newest first. */
export function listRuns(folder: string, limit: number): number {
  const runs = journalFolders(folder).flatMap((at) => {
    using journal = openJournal(at)
    return journal.runs(limit)
  })
  for (const run of runs.toSorted((a, b) => b.startedAt - a.startedAt).slice(0, limit)) {
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
  { output, verbose, diff, html }: { output?: OutputName; verbose: Verbosity; diff: boolean; html?: string },
): Promise<number> {
  const found = journalFolders(folder).flatMap((at) => {
    using journal = openJournal(at)
    return journal.runs(100_000).flatMap((run) => (run.id.startsWith(id) ? [{ run, at }] : []))
  })
  const [first] = found
  if (!first || found.length > 1) {
    throw new UserError({
      message: first ? `"${id}" is the beginning of ${found.length} runs` : `there is no run "${id}" in this journal`,
      hint: '`runbook history` lists them',
    })
  }
  const { run, at } = first
  using journal = openJournal(at)
  if (html !== undefined) {
    const report = htmlReport(html, '--html')
    for (const event of journal.events(run.id)) report.event(event)
    report.close((text) => {
      throw new UserError(text)
    })
    return EXIT.done
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
