/** Inventories in Ansible's INI shape: `[group]`, `[group:vars]`, `[group:children]` (lib/ansible/plugins/inventory/ini.py). */
import { UserError } from '../shared/errors.ts'
import { type Place, placeAt, type SourceFile } from '../shared/source.ts'
import { compileText, constant, type Value } from '../values/index.ts'
import type { Builder } from './builder.ts'
import { parseHosts } from './ranges.ts'

type Section = { readonly group: string; readonly kind: 'hosts' | 'vars' | 'children' }

interface Word {
  readonly text: string
  /** Offset of the word in its line. */
  readonly at: number
}

/** Adds the hosts and groups of a file. Problems go to `builder.problems`. */
export function addIni(builder: Builder, file: SourceFile): void {
  let section: Section = { group: 'ungrouped', kind: 'hosts' }
  const vars = new Map<string, Map<string, Value>>()
  let offset = 0
  for (const line of file.text.split('\n')) {
    const start = offset
    offset += line.length + 1
    const text = line.trim()
    if (text === '' || /^[#;]/.test(text)) continue
    const at = start + line.indexOf(text)
    const place = placeAt(file, at, at + text.length)
    builder.problems.catch(() => {
      if (text.startsWith('[') && !/^\[[^\]]*:[^\]]*\]\S/.test(text)) section = openSection(builder, text, place)
      else if (section.kind === 'children') builder.child(section.group, text.replace(/\s+#.*$/, ''), place)
      else if (section.kind === 'vars') addVariable(builder, section.group, text, place, vars)
      else addHost(builder, section.group, line, start, file)
    })
  }
  for (const [group, values] of vars) builder.groupVars(group, { name: `${file.path}, group ${group}`, vars: values })
}

function openSection(builder: Builder, text: string, place: Place): Section {
  const header = /^\[([^\]:]+)(?::(\w+))?\](?:\s*[#;].*)?$/.exec(text)
  if (!header)
    throw new UserError({
      message: 'this is no section',
      place,
      hint: 'write [group], [group:vars] or [group:children]',
    })
  const [, group, kind = 'hosts'] = header as unknown as [string, string, string?]
  if (kind !== 'hosts' && kind !== 'vars' && kind !== 'children') {
    throw new UserError({
      message: `unknown kind of section "${kind}"`,
      place,
      hint: 'write [group], [group:vars] or [group:children]',
    })
  }
  builder.group(group, place)
  return { group, kind }
}

function addVariable(
  builder: Builder,
  group: string,
  text: string,
  place: Place,
  vars: Map<string, Map<string, Value>>,
): void {
  const equals = text.indexOf('=')
  if (equals < 1) throw new UserError({ message: 'expected name=value', place })
  const name = text.slice(0, equals).trim()
  const rest = text.slice(equals + 1)
  const from = place.offset + equals + 1 + rest.length - rest.trimStart().length
  const value = iniValue(rest.trim(), placeAt(place.file, from, place.end))
  if (name === 'ansible_group_priority') builder.priority(group, Number(rest.trim()))
  const known = vars.get(group) ?? new Map<string, Value>()
  vars.set(group, known.set(name, value))
}

function addHost(builder: Builder, group: string, line: string, start: number, file: SourceFile): void {
  const words = splitWords(
    line,
    (at, message) => new UserError({ message, place: placeAt(file, start + at, start + line.length) }),
  )
  const [first, ...rest] = words
  const place = placeAt(file, start + first!.at, start + first!.at + first!.text.length)
  const { names, port } = parseHosts(first!.text, place)
  const vars = new Map<string, Value>()
  if (port !== undefined) vars.set('ansible_port', constant(port, { place }))
  for (const word of rest) {
    const wordPlace = placeAt(file, start + word.at, start + word.at + word.text.length)
    const equals = word.text.indexOf('=')
    if (equals < 1)
      throw new UserError({
        message: `expected name=value, got "${word.text}"`,
        place: wordPlace,
        hint: 'one host a line; a value with spaces stands in quotes',
      })
    vars.set(word.text.slice(0, equals), iniValue(word.text.slice(equals + 1), wordPlace))
  }
  for (const name of names) {
    builder.host(name, group, place)
    if (vars.size > 0) builder.hostVars(name, { name: `${file.path}, host ${first!.text}`, vars })
  }
}

/** Words as a shell splits them: quotes and backslashes, a comment after white space. */
function splitWords(line: string, fail: (at: number, message: string) => UserError): Word[] {
  const words: Word[] = []
  let word: { text: string; at: number } | undefined
  let quote = ''
  for (let i = 0; i < line.length; i++) {
    const char = line[i]!
    if (quote) {
      if (char === quote) quote = ''
      else if (char === '\\' && quote === '"' && i + 1 < line.length) word!.text += line[++i]
      else word!.text += char
    } else if (/\s/.test(char)) {
      if (word) words.push(word)
      word = undefined
    } else if (char === '#' && !word) break
    else {
      word ??= { text: '', at: i }
      if (char === '"' || char === "'") quote = char
      else if (char === '\\' && i + 1 < line.length) word.text += line[++i]
      else word.text += char
    }
  }
  if (quote) throw fail(word!.at, `the quote ${quote} is not closed`)
  if (word) words.push(word)
  return words
}

/** A value as Python's literal: numbers, True, False, None, quoted strings, lists, dicts; anything else is text. */
export function iniValue(text: string, place: Place): Value {
  if (text.includes('{{')) return compileText(text, place)
  return constant(literal(text), { place })
}

function literal(text: string): unknown {
  if (/^[+-]?(0|[1-9]\d*)$/.test(text)) return Number.isSafeInteger(Number(text)) ? Number(text) : text
  if (/^[+-]?(\d+\.\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text)
  const words: Record<string, unknown> = { True: true, False: false, None: null }
  if (Object.hasOwn(words, text)) return words[text]
  const quoted = /^(["'])(.*)\1$/.exec(text)
  if (quoted && !quoted[2]!.includes(quoted[1]!)) return quoted[2]
  if (!/^[[{]/.test(text)) return text
  for (const candidate of [text, pythonToJson(text)]) {
    try {
      return JSON.parse(candidate)
    } catch {
      // Not this form; in the end it is a text.
    }
  }
  return text
}

function pythonToJson(text: string): string {
  return text.replace(/'((?:[^'\\]|\\.)*)'|"(?:[^"\\]|\\.)*"|\b(?:True|False|None)\b/g, (token, single?: string) => {
    if (single !== undefined) return JSON.stringify(single.replaceAll("\\'", "'"))
    return { True: 'true', False: 'false', None: 'null' }[token] ?? token
  })
}
