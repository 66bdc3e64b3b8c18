/**
 * Text of INI files, changed line by line: comments, order, blank lines and line endings stay. A section begins at a line
 * with `[` in its first column and goes to the next such line; what stands before the first has no section.
 */

/** A line that sets an option, or has it commented out. */
export interface OptionLine {
  readonly active: boolean
  /** What stands behind `=`, without blanks around it; undefined without `=`. */
  readonly value: string | undefined
}

/** A section with its header, or what stands before the first section: that has no name. Lines are without `\n`. */
export interface IniSection {
  readonly name: string | undefined
  lines: string[]
}

export interface IniText {
  sections: IniSection[]
  /** What a new line ends in: `\r` where the first line does. */
  readonly end: '' | '\r'
  readonly mark: '' | typeof BYTE_ORDER_MARK
}

const BYTE_ORDER_MARK = '\ufeff'

/** Takes a text apart; `formatIni` puts it together again. */
export function parseIni(text: string): IniText {
  const mark = text.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK : ''
  const lines = text.slice(mark.length).replace(/\n$/, '').split('\n')
  const sections: IniSection[] = [{ name: undefined, lines: [] }]
  for (const line of lines.length === 1 && lines[0] === '' ? [] : lines) {
    if (line.startsWith('[')) sections.push({ name: line.slice(1, line.lastIndexOf(']')), lines: [line] })
    else sections.at(-1)!.lines.push(line)
  }
  return { sections, end: lines[0]!.endsWith('\r') ? '\r' : '', mark }
}

/** The text again; its last line always has an end. */
export function formatIni({ sections, mark }: IniText): string {
  return mark + sections.flatMap(({ lines }) => lines.map((line) => `${line}\n`)).join('')
}

/** What a line says of an option; undefined when it says nothing of it. */
export function optionLine(line: string, option: string): OptionLine | undefined {
  const active = !/^[#;]/.test(line)
  const text = active ? line : line.slice(1)
  const at = text.indexOf('=')
  const name = at === -1 ? text : text.slice(0, at)
  if (name.trim() !== option) return undefined
  return { active, value: at === -1 ? undefined : text.slice(at + 1).trim() }
}

/** Nothing but blanks, or a comment. */
export const isIdle = (line: string): boolean => /^\s*([#;]|$)/.test(line)

/** The options of a section as Python's configparser reads them: an indented line goes on with the value before it. */
export function optionsOf({ lines }: IniSection): ReadonlyMap<string, string> {
  const options = new Map<string, string>()
  let last: string | undefined
  for (const line of lines.slice(1)) {
    if (isIdle(line)) continue
    if (/^\s/.test(line) && last !== undefined) {
      options.set(last, `${options.get(last)}\n${line.trim()}`.trim())
      continue
    }
    const at = line.search(/[=:]/)
    last = (at === -1 ? line : line.slice(0, at)).trim().toLowerCase()
    options.set(last, at === -1 ? '' : line.slice(at + 1).trim())
  }
  return options
}
