/** Python's regular expressions as JavaScript's, where both mean the same. */
import { Refused } from './refused.ts'

/** Throws Refused. `wholeLines`: the text holds no newline at its end, so that `$` means the same. */
export function pythonRegex(given: string, wholeLines = false): string {
  // Flags at the beginning are for the whole pattern.
  const flags = /^\(\?([ims]+)\)/.exec(given)
  if (flags) return `(?${flags[1]}:${pythonRegex(given.slice(flags[0].length), wholeLines)})`
  const pattern = given
  if (/\\[AZGNU]|\\u\{|\(\?(?![:=!]|<[=!])|\[\^?\]|\\[pP]\b/.test(pattern))
    throw new Refused('a regular expression of Python that JavaScript has not', 'rewrite the pattern')
  if (/[*+?}]\+/.test(pattern.replace(/\\./g, 'x')))
    throw new Refused('a possessive regular expression', 'rewrite the pattern')
  try {
    new RegExp(pattern)
  } catch {
    throw new Refused('a regular expression that JavaScript cannot read', 'rewrite the pattern')
  }
  if (wholeLines) return pattern
  // Python's `$` also matches before a newline at the very end.
  let inClass = false
  return pattern.replace(/\\[\s\S]|[[\]$]/g, (m) => {
    if (m === '[') inClass = true
    if (m === ']') inClass = false
    return m === '$' && !inClass ? '(?=\\n?$)' : m
  })
}

/** `\1` and `\g<1>` of a replacement as `$1`. */
export function pythonReplacement(text: string): string {
  if (/\\g<\D|\\[^\dgn\\]/.test(text)) throw new Refused('a named group in a replacement', 'use numbers: $1')
  return text
    .replaceAll('$', '$$$$')
    .replace(/\\g<(\d+)>|\\(\d)/g, (_, a, b) => `$${a ?? b}`)
    .replaceAll('$0', '$&')
}
