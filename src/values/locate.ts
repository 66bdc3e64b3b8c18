import { type Place, placeAt, placeWithin } from '../shared/source.ts'

/** Finds the place of `[offset, end)` of a text that stands, perhaps quoted or folded, at a place of a file. */
export type Locate = (offset: number, end?: number) => Place

/**
 * The text of a YAML scalar differs from its source by quotes, escapes, indentation and folded lines. Both are walked
 * side by side, and only when an error has to be shown.
 */
export function locateIn(text: string, place: Place): Locate {
  return (offset, end = offset) => {
    const source = place.file.text.slice(place.offset, place.end)
    if (source.startsWith(text)) return placeWithin(place, offset, end)
    const from = sourceOffset(text, source, offset)
    const to = end > offset ? sourceOffset(text, source, end - 1) + 1 : from
    return placeAt(place.file, place.offset + from, place.offset + to)
  }
}

function sourceOffset(text: string, source: string, offset: number): number {
  const isDouble = source.startsWith('"')
  // The header line of a block scalar, or the opening quote.
  let at = /^[|>][^\n]*\n/.exec(source)?.[0].length ?? (/^["']/.test(source) ? 1 : 0)
  for (let i = 0; i < text.length; i++) {
    // Skip what the text does not have: indentation, line ends, an escaped line end, the second of two single quotes.
    for (;;) {
      const isEscapedEnd = isDouble && /^\\\r?\n/.test(source.slice(at, at + 3))
      const isExtra = source[at] !== text[i] && /[\s']/.test(source[at] ?? '') && !isFolded(text, source, i, at)
      if (!isEscapedEnd && !isExtra) break
      at += isEscapedEnd ? 2 : 1
    }
    if (i >= offset) break
    at += isDouble && source[at] === '\\' ? escapeLength(source[at + 1]) : 1
  }
  return Math.min(at, source.length)
}

/** Whether this white space of the source, its last before a word, is what became this space of the text. */
function isFolded(text: string, source: string, i: number, at: number): boolean {
  return /\s/.test(text[i]!) && /\s/.test(source[at]!) && /\S/.test(source[at + 1] ?? '')
}

/** `\x41`, `\u0041`, `\U00000041`, and `\n` and its like. */
function escapeLength(kind: string | undefined): number {
  return { x: 4, u: 6, U: 10 }[kind ?? ''] ?? 2
}
