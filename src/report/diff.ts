import { structuredPatch } from 'diff'
import type { Diff } from '../shared/diff.ts'
import type { Style } from './style.ts'
import { printable } from './text.ts'

/** Past this many characters or differing lines a diff says only that it is large: nobody reads it, and it costs seconds. */
const LARGEST = 1_000_000
const MOST_EDITS = 1_500

/** A change's diff as lines: unified for text, from → to for other values. */
export function diffLines(diff: Diff, { chalk }: Style): string[] {
  if (diff.kind === 'value') {
    return [
      ...(diff.from === undefined || diff.from === null ? [] : [chalk.red(`- ${show(diff.from)}`)]),
      ...(diff.to === undefined || diff.to === null ? [] : [chalk.green(`+ ${show(diff.to)}`)]),
    ]
  }
  const { path, before, after } = diff
  if (before.includes('\0') || after.includes('\0')) return [chalk.dim(`binary ${path} differs`)]
  const head = [
    chalk.bold(before === '' ? '--- /dev/null' : `--- ${path}`),
    chalk.bold(after === '' ? '+++ /dev/null' : `+++ ${path}`),
  ]
  const sizes = `${before.length} → ${after.length} characters`
  if (before.length + after.length > LARGEST) return [...head, chalk.dim(`too large to show (${sizes})`)]
  const patch = structuredPatch(path, path, before, after, undefined, undefined, {
    context: 3,
    maxEditLength: MOST_EDITS,
  })
  if (!patch) return [...head, chalk.dim(`too many differences to show (${sizes})`)]
  const body = patch.hunks.flatMap((h) => [
    chalk.cyan(`@@ -${range(h.oldStart, h.oldLines)} +${range(h.newStart, h.newLines)} @@`),
    ...h.lines.map((line) => {
      const text = line[0] + printable(line.slice(1))
      if (line.startsWith('+')) return chalk.green(text)
      return line.startsWith('-') ? chalk.red(text) : chalk.dim(text)
    }),
  ])
  return [...head, ...body]
}

const show = (value: unknown): string => printable(typeof value === 'string' ? value : JSON.stringify(value))

/** An empty range stands after the line before it (POSIX diff -u); the library counts from the line itself. */
const range = (start: number, lines: number): string => `${lines === 0 ? start - 1 : start},${lines}`
