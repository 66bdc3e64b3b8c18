/** Runs modules as users do: the program itself, a playbook, a real host; one host is booted for all tests of a file. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { apply, type Ended, folderOf, sh, stateOf, type TaskResult } from '../acceptance/support.ts'
import { bootLab, type Lab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'

/** A task, as it stands in a playbook. */
export type Task = Readonly<Record<string, unknown>>

export interface PlayBench {
  readonly lab: Lab
  /** Address of the host. */
  readonly address: string
  /** Runs sh on the host, not over SSH, and gives what it prints. Throws when it fails. */
  sh(script: string): Promise<string>
  /** Puts a file beside the playbook; returns its path. */
  beside(name: string, content: string | Buffer): string
  /** The path of what stands, or shall stand, beside the playbook. */
  besidePath(name: string): string
  /** Runs a play of these tasks, without gathering facts. */
  run(tasks: readonly Task[], args?: readonly string[]): Promise<Ended>
  /**
   * Check mode (nothing on the host may change), apply (exactly the changes that check mode said), apply again (no
   * change). Gives the results of the first apply.
   */
  converges(t: Test, ...tasks: readonly Task[]): Promise<readonly TaskResult[]>
  /** Each task fails in a real run with its words, and neither that nor check mode touches anything (what was
   * written beside a file and taken away again shows in its folder's time alone). */
  refuses(t: Test, ...tasks: readonly (readonly [words: RegExp, task: Task])[]): Promise<void>
}

/** Tests on one fresh host. */
export function onLabHost(name: string, fn: (t: Test, bench: PlayBench) => Promise<void>): void {
  t.setTimeout(300_000)
  t.test(name, { skip: skipWithoutLab(), timeout: 300_000 }, async (t) => {
    await using lab = await bootLab({ hosts: 1 })
    // A unit that comes up late would look like a change.
    await sh(lab, 'n1', 'until systemctl is-system-running --wait | grep -qE "running|degraded"; do sleep 0.1; done')
    await fn(t, benchOf(t, lab))
  })
}

function benchOf(t: Test, lab: Lab): PlayBench {
  const folder = folderOf(t, {})
  const playbook = join(folder, 'site.yml')
  const bench: PlayBench = {
    lab,
    address: lab.hosts[0]!.address,
    sh: (script) => sh(lab, 'n1', script),
    besidePath: (name) => join(folder, name),
    beside(name, content) {
      const path = bench.besidePath(name)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, content)
      return path
    },
    run(tasks, args = []) {
      // JSON is YAML.
      writeFileSync(playbook, JSON.stringify([{ name: 'P', hosts: 'all', gather_facts: false, tasks }]))
      return apply(playbook, lab.inventoryFile, args)
    },
    async converges(t, ...tasks) {
      const before = await stateOf(lab, 'n1')
      const checked = await bench.run(tasks, ['--check'])
      t.equal(checked.code, 0, `check mode: ${whatFailed(checked)}`)
      t.equal(await stateOf(lab, 'n1'), before, 'check mode touches nothing')
      const first = await bench.run(tasks)
      t.equal(first.code, 0, whatFailed(first))
      t.strictSame(changesOf(first), changesOf(checked), 'what check mode said')
      const second = await bench.run(tasks)
      t.equal(second.code, 0, whatFailed(second))
      t.strictSame(changesOf(second), [], 'nothing to do the second time')
      return first.results
    },
    async refuses(t, ...wanted) {
      const before = await stateOf(lab, 'n1')
      const tasks = wanted.map(([words, task], i) => ({ name: `${i} ${words}`, ...task, ignore_errors: true }))
      const checked = await bench.run(tasks, ['--check'])
      t.equal(checked.code, 0, whatFailed(checked))
      const { code, results } = await bench.run(tasks)
      t.equal(code, 0, JSON.stringify(results.at(-1)))
      for (const [i, [words]] of wanted.entries()) t.match(results[i], { status: 'ignored', msg: words })
      t.equal(withoutFolderTimes(await stateOf(lab, 'n1')), withoutFolderTimes(before), 'nothing was touched')
    },
  }
  return bench
}

const withoutFolderTimes = (state: string): string => state.replace(/^(\/.* d \d+ \d+ \d+ \d+) [\d.]+ $/gm, '$1')

/** `task: summary` of every change. */
export function changesOf({ results }: Ended): string[] {
  return results.flatMap((r) => r.changes.map(({ summary }) => `${r.task}: ${summary}`))
}

function whatFailed({ results, stderr }: Ended): string {
  const failed = results.find(({ status }) => status === 'failed' || status === 'unreachable')
  return `${JSON.stringify(failed ?? 'no task failed')} ${stderr}`
}
