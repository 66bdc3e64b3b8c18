/** A shell pattern (`*`, `?`, `[abc]`, `[!a-c]`; Python's fnmatch) as the source of a regular expression. */
export function globSource(glob: string): string {
  const source = glob.replace(/\[!?[^\]]+\]|[\s\S]/g, (token) => {
    if (token === '*') return '.*'
    if (token === '?') return '.'
    if (token.length > 1) return `[${token.slice(1, -1).replace(/^!/, '^').replaceAll('\\', '\\\\')}]`
    return RegExp.escape(token)
  })
  return `${source}$`
}
