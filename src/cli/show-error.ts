import { printable } from '../report/text.ts'
import { UserError } from '../shared/errors.ts'
import { EXIT } from './exit.ts'
import { redactor } from './secrets.ts'

/** Says on stderr what went wrong and gives the exit code: the user's mistakes without a stack, bugs with one. */
export function showError(
  error: unknown,
  write: (text: string) => void = (text) => process.stderr.write(redactor.redact(text)),
): number {
  if (error instanceof UserError) {
    // It quotes lines of files, and what programs and hosts have said.
    write(`${printable(error.message)}\n`)
    return EXIT.input
  }
  if ((error as NodeJS.ErrnoException)?.syscall === 'uv_cwd') {
    write('the current folder is gone: somebody has removed it\n  cd to one that exists\n')
    return EXIT.input
  }
  write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  write('This is a bug in runbook, not a mistake of yours. What stands above is what its authors need to know.\n')
  return EXIT.bug
}
