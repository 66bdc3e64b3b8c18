/** Time as the schedule sees it: the wall clock, which can jump. Tests have their own. */

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves after so many milliseconds, or when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** setTimeout counts in 32 bits: what is longer than 24.8 days would end at once. */
const LONGEST = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const done = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, Math.min(Math.max(0, ms), LONGEST))
      signal?.addEventListener('abort', done)
    }),
}

/** How soon a clock that was set is noticed. Milliseconds. */
const SLICE = 15_000

/** Resolves when the wall clock shows this, however it is set meanwhile, or when the signal is aborted. */
export async function sleepUntil(clock: Clock, at: number, signal?: AbortSignal): Promise<void> {
  while (!signal?.aborted && clock.now() < at) await clock.sleep(Math.min(SLICE, at - clock.now()), signal)
}
