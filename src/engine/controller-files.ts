import { createHash } from 'node:crypto'
import { createReadStream, readFileSync, type Stats } from 'node:fs'
import { lstat, readdir, stat } from 'node:fs/promises'
import { basename, isAbsolute, join, relative, resolve } from 'node:path'
import type { ControllerFile, LoadedFile } from '../module/define.ts'
import { TaskFailure } from '../module/define.ts'
import { compileTemplateFile, type Scope, type Value } from '../values/index.ts'

/** Larger files are not kept in memory; they are streamed from disk to each host. */
const KEEP_LIMIT = 1024 * 1024

/** Folder names that are tried beside a playbook or role, as the kind of file asks (`files/motd`, `templates/motd.hbs`). */
const FOLDERS = { file: 'files', template: 'templates' } as const

/** Reads the controller's files for tasks; each file once a run, as long as it does not change on disk. */
export class ControllerFiles {
  #files = new Map<string, { mtimeMs: number; size: number; loaded: Promise<LoadedFile> }>()
  #templates = new Map<string, { sha256: string; template: Value }>()

  /** Finds and reads what a module asks for. Templates come rendered. Throws TaskFailure when it cannot be read. */
  async load(wanted: ControllerFile, searchPath: readonly string[], scope: Scope): Promise<LoadedFile[]> {
    try {
      return await this.#load(wanted, searchPath, scope)
    } catch (error) {
      // EACCES, EIO, a link to nothing in a folder, a file that was removed just now.
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error
      throw new TaskFailure(`the ${wanted.kind} "${wanted.path}" on the controller: ${(error as Error).message}`)
    }
  }

  async #load(wanted: ControllerFile, searchPath: readonly string[], scope: Scope): Promise<LoadedFile[]> {
    const { path, stats } = await find(wanted.path, wanted.kind, searchPath)
    if (stats.isDirectory()) {
      if (!wanted.folder) throw new TaskFailure(`${path} is a folder, not a file`)
      return this.#folder(path)
    }
    // Reading a pipe could wait for ever. /dev/null is an empty file.
    if (!stats.isFile() && path !== '/dev/null') throw new TaskFailure(`${path} is no regular file`)
    const file = await this.#file(path, basename(path), stats)
    return [wanted.kind === 'template' ? this.#render(file, scope) : file]
  }

  /** The folder itself and all that is in it, folders before what is in them; links to files count as these. */
  async #folder(root: string): Promise<LoadedFile[]> {
    const paths = [root, ...(await readdir(root, { recursive: true })).map((name) => join(root, name))].sort()
    const found = await Promise.all(
      paths.map(async (path): Promise<LoadedFile[]> => {
        const name = relative(root, path)
        if (name.includes('\n'))
          throw new TaskFailure(`${JSON.stringify(path)} has a line break in its name: such files are not copied`)
        const stats = await stat(path)
        if (stats.isDirectory() && path !== root && (await lstat(path)).isSymbolicLink())
          throw new TaskFailure(`${path} is a link to a folder; folders are copied without what links lead to`)
        if (stats.isDirectory())
          return [{ path, relative: name, mode: stats.mode & 0o7777, size: 0, sha256: '', directory: true }]
        return stats.isFile() ? [await this.#file(path, name, stats)] : []
      }),
    )
    return found.flat()
  }

  async #file(path: string, name: string, { mtimeMs, size, mode }: Stats): Promise<LoadedFile> {
    const known = this.#files.get(path)
    const loaded = known?.mtimeMs === mtimeMs && known.size === size ? known.loaded : readOne(path, mode & 0o7777, size)
    this.#files.set(path, { mtimeMs, size, loaded })
    return { ...(await loaded), relative: name }
  }

  /** A byte order mark is the editor's, not the text's: it would hide the `#!` or the first line of what is rendered. */
  #render(file: LoadedFile, scope: Scope): LoadedFile {
    const text = file.content?.toString('utf8')
    if (text === undefined) throw new TaskFailure(`the template ${file.path} is larger than ${KEEP_LIMIT} bytes`)
    if (!Buffer.from(text).equals(file.content!)) throw new TaskFailure(`the template ${file.path} is not UTF-8 text`)
    let known = this.#templates.get(file.path)
    if (known?.sha256 !== file.sha256) {
      known = {
        sha256: file.sha256,
        template: compileTemplateFile({ path: file.path, text: text.replace(/^\ufeff/, '') }),
      }
      this.#templates.set(file.path, known)
    }
    const content = Buffer.from(String(known.template.evaluate(scope)))
    return { ...file, content, size: content.length, sha256: createHash('sha256').update(content).digest('hex') }
  }
}

/** A file named in a task: beside the task's file, its role or playbook. Throws TaskFailure. */
async function find(
  path: string,
  kind: ControllerFile['kind'],
  searchPath: readonly string[],
): Promise<{ path: string; stats: Stats }> {
  const candidates = isAbsolute(path)
    ? [path]
    : searchPath.flatMap((folder) => [join(folder, FOLDERS[kind], path), join(folder, path)])
  for (const candidate of candidates) {
    const stats = await stat(candidate).catch(() => undefined)
    if (stats) return { path: resolve(candidate), stats }
  }
  const looked = candidates.map((c) => `\n  ${c}`).join('')
  throw new TaskFailure(`there is no ${kind} "${path}" on the controller; looked for${looked}`)
}

async function readOne(path: string, mode: number, size: number): Promise<LoadedFile> {
  if (size <= KEEP_LIMIT) {
    // At once: a promise of it is five trips to another thread.
    const content = readFileSync(path)
    const sha256 = createHash('sha256').update(content).digest('hex')
    return { path, relative: basename(path), mode, size: content.length, sha256, content }
  }
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return { path, relative: basename(path), mode, size, sha256: hash.digest('hex') }
}
