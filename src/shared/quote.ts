/** Quotes a word for POSIX sh. The only place where runbook quotes. NUL cannot be passed and throws. */
export function quote(word: string): string {
  if (word.includes('\0')) throw new TypeError('a shell word cannot hold a NUL byte')
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** A command line of quoted words. */
export function quoteAll(words: readonly string[]): string {
  return words.map(quote).join(' ')
}
