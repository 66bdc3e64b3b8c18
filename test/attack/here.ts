/** Runs plays on this machine as its own host, through the whole engine and a real `sh`. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type RunInput, runPlaybooks } from '../../src/engine/run.ts'
import { loadInventory } from '../../src/inventory/index.ts'
import { memoryJournal } from '../../src/journal/open.ts'
import { loadPlaybooks } from '../../src/playbook/index.ts'
import { connect } from '../../src/session/connect.ts'
import type { RunEvent, TaskResultEvent } from '../../src/shared/events.ts'
import { Redactor } from '../../src/shared/redact.ts'

export interface Ran {
  readonly events: readonly RunEvent[]
  readonly results: readonly TaskResultEvent[]
  /** `task status` in order. */
  readonly trace: readonly string[]
}

/** Runs tasks of one play, given as data (JSON is YAML), on a local host `here`; `folder` is the playbook's. */
export async function runHere(
  folder: string,
  tasks: readonly unknown[],
  options: Partial<RunInput> & { readonly vars?: Record<string, unknown> } = {},
): Promise<Ran> {
  const path = join(folder, 'site.yml')
  const { vars = {}, ...input } = options
  writeFileSync(path, JSON.stringify([{ hosts: 'all', gather_facts: false, vars, tasks }]))
  const hosts = join(folder, 'hosts.yml')
  writeFileSync(hosts, 'all: {hosts: {here: {ansible_connection: local}}}\n')
  using journal = memoryJournal()
  const events: RunEvent[] = []
  const run = runPlaybooks({
    playbooks: await loadPlaybooks([path]),
    inventory: await loadInventory([hosts]),
    tags: { tags: [], skipTags: [] },
    extraVars: {},
    check: false,
    diff: false,
    forks: 5,
    journal,
    connect,
    redactor: new Redactor(),
    baseDir: folder,
    stop: new AbortController().signal,
    abort: new AbortController().signal,
    ...input,
  })
  for await (const event of run) events.push(event)
  const results = events.filter((e) => e.type === 'task_result')
  return { events, results, trace: results.map((e) => `${e.task} ${e.status}`) }
}
