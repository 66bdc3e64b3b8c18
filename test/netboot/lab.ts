/**
 * Tests with real peers in network namespaces. One that cannot have what it needs is skipped with the reason, or fails
 * where RUNBOOK_REQUIRE_LAB is set, as in CI.
 */
import t, { type Test } from 'tap'
import { missing } from './namespace.ts'

export { Namespace } from './namespace.ts'

/** A test of the lab: skipped with the reason, or failed with it if the lab is required. */
export function labTest(name: string, commands: string[], run: (t: Test) => Promise<void>): void {
  const reason = missing(...commands)
  if (reason === undefined) t.test(name, run)
  else if (process.env.RUNBOOK_REQUIRE_LAB) t.fail(`${name}: ${reason}`)
  else t.test(name, { skip: reason }, async () => {})
}
