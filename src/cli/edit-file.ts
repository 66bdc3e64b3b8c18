/** A text in the user's editor, in a file that nobody else can read and that does not stay. */
import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UserError } from '../shared/errors.ts'

/** What to do with an edited text: undefined leaves it, `again` opens the editor once more. */
type Take<T> = (text: string) => Promise<{ readonly result: T } | 'again' | undefined>

/**
 * Opens $EDITOR on a file of the given name (its ending tells the editor the language). The file is gone when this
 * returns, and also when this process is killed. Throws UserError when the editor fails.
 */
export async function editPrivately<T>(name: string, text: string, take: Take<T>): Promise<T | undefined> {
  const folder = mkdtempSync(join(memoryFolder(), 'runbook-edit-'))
  const cleaner = cleanUpAfter(folder)
  let editor: ChildProcess | undefined
  let stopped = false
  const stop = (): void => {
    stopped = true
    editor?.kill('SIGTERM')
  }
  // Ctrl-C at the terminal is the editor's.
  const ignore = (): void => {}
  process.on('SIGINT', ignore).on('SIGTERM', stop).on('SIGHUP', stop)
  try {
    const path = join(folder, name)
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
    while (true) {
      await new Promise<void>((resolve, reject) => {
        editor = spawn('sh', ['-c', `exec ${editorCommand()} "$1"`, 'sh', path], { stdio: 'inherit' })
        editor.on('error', reject)
        editor.on('close', (code, signal) =>
          code === 0 && !stopped
            ? resolve()
            : reject(new UserError(`nothing was written: the editor ended with ${signal ?? `exit status ${code}`}`)),
        )
      })
      const taken = await take(readFileSync(path, 'utf8'))
      if (taken !== 'again') return taken?.result
    }
  } finally {
    process.off('SIGINT', ignore).off('SIGTERM', stop).off('SIGHUP', stop)
    await cleaner()
  }
}

const editorCommand = (): string => process.env.SOPS_EDITOR || process.env.VISUAL || process.env.EDITOR || 'vi'

/** A folder that is memory and no disk, where there is one: what was deleted from a disk can be read again. */
function memoryFolder(): string {
  for (const folder of [process.env.XDG_RUNTIME_DIR, '/dev/shm']) {
    try {
      if (!folder) continue
      accessSync(folder, constants.W_OK | constants.X_OK)
      return folder
    } catch {}
  }
  return tmpdir()
}

/**
 * A process that waits for its stdin to end, as it does however this one dies, and then overwrites and removes the
 * folder. Gives the function that ends it and waits until the folder is gone.
 */
function cleanUpAfter(folder: string): () => Promise<void> {
  const script =
    'trap "" INT TERM HUP; cat >/dev/null; find "$1" -type f -exec shred -f {} + 2>/dev/null; rm -rf -- "$1"'
  const child = spawn('sh', ['-c', script, 'sh', folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  const gone = new Promise<void>((resolve) => child.on('close', () => resolve()))
  return () => {
    child.stdin.end()
    return gone
  }
}
