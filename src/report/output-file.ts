import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { UserError } from '../shared/errors.ts'

/** A file that is written when the run has ended; one that was there before is replaced whole, or left. */
export interface OutputFile {
  /** Does not throw: what became of the hosts is what the run ends with. */
  write(texts: Iterable<string>, warn: (text: string) => void): void
  discard(): void
}

/**
 * Throws UserError at once when the file cannot be written: a run of an hour must not end with that. `option` is what the
 * user wrote, for messages.
 */
export function openOutputFile(path: string, option: string, mode = 0o666): OutputFile {
  // Beside the file, so that the rename stays on one file system.
  const temporary = `${path}.${process.pid}.new`
  const cannot = (error: unknown): string => `${option} ${path} cannot be written: ${(error as Error).message}`
  const discard = (): void => rmSync(temporary, { force: true })
  let file: number
  try {
    file = openSync(temporary, 'wx', mode)
  } catch (error) {
    throw new UserError(cannot(error))
  }
  return {
    write(texts, warn) {
      try {
        for (const text of texts) writeSync(file, text)
        closeSync(file)
        renameSync(temporary, path)
      } catch (error) {
        warn(cannot(error))
      } finally {
        discard()
      }
    },
    discard,
  }
}
