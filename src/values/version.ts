/**
 * Orders versions as people write them: `1.30.2`, `v1.9`, `2.1.5-rc.1`, `1:2.3-4`. Numbers by size, words by letter; a
 * pre-release (a word such as rc, beta, alpha after a dash or tilde) comes before its release; what follows `+` does not count.
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [parts(a), parts(b)]
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const order = comparePart(left[i], right[i])
    if (order !== 0) return order
  }
  return 0
}

type Part = number | string

function parts(version: string): Part[] {
  const [release] = version
    .trim()
    .replace(/^v(?=\d)/i, '')
    .split('+')
  return (release!.match(/\d+|[A-Za-z]+/g) ?? []).map((part) => (/^\d/.test(part) ? Number(part) : part.toLowerCase()))
}

/** A word is less than nothing, nothing counts as 0, a word is less than a number: 1.0-rc1 < 1 = 1.0 < 1.0.1. */
function comparePart(a: Part | undefined, b: Part | undefined): number {
  const [rankA, rankB] = [rank(a), rank(b)]
  if (rankA !== rankB) return rankA - rankB
  if (rankA === 0) return a! < b! ? -1 : a === b ? 0 : 1
  return ((a as number | undefined) ?? 0) - ((b as number | undefined) ?? 0)
}

function rank(part: Part | undefined): number {
  return typeof part === 'string' ? 0 : 1
}
