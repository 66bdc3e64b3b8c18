import { dirname, relative } from 'node:path'
import type { Inventory } from '../inventory/index.ts'
import type { Journal } from '../journal/journal.ts'
import { UserError } from '../shared/errors.ts'

/**
 * `--retry-failed`: the names of the hosts that failed or were unreachable in the newest run of the playbooks; of those
 * that the inventory still has. Throws UserError when there was no such run, or none of its hosts is left.
 */
export function hostsToRetry(journal: Journal, playbooks: readonly string[], inventory: Inventory): Set<string> {
  const ours = besideTheFirst(playbooks)
  const run = journal.newest((paths) => besideTheFirst(paths) === ours)
  if (!run) {
    throw new UserError({
      message: `--retry-failed: there is no earlier run of ${playbooks.join(' ')}`,
      hint: '`runbook history` lists the runs',
    })
  }
  const failed = journal.failed(run.id)
  const left = failed.filter((name) => inventory.hosts.has(name) || name === 'localhost')
  if (failed.length > 0 && left.length === 0) {
    throw new UserError({
      message: `--retry-failed: of the hosts that failed in run ${run.id} none is in the inventory: ${failed.join(', ')}`,
      hint: 'was it another inventory (-i)?',
    })
  }
  return new Set(left)
}

/** The journal stands beside the first playbook, from wherever that is named. */
function besideTheFirst(paths: readonly string[]): string {
  return JSON.stringify(paths.map((path) => relative(dirname(paths[0]!), path)))
}
