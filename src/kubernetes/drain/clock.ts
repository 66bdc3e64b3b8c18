import { setTimeout as sleep } from 'node:timers/promises'

/** Time, so that tests need not wait. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Rejects with the signal's reason when aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

export const REAL_CLOCK: Clock = {
  now: Date.now,
  sleep: (ms, signal) =>
    sleep(ms, undefined, { signal }).catch((error) => {
      signal.throwIfAborted()
      throw error
    }),
}
