import type { HostRecap, Recap } from '../shared/events.ts'

/** Exit codes (docs/command-line.md). */
export const EXIT = {
  done: 0,
  bug: 1,
  failed: 2,
  /** The input is wrong and nothing was touched. */
  input: 3,
  unreachable: 4,
  /** `plan --detailed-exitcode`: changes are pending. */
  pending: 8,
  interrupted: 130,
} as const

/** The exit code of a run from its recap. */
export function exitCodeOf(recap: Recap, { detailed }: { detailed: boolean }): number {
  const any = (column: keyof HostRecap): boolean => Object.values(recap.hosts).some((h) => h[column] > 0)
  if (recap.bugs) return EXIT.bug
  if (recap.interrupted) return EXIT.interrupted
  if (any('failed')) return EXIT.failed
  if (any('unreachable')) return EXIT.unreachable
  return detailed && any('changed') ? EXIT.pending : EXIT.done
}
