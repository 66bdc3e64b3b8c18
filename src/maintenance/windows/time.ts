/** Lengths of time as people write and read them. */

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of `90s`, `30m`, `2h`, `1h30m`, `2d`; undefined for anything else, and for zero unless it is `0s`. */
export function parseSpan(text: string): number | undefined {
  if (!/^(?:\d{1,6}[smhd])+$/.test(text)) return undefined
  return [...text.matchAll(/(\d+)([smhd])/g)].reduce((sum, [, n, unit]) => sum + Number(n) * UNITS[unit!]!, 0)
}

/** `40s`, `12m`, `1h 30m`, `2d 3h`: the two largest units that say something. */
export function span(ms: number): string {
  let rest = Math.max(0, Math.round(ms / 1000))
  if (rest < 60) return `${rest}s`
  if (rest >= 600) rest = Math.round(rest / 60) * 60
  const parts: string[] = []
  for (const [unit, seconds] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    if (rest >= seconds) parts.push(`${Math.floor(rest / seconds)}${unit}`)
    rest %= seconds
  }
  return parts.slice(0, 2).join(' ')
}

/** `in 3h 20m`, `5m ago`, `now`. */
export function fromNow(at: number, now: number): string {
  if (Math.abs(at - now) < 1000) return 'now'
  return at > now ? `in ${span(at - now)}` : `${span(now - at)} ago`
}
