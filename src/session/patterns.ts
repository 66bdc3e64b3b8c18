/**
 * OpenSSH's patterns (ssh_config(5), PATTERNS): `*` and `?`, a leading `!` refuses. Matches when some pattern matches
 * and no negated one does. Case is ignored, as OpenSSH does for host names.
 */
export function matchPatterns(patterns: readonly string[], name: string): boolean {
  let matched = false
  for (const pattern of patterns) {
    const negated = pattern.startsWith('!')
    if (!matchPattern(negated ? pattern.slice(1) : pattern, name)) continue
    if (negated) return false
    matched = true
  }
  return matched
}

/** A pattern comes from a file that may be hostile, so this walks back over `*` at most once each instead of by RegExp. */
function matchPattern(pattern: string, text: string): boolean {
  const [p, t] = [pattern.toLowerCase(), text.toLowerCase()]
  let [i, j, star, from] = [0, 0, -1, 0]
  while (j < t.length) {
    if (p[i] === '*') {
      star = i++
      from = j
    } else if (i < p.length && (p[i] === '?' || p[i] === t[j])) {
      i++
      j++
    } else if (star !== -1) {
      i = star + 1
      j = ++from
    } else return false
  }
  while (p[i] === '*') i++
  return i === p.length
}
