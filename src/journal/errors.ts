import { UserError } from '../shared/errors.ts'

/** Primary result codes of SQLite (sqlite.org/rescode.html). */
const BUSY = 5
const READONLY = 8
const IOERR = 10
const CORRUPT = 11
const FULL = 13
const CANTOPEN = 14
const NOTADB = 26

/** Runs `fn`; what SQLite or the file system complains about becomes a UserError that says how to mend it. */
export function guarded<T>(path: string, fn: () => T): T {
  try {
    return fn()
  } catch (error) {
    throw explain(path, error)
  }
}

function explain(path: string, error: unknown): unknown {
  const { errcode, code, message } = error as { errcode?: number; code?: string; message?: string }
  const problem = (text: string, hint: string) => new UserError({ message: text, hint }, { cause: error })
  if (code === 'EACCES' || code === 'ENOENT' || code === 'EPERM' || code === 'EROFS')
    return problem(`the journal ${path} cannot be written: ${message}`, WRITABLE)
  if (code === 'ENOSPC' || code === 'EDQUOT') return problem(`the journal ${path} cannot be written: ${message}`, SPACE)
  if (code === 'ENOTDIR' || code === 'EEXIST' || code === 'EISDIR')
    return problem(
      `the journal ${path} cannot be opened: ${message}`,
      'something else stands in its place; move it away',
    )
  // Extended codes keep the primary one in their low byte.
  switch (errcode === undefined ? undefined : errcode & 0xff) {
    case NOTADB:
    case CORRUPT:
      return problem(
        `the journal ${path} is damaged (${message})`,
        `move it away to begin a new one: mv ${path} ${path}.damaged && rm -f ${path}-wal ${path}-shm. ` +
          'It holds the history, what --resume needs and the handlers that are still owed; the hosts are not touched by this',
      )
    case READONLY:
    case CANTOPEN:
      return problem(`the journal ${path} cannot be opened for writing (${message})`, WRITABLE)
    case FULL:
      return problem(`the journal ${path} cannot be written: the disk is full`, SPACE)
    case BUSY:
      return problem(
        `the journal ${path} is locked by another process`,
        'another run is writing it, or a tool has it open; try again when that has ended',
      )
    case IOERR:
      return problem(
        `the journal ${path} cannot be read or written (${message})`,
        'look at the disk (dmesg); network file systems without shared memory maps cannot hold it',
      )
  }
  return error
}

const WRITABLE =
  'runbook keeps its journal in .runbook/ beside the playbook: make that folder writable for you, or name another: --folder'
const SPACE = 'make room on the disk that holds the playbook'
