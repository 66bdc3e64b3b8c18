/** Milliseconds for people: `340ms`, `2.4s`, `41s`, `3m 07s`, `1h 02m`. */
export function duration(ms: number): string {
  if (ms < 995) return `${Math.round(ms)}ms`
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)}s`
  const s = Math.round(ms / 1000)
  if (s < 60) return `${s}s`
  const m = Math.floor(s / 60)
  if (m < 60) return `${m}m ${pad(s % 60)}s`
  return `${Math.floor(m / 60)}h ${pad(m % 60)}m`
}

const pad = (n: number): string => String(n).padStart(2, '0')
