import {
  accessSync,
  closeSync,
  constants,
  lstatSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
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
  const cannot = (error: unknown): string => `${option} ${path} cannot be written: ${(error as Error).message}`
  try {
    if (!isStream(path)) return replacing(realpathOf(path), mode, cannot)
    accessSync(path, constants.W_OK)
    return { write: (texts, warn) => append(path, texts, (error) => warn(cannot(error))), discard: () => {} }
  } catch (error) {
    throw new UserError(cannot(error))
  }
}

/**
 * What is written into and never replaced: pipes (`>(gzip > x)`), devices, and links such as /dev/stdout, whatever they lead to.
 */
function isStream(path: string): boolean {
  const there = statSync(path, { throwIfNoEntry: false })
  if (there && !there.isFile() && !there.isDirectory()) return true
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true
  return isLink && /^\/(dev|proc)(\/|$)/.test(realpathSync(dirname(path)))
}

/** A link to a file stays one. */
function realpathOf(path: string): string {
  return statSync(path, { throwIfNoEntry: false }) ? realpathSync(path) : path
}

const STANDARD: Readonly<Record<string, string>> = { '/dev/stdout': '/dev/fd/1', '/dev/stderr': '/dev/fd/2' }

function append(path: string, texts: Iterable<string>, failed: (error: unknown) => void): void {
  try {
    // One of our own is not opened anew: a socket could not be.
    const own = /^\/(?:dev\/fd|proc\/self\/fd)\/(\d+)$/.exec(STANDARD[path] ?? path)?.[1]
    const file = own === undefined ? openSync(path, 'a') : Number(own)
    try {
      for (const text of texts) writeAll(file, text)
    } finally {
      if (own === undefined) closeSync(file)
    }
  } catch (error) {
    failed(error)
  }
}

/** write(2) may take less than it is given, and of a pipe that does not block nothing while it is full. */
function writeAll(file: number, text: string): void {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(file, bytes, at)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
  }
}

function replacing(path: string, mode: number, cannot: (error: unknown) => string): OutputFile {
  // Beside the file, so that the rename stays on one file system.
  const temporary = `${path}.${process.pid}.new`
  const discard = (): void => rmSync(temporary, { force: true })
  const file = openSync(temporary, 'wx', mode)
  return {
    write(texts, warn) {
      try {
        for (const text of texts) writeAll(file, text)
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
