import type { Pulse } from './store.ts'
import type { Holder } from './types.ts'

/** `run 20261121-0211-ab12 of alice on ctl-1 since 2026-11-21T02:11:25Z: new disk` */
export function holderWords({ run, actor, machine, since, reason }: Holder): string {
  const at = new Date(since).toISOString().replace(/\.\d+Z$/, 'Z')
  return `run ${run} of ${actor} on ${machine} since ${at}${reason ? `: ${reason}` : ''}`
}

/** How old a pulse is, by this machine's clock, which may differ from the holder's. */
export function pulseWords(pulse: Pulse | undefined, now: number): string {
  if (!pulse) return 'no sign of life yet'
  const age = now - pulse.at
  return age < 0 ? 'last sign of life just now' : `last sign of life ${ago(age)} ago`
}

/** `12 s`, `5 min`, `3 h`, `2 days` */
export function ago(ms: number): string {
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`
  if (ms < 120 * 60_000) return `${Math.round(ms / 60_000)} min`
  if (ms < 48 * 3_600_000) return `${Math.round(ms / 3_600_000)} h`
  return `${Math.round(ms / 86_400_000)} days`
}
