/** Table tests of modules: arguments and a host's state in, summaries of changes (or the failure) out. */
import t from 'tap'
import type { Change, Module } from '../../src/module/index.ts'

export interface Row {
  readonly name: string
  readonly args: unknown
  /** What the reads of `probe` would answer, by name. */
  readonly state: unknown
  /** Summaries of the changes; [] for "nothing to do". */
  readonly changes?: readonly string[]
  /** What `plan` fails with. */
  readonly fails?: RegExp
  /** What the argument schema says of the arguments. */
  readonly invalid?: RegExp
  /** Looks closer at the changes. */
  readonly check?: (changes: readonly Change[]) => void
}

/** One subtest a row. */
export function table(module: Module, rows: readonly Row[]): void {
  for (const row of rows) {
    t.test(row.name, (t) => {
      const parsed = module.args.safeParse(row.args)
      if (row.invalid) {
        t.match(parsed.error?.message ?? 'no error', row.invalid)
        t.end()
        return
      }
      if (!parsed.success) throw parsed.error
      module.probe(parsed.data)
      if (row.fails) {
        t.throws(() => module.plan(parsed.data, row.state), { message: row.fails })
        t.end()
        return
      }
      const changes = module.plan(parsed.data, row.state)
      if (row.changes) {
        t.same(
          changes.map((c) => c.summary),
          row.changes,
        )
      }
      row.check?.(changes)
      t.end()
    })
  }
}
