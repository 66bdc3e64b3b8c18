import { stripVTControlCharacters } from 'node:util'

/**
 * Text from a host for the terminal: without control characters, which could move the cursor, retitle the window or hide
 * what follows. Line breaks and tabs stay; of a line that was overwritten by carriage returns the last state is shown.
 */
export function printable(text: string): string {
  return overwritten(stripVTControlCharacters(text.replaceAll('\r\n', '\n'))).replace(
    /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g,
    '',
  )
}

/** Line by line and not by one expression, which would take minutes for a megabyte without a line break. */
function overwritten(text: string): string {
  if (!text.includes('\r')) return text
  return text
    .split('\n')
    .map((line) => line.slice(line.lastIndexOf('\r', line.length - 2) + 1))
    .join('\n')
}

/** Without the line breaks at its end. */
export function chomp(text: string): string {
  let end = text.length
  while (end > 0 && text[end - 1] === '\n') end--
  return text.slice(0, end)
}

/** Every line with `by` before it; no line break at the end. */
export function indent(text: string, by: string): string {
  return chomp(text).replace(/^/gm, by)
}

/** `1 host`, `3 hosts`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}

/** The first `max` names, and how many more there are. */
export function some(names: readonly string[], max: number, between = ' '): string {
  const more = names.length - max
  return more > 0 ? `${names.slice(0, max).join(between)} and ${more} more` : names.join(between)
}

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u

/** Cells a text takes on a terminal, near enough for padding names: wide East Asian characters and emoji take two. */
export function width(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let cells = 0
  for (const c of stripVTControlCharacters(text)) cells += /\p{Mark}/u.test(c) ? 0 : WIDE.test(c) ? 2 : 1
  return cells
}

/** Pads to `cells`, cuts what is longer. For text without colours. */
export function fit(text: string, cells: number): string {
  const now = width(text)
  if (now <= cells) return text + ' '.repeat(cells - now)
  return cut(text, cells)
}

/** At most `cells` cells, with an ellipsis for what was cut. For text without colours. */
export function cut(text: string, cells: number): string {
  if (width(text) <= cells) return text
  let out = ''
  let used = 0
  for (const c of text) {
    used += width(c)
    if (used > cells - 1) break
    out += c
  }
  return `${out}…`
}
