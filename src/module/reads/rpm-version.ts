/** rpmvercmp() of rpm's rpmio/rpmvercmp.c, for `epoch:version-release`. */
export function compareRpm(a: string, b: string): number {
  const parts = (v: string): [string, string, string] => {
    const m = /^(?:(\d+):)?([^-]*)(?:-(.*))?$/.exec(v)!
    return [m[1] ?? '0', m[2] ?? '', m[3] ?? '']
  }
  const [x, y] = [parts(a), parts(b)]
  for (const i of [0, 1, 2] as const) {
    const order = compareSegments(x[i], y[i])
    if (order !== 0) return order
  }
  return 0
}

function compareSegments(a: string, b: string): number {
  const split = (s: string): string[] => s.match(/\d+|[a-zA-Z]+|~|\^/g) ?? []
  const [x, y] = [split(a), split(b)]
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    const [p, q] = [x[i], y[i]]
    if (p === q) continue
    // `~` sorts before everything, the end included; `^` after the end but before everything else
    if (p === '~' || q === '~') return p === '~' ? -1 : 1
    if (p === undefined || q === undefined) return p === undefined ? -1 : 1
    if (p === '^' || q === '^') return p === '^' ? -1 : 1
    const [m, n] = [/^\d/.test(p), /^\d/.test(q)]
    if (m !== n) return m ? 1 : -1
    if (!m) return p < q ? -1 : 1
    const order = BigInt(p) - BigInt(q)
    if (order !== 0n) return order < 0n ? -1 : 1
  }
  return 0
}
