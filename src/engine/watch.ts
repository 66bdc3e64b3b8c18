import { quote } from '../shared/quote.ts'
import type { ModuleEntry } from './entry.ts'
import type { Performer } from './perform.ts'
import type { RequestOptions } from './request.ts'

/**
 * Tells those who watch which task is at work and what it prints. Characters and secrets may be split over two chunks: what
 * could be the beginning of one waits for the next chunk, or for `end`.
 */
export function watching(performer: Performer, entries: readonly ModuleEntry[]): RequestOptions & { end(): void } {
  const { redactor } = performer.host.play.run.input
  const opened = new Map<string, { push(chunk: Buffer): void; end(): void }>()
  const open = (entry: ModuleEntry, stream: 'stdout' | 'stderr') => {
    const decoder = new TextDecoder()
    const clean = redactor.stream()
    return {
      push: (chunk: Buffer) => performer.output(entry, stream, clean.push(decoder.decode(chunk, { stream: true }))),
      end: () => performer.output(entry, stream, clean.push(decoder.decode()) + clean.end()),
    }
  }
  const end = () => {
    for (const output of opened.values()) output.end()
    opened.clear()
  }
  return {
    timeoutMs: entries[0]!.timeout,
    wrap: (i, script) => withEnvironment(entries[i]!, script),
    onOutput: (i, stream, chunk) => {
      const key = `${i} ${stream}`
      const output = opened.get(key) ?? open(entries[i]!, stream)
      opened.set(key, output)
      output.push(chunk)
    },
    onEnd: (i) => {
      // What it wrote to stderr may still be on its way.
      opened.get(`${i} stdout`)?.end()
      opened.delete(`${i} stdout`)
      const next = entries[i + 1]
      if (!next || next === entries[i]) return
      const rest = entries.slice(i + 1)
      performer.started(
        next,
        rest.every(({ harmless }) => harmless),
      )
    },
    end,
  }
}

/** A script of a task, with the task's environment in front. */
export function withEnvironment(entry: ModuleEntry, script: string): string {
  const names = Object.entries(entry.environment)
  if (names.length === 0) return script
  return `${names.map(([name, value]) => `export ${name}=${quote(value)}`).join('\n')}\n${script}`
}
