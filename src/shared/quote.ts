/** Quotes a word for POSIX sh. The only place where runbook quotes. NUL cannot be passed and throws. */
export function quote(word: string): string {
  if (word.includes('\0')) throw new TypeError('a shell word cannot hold a NUL byte')
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** A command line of quoted words. */
export function quoteAll(words: readonly string[]): string {
  return words.map(quote).join(' ')
}

/** Splits a line as POSIX sh splits words and takes off quotes, without any expansion; undefined when a quote is left open. */
export function splitWords(line: string): string[] | undefined {
  const words: string[] = []
  let word: string | undefined
  let end = 0
  for (const m of line.matchAll(/'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|(\s+)|([^\s'"\\]+)/gsy)) {
    end = m.index + m[0].length
    if (m[4] !== undefined) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? '') + (m[1] ?? m[2]?.replace(/\\(["\\$`])/g, '$1') ?? m[3] ?? m[5] ?? '')
  }
  if (word !== undefined) words.push(word)
  return end === line.length ? words : undefined
}
