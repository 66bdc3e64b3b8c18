/** How long a fuzz test runs: RUNBOOK_FUZZ_SECONDS (nightly: 600, CI: 30), or a few thousand runs where it is unset. */
const seconds = Number(process.env.RUNBOOK_FUZZ_SECONDS ?? 0)

export const FUZZ = seconds
  ? { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false }
  : { numRuns: 3000 }

/** For `t.setTimeout`, in milliseconds. */
export const FUZZ_TIMEOUT = (seconds + 30) * 1000 * 3
