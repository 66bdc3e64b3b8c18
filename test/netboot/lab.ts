/**
 * Tests with real peers in network namespaces. One that cannot have what it needs is skipped with the reason, or fails
 * where RUNBOOK_REQUIRE_LAB is set, as in CI.
 */
import t, { type Test } from 'tap'
import { missing } from './namespace.ts'

export { Namespace } from './namespace.ts'

const { RUNBOOK_FIRMWARE, RUNBOOK_FULL, RUNBOOK_REQUIRE_LAB } = process.env

/**
 * A test with machines under emulation, which takes minutes: where RUNBOOK_FIRMWARE asks for it, and in CI. One that is
 * `full` is left to RUNBOOK_FULL.
 */
export function firmwareTest(
  name: string,
  commands: string[],
  run: (t: Test) => Promise<void>,
  { full = false }: { readonly full?: boolean | undefined } = {},
): void {
  const isWanted = RUNBOOK_FULL || (!full && (RUNBOOK_FIRMWARE || RUNBOOK_REQUIRE_LAB))
  if (isWanted) labTest(name, commands, run)
  else t.test(name, { skip: `takes minutes: set RUNBOOK_F${full ? 'ULL' : 'IRMWARE'}=1` }, async () => {})
}

/** A test of the lab: skipped with the reason, or failed with it if the lab is required. */
export function labTest(name: string, commands: string[], run: (t: Test) => Promise<void>): void {
  const reason = missing(...commands)
  if (reason === undefined) t.test(name, run)
  else if (RUNBOOK_REQUIRE_LAB) t.fail(`${name}: ${reason}`)
  else t.test(name, { skip: reason }, async () => {})
}
