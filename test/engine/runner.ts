/** Runs a playbook, given as data, on fake hosts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Run, type RunInput } from '../../src/engine/run.ts'
import { loadInventory } from '../../src/inventory/index.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { loadPlaybooks, type Playbook } from '../../src/playbook/index.ts'
import type { RunEvent, TaskResultEvent } from '../../src/shared/events.ts'
import { Redactor } from '../../src/shared/redact.ts'
import { FakeHost, source } from './world.ts'

/** A journal in memory: what a run that was killed leaves is what was recorded until then. */
export class FakeJournal implements Journal {
  readonly debts = new Map<string, Map<string, { handler: string; by: string; run: string }>>()
  readonly results: TaskResultEvent[] = []
  /** A dead process records nothing. */
  dead = false
  onRecord: (event: RunEvent) => void = () => {}

  begin(): void {}
  record(event: RunEvent): void {
    this.onRecord(event)
    if (event.type === 'task_result' && !this.dead) this.results.push(event)
  }
  flush(): void {}
  end(): void {}
  owed(key: string, host: string) {
    return [...(this.debts.get(`${key} ${host}`)?.values() ?? [])]
  }
  owe(key: string, host: string, handler: string, by: string, run: string): void {
    if (this.dead) return
    const debts = this.debts.get(`${key} ${host}`) ?? new Map()
    if (!debts.has(handler)) debts.set(handler, { handler, by, run })
    this.debts.set(`${key} ${host}`, debts)
  }
  paid(key: string, host: string, handler: string): void {
    if (!this.dead) this.debts.get(`${key} ${host}`)?.delete(handler)
  }
  intent(): undefined {}
  intentDone(): void {}
  recall(): undefined {}
  runs() {
    return []
  }
  run(): undefined {}
  unfinished(): undefined {}
  newest(): undefined {}
  failed() {
    return []
  }
  progress(_run: string, playId: string, host: string) {
    const mine = this.results.filter((r) => r.playId === playId && r.host === host)
    return { results: mine.map(({ taskId, status, result }) => ({ taskId, status, result })) }
  }
  *events() {}
  [Symbol.dispose](): void {}

  /** Names of the handlers that are owed to a host. */
  debtsOf(host: string): string[] {
    return [...this.debts].flatMap(([k, v]) => (k.endsWith(` ${host}`) ? [...v.keys()] : [])).sort()
  }
}

const folder = mkdtempSync(join(tmpdir(), 'engine-test-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

/** Loads plays; JSON is YAML. */
export async function load(
  plays: unknown,
  files: Readonly<Record<string, unknown>> = {},
): Promise<readonly Playbook[]> {
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(content))
  const path = join(folder, 'site.yml')
  writeFileSync(path, JSON.stringify(plays))
  return loadPlaybooks([path], { modules: source })
}

export interface Options extends Partial<Omit<RunInput, 'journal'>> {
  readonly journal?: FakeJournal
  readonly hosts?: readonly FakeHost[]
  readonly files?: Readonly<Record<string, unknown>>
  readonly onEvent?: (event: RunEvent) => void
}

export interface Result {
  readonly run: Run
  readonly hosts: readonly FakeHost[]
  readonly events: readonly RunEvent[]
  readonly journal: FakeJournal
  /** `task status` in order, those of a host. */
  trace(host: string): string[]
  host(name: string): FakeHost
}

export const hostNames = (n: number): string[] => Array.from({ length: n }, (_, i) => `h${i + 1}`)

/** Runs plays on `h1`, `h2` …; fails when the run does not end. */
export async function runPlays(plays: unknown, count: number, options: Options = {}): Promise<Result> {
  const hosts = options.hosts ?? hostNames(count).map((name) => new FakeHost(name))
  const journal = options.journal ?? new FakeJournal()
  const playbooks = options.playbooks ?? (await load(plays, options.files))
  const { hosts: _h, files: _f, onEvent, ...input } = options
  const run = new Run({
    inventory: await loadInventory([`h[1:${hosts.length}],`]),
    tags: { tags: [], skipTags: [] },
    extraVars: {},
    check: false,
    diff: false,
    forks: 50,
    connect: async ({ name }) => hosts.find((h) => h.name === name)!.connect(),
    redactor: new Redactor(),
    baseDir: folder,
    stop: new AbortController().signal,
    abort: new AbortController().signal,
    ...input,
    playbooks,
    journal,
  })
  const events: RunEvent[] = []
  const work = run.execute(run.plan())
  const read = (async () => {
    for await (const event of run.events) {
      events.push(event)
      onEvent?.(event)
    }
    await work
  })()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the run does not end')), 20_000)
  })
  try {
    await Promise.race([read, late])
  } finally {
    clearTimeout(timer)
  }
  return {
    run,
    hosts,
    events,
    journal,
    trace: (host) =>
      events.flatMap((e) => (e.type === 'task_result' && e.host === host ? [`${e.task} ${e.status}`] : [])),
    host: (name) => hosts.find((h) => h.name === name)!,
  }
}

/** A play of tasks on all hosts without facts. */
export const play = (tasks: unknown[], more: Record<string, unknown> = {}) => ({
  hosts: 'all',
  gather_facts: false,
  tasks,
  ...more,
})
