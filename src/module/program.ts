/** What `command`, `shell` and `script` share: programs that run unless what they make is there. */
import { boolean, path, text } from './args.ts'
import { stat } from './reads/index.ts'

interface Conditions {
  readonly creates?: string | undefined
  readonly removes?: string | undefined
}

export const place = {
  chdir: path.optional().describe('folder to run it in'),
  creates: path.optional().describe('do nothing when this path exists'),
  removes: path.optional().describe('do nothing when this path does not exist'),
}

export const streams = {
  stdin: text.optional().describe('text for its standard input'),
  stdin_add_newline: boolean.default(true).describe('end `stdin` with a newline'),
  strip_empty_ends: boolean.default(true).describe('drop empty lines at the end of stdout and stderr in the result'),
}

export const returns = {
  rc: 'exit status',
  stdout: 'what it printed',
  stdout_lines: 'the same as a list',
  stderr: 'its error output',
  stderr_lines: 'the same as a list',
}

export function probe({ creates, removes }: Conditions) {
  return {
    creates: creates === undefined ? undefined : stat(creates),
    removes: removes === undefined ? undefined : stat(removes),
  }
}

/** Whether there is nothing to run for, by what `probe` has read. */
export function isDone({ creates, removes }: Conditions, state: { creates?: unknown; removes?: unknown }): boolean {
  return (creates !== undefined && Boolean(state.creates)) || (removes !== undefined && !state.removes)
}
