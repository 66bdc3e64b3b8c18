/** Openings as an iCalendar (RFC 5545), for the calendars of people. */
import type { Occurrence, Window } from './window.ts'

export function calendar(
  list: readonly { readonly window: Window; readonly occurrence: Occurrence }[],
  now: number,
): string {
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//runbook//schedule//EN',
    ...list.flatMap(({ window, occurrence: { opens, ends } }) => [
      'BEGIN:VEVENT',
      `UID:${window.name}-${opens}@runbook`,
      `DTSTAMP:${stamp(now)}`,
      `DTSTART:${stamp(opens)}`,
      `DTEND:${stamp(ends)}`,
      `SUMMARY:${quoted(`Maintenance: ${window.name}`)}`,
      `DESCRIPTION:${quoted(`Hosts ${window.hosts}, ${window.concurrency} at a time`)}`,
      'END:VEVENT',
    ]),
    'END:VCALENDAR',
  ]
  return `${lines.map(fold).join('\r\n')}\r\n`
}

/** In UTC: the hours of an opening do not depend on whether the reader's time zone rules are as new as ours. */
const stamp = (at: number): string => `${new Date(at).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`

/** RFC 5545, 3.3.11 */
const quoted = (text: string): string => text.replaceAll(/[\\;,]/g, '\\$&').replaceAll('\n', '\\n')

/** At most 75 octets a line (RFC 5545, 3.1); never inside a character. */
function fold(line: string): string {
  const parts: string[] = []
  let part = ''
  for (const character of line) {
    if (Buffer.byteLength(part + character) > (parts.length === 0 ? 75 : 74)) {
      parts.push(part)
      part = ''
    }
    part += character
  }
  return [...parts, part].join('\r\n ')
}
