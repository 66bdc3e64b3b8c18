/**
 * Where a piece of input stands. Positions are kept from the YAML parser to the last error message.
 */

/** A source text, kept so that an error can show the line. `path` is as the user wrote it. */
export interface SourceFile {
  readonly path: string
  readonly text: string
}

/** A place in a source text; line and column count from 1, `offset` and `end` are UTF-16 offsets into the text. */
export interface Place {
  readonly file: SourceFile
  readonly line: number
  readonly column: number
  readonly offset: number
  readonly end: number
}

/** The place of `[offset, end)` in a file. */
export function placeAt(file: SourceFile, offset: number, end = offset): Place {
  const at = Math.max(0, Math.min(offset, file.text.length))
  const starts = lineStarts(file)
  let low = 0
  let high = starts.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (starts[middle]! <= at) low = middle
    else high = middle - 1
  }
  return { file, line: low + 1, column: at - starts[low]! + 1, offset: at, end: Math.max(at, end) }
}

const lineStartsOf = new WeakMap<SourceFile, readonly number[]>()

/** The offset of each line, found once a file: a playbook asks for thousands of places. */
function lineStarts(file: SourceFile): readonly number[] {
  const known = lineStartsOf.get(file)
  if (known) return known
  const starts = [0]
  for (let i = file.text.indexOf('\n'); i !== -1; i = file.text.indexOf('\n', i + 1)) starts.push(i + 1)
  lineStartsOf.set(file, starts)
  return starts
}

/** A place inside another one: `offset` and `end` count from the start of `outer`. Right for plain scalars only. */
export function placeWithin(outer: Place, offset: number, end = offset): Place {
  return placeAt(outer.file, outer.offset + offset, outer.offset + end)
}

/** `site.yml:12:5`, the form that editors and terminals make clickable. */
export function formatPlace(place: Place): string {
  return `${place.file.path}:${place.line}:${place.column}`
}

/** The line of a place with a caret under it, for error messages. Long lines are cut around the caret. */
export function codeFrame(place: Place, width = 100): string {
  const { text } = place.file
  const start = place.offset - (place.column - 1)
  let stop = text.indexOf('\n', place.offset)
  if (stop === -1) stop = text.length
  const line = text.slice(start, stop).replace(/\r$/, '').replaceAll('\t', ' ')
  const skip = place.column > width - 20 ? place.column - Math.floor(width / 2) : 0
  const shown = line.slice(skip, skip + width)
  const caret = place.column - 1 - skip
  const length = Math.max(1, Math.min(place.end, stop) - place.offset, 1)
  const gutter = `${place.line} | `
  return `${gutter}${shown}\n${' '.repeat(gutter.length + caret)}${'^'.repeat(Math.min(length, Math.max(1, shown.length - caret)))}`
}
