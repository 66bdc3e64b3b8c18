import { forPeople } from './clean.ts'
import { jsonReporter } from './json.ts'
import { output } from './output.ts'
import { plainReporter } from './plain.ts'
import type { Reporter, Verbosity } from './reporter.ts'
import { isUtf8, makeStyle } from './style.ts'

export const OUTPUTS = ['tree', 'plain', 'json'] as const
export type OutputName = (typeof OUTPUTS)[number]

export interface ReporterChoice {
  /** Absent: `tree` on a terminal, `plain` elsewhere and with NO_COLOR (no-color.org). */
  readonly output?: OutputName | undefined
  readonly verbosity: Verbosity
  readonly diff: boolean
  /** See ReportOptions. */
  readonly answers?: boolean | undefined
  readonly resumable?: boolean | undefined
}

/** The reporter for a run. `tree` without a terminal falls back to `plain`: there is nothing to draw on. */
export async function createReporter({ output: wanted, ...choice }: ReporterChoice): Promise<Reporter> {
  const { env, stdout: terminal } = process
  const noColour = Boolean(env.NO_COLOR) || env.TERM === 'dumb'
  const kind = wanted ?? (terminal.isTTY && !noColour ? 'tree' : 'plain')
  const colour = !noColour && (terminal.isTTY || Boolean(env.FORCE_COLOR && env.FORCE_COLOR !== '0'))
  const style = makeStyle({ colour, unicode: isUtf8(env) })
  const options = { stdout: output(terminal), stderr: output(process.stderr), style, ...choice }
  if (kind === 'json') return jsonReporter(options)
  if (kind === 'plain' || !terminal.isTTY) return forPeople(plainReporter(options))
  const { treeReporter } = await import('./tree.ts')
  return forPeople(treeReporter({ ...options, terminal }))
}
