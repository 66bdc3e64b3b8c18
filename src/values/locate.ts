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
  // The header line of a block scalar, or the opening quote.
  let at = /^[|>][^\n]*\n/.exec(source)?.[0].length ?? (/^["']/.test(source) ? 1 : 0)
  for (let i = 0; i <= offset && i < text.length; i++) {
    const isSpace = /\s/.test(text[i]!)
    // Skip what the text does not have: indentation, line ends, a backslash, the second of two single quotes.
    while (at < source.length - 1 && source[at] !== text[i] && /[\s\\']/.test(source[at]!)) {
      const escaped = source[at] === '\\' && /[^\s\\"'/]/.test(source[at + 1]!)
      // A folded line end is the text's space, "\n" its newline, "\u0041" its A.
      if (isSpace && /\s/.test(source[at]!) && !/\s/.test(source[at + 1] ?? '')) break
      at++
      if (escaped) break
    }
    if (i < offset) at++
  }
  return Math.min(at, source.length)
}
