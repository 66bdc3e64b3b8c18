import type { RunEvent } from '../shared/events.ts'
import type { Reporter } from './reporter.ts'
import { printable } from './text.ts'

/** Names stand in a line with others; one with a line break could make up a line of its own. */
const NAMES = new Set(['task', 'play', 'host', 'handler', 'by', 'module'])

/**
 * A reporter for people whose terminal no host can write to: the names of tasks hold facts, notes hold what sshd said.
 * (What a reporter takes out of lists and changes, it makes printable by itself.)
 */
export function forPeople(reporter: Reporter): Reporter {
  return {
    ...reporter,
    event: (event) => reporter.event(clean(event)),
    warn: (text) => reporter.warn(printable(text)),
  }
}

function clean(event: RunEvent): RunEvent {
  const entries = Object.entries(event).map(([key, value]) => {
    if (typeof value !== 'string') return [key, value]
    return [key, NAMES.has(key) ? printable(value).replaceAll('\n', ' ') : printable(value)]
  })
  return Object.fromEntries(entries) as RunEvent
}
