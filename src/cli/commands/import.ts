/** `runbook import ansible`: what it made, what it could not, and an exit code that says whether hands are needed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { type Finding, type ImportReport, importAnsible } from '../../ansible/index.ts'
import { loadPlaybooks } from '../../playbook/index.ts'
import { UserError } from '../../shared/errors.ts'
import { formatPlace } from '../../shared/source.ts'
import { EXIT } from '../exit.ts'

export interface ImportFlags {
  readonly output: string
  /** A file for the report as JSON, or `json`: on standard output. */
  readonly report?: string
}

/** Exit code 0: the output is valid and complete; 2: hand edits remain. */
export async function importFromAnsible(source: string, { output, report: to }: ImportFlags): Promise<number> {
  const { report, made, kind } = await importAnsible(source, output, problemsOf)
  const json = `${JSON.stringify(report, null, 2)}\n`
  if (to === 'json') process.stdout.write(json)
  else {
    if (to !== undefined) writeFileSync(to, json)
    process.stdout.write(summary(report, source, made, kind))
  }
  return report.findings.some(({ level }) => level === 'edit') || report.problems.length > 0 ? EXIT.failed : EXIT.done
}

/** What `validate` says of the output. A role is looked at through a playbook of its own. */
async function problemsOf({ kind, made }: { kind: 'playbook' | 'role'; made: string }): Promise<readonly string[]> {
  const folder = kind === 'role' ? mkdtempSync(join(tmpdir(), 'runbook-import-')) : undefined
  try {
    let path = made
    if (folder !== undefined) {
      path = join(folder, 'play.yml')
      writeFileSync(path, stringify([{ hosts: 'all', roles: [resolve(made)] }]))
    }
    await loadPlaybooks([path], {})
    return []
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return error.problems.map(
      ({ message, place, hint }) => `${place ? `${formatPlace(place)}: ` : ''}${message}${hint ? ` (${hint})` : ''}`,
    )
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true })
  }
}

function summary(report: ImportReport, source: string, made: string, kind: string): string {
  const edits = report.findings.filter(({ level }) => level === 'edit')
  const checks = report.findings.filter(({ level }) => level === 'check')
  const lines = [`${source}: ${report.tasks} tasks in ${report.files} files; ${report.finished} tasks need no hand`]
  if (edits.length > 0)
    lines.push(
      '',
      'To write by hand (each place is marked "# runbook:" and does not run before it is mended):',
      ...edits.map(shown),
    )
  if (checks.length > 0) lines.push('', 'To look at:', ...checks.map(shown))
  if (report.unseen.length > 0) lines.push('', `Variables of the inventory: ${report.unseen.join(', ')}`)
  lines.push('', ...report.remarks.map((one) => `- ${one}`))
  const left = report.problems.filter((one) => !/unfinished/.test(one))
  if (left.length > 0) lines.push('', 'runbook validate says:', ...left.map((one) => `  ${one}`))
  const next = edits.length > 0 || report.problems.length > 0 ? 'mend these, then: ' : ''
  lines.push(
    '',
    kind === 'role'
      ? `${next}the role is in ${made}`
      : `${next}runbook validate ${made} && runbook plan ${made} -i INVENTORY`,
    '',
  )
  return lines.join('\n')
}

function shown({ file, line, what, why, todo }: Finding): string {
  return `  ${file}:${line}: ${what}: ${why}\n      ${todo}`
}
