/** Tells when the files of an inventory have changed, for processes that live longer than an inventory does. */
import type { Stats } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { dirname, extname, join } from 'node:path'

/** Milliseconds between looks. A change is told of when it was there at two looks: files are written in pieces. */
const PERIOD = 5000
/** Executable inventories are asked anew after so many milliseconds: their answer has no time of change. */
const EXECUTABLE_PERIOD = 60_000

export interface WatchOptions {
  readonly sources: readonly string[]
  /** Whose `group_vars` and `host_vars` count too. */
  readonly folders: readonly string[]
  readonly changed: () => Promise<void>
  readonly period?: number | undefined
}

export class InventoryWatch implements AsyncDisposable {
  readonly #options: WatchOptions
  readonly #timer: NodeJS.Timeout
  #told: string | undefined
  #last: string | undefined
  #looking: Promise<void>

  constructor(options: WatchOptions) {
    this.#options = options
    this.#looking = signatureOf(options).then((now) => {
      this.#told = this.#last = now
    })
    this.#timer = setInterval(() => {
      this.#looking = this.#looking.then(() => this.#look())
    }, options.period ?? PERIOD)
  }

  async #look(): Promise<void> {
    const now = await signatureOf(this.#options)
    const settled = now === this.#last
    this.#last = now
    if (!settled || now === this.#told) return
    this.#told = now
    await this.#options.changed()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }
}

/** Changes when a file does that the inventory is made of: names, sizes and times. */
async function signatureOf({ sources, folders }: WatchOptions): Promise<string> {
  const parts: string[] = []
  const add = async (path: string): Promise<void> => {
    const stats = await stat(path).catch(() => undefined)
    if (stats === undefined) return
    if (!stats.isDirectory()) {
      const { size, mtimeMs, ino } = stats
      parts.push(`${path} ${size} ${mtimeMs} ${ino}${isExecutable(path, stats) ? ` ${now()}` : ''}`)
      return
    }
    for (const name of (await readdir(path).catch(() => [])).sort()) {
      // What editors and version control keep beside.
      if (!/^\.|~$/.test(name)) await add(join(path, name))
    }
  }
  const beside = new Set(folders)
  for (const source of sources) {
    await add(source)
    beside.add(dirname(source))
  }
  for (const folder of beside) for (const kind of ['group_vars', 'host_vars']) await add(join(folder, kind))
  return parts.join('\n')
}

const now = (): number => Math.floor(Date.now() / EXECUTABLE_PERIOD)

/** As loading tells them: what has the name of a data file is none. */
function isExecutable(path: string, { mode }: Stats): boolean {
  return (mode & 0o111) !== 0 && !['.yml', '.yaml', '.json', '.ini'].includes(extname(path))
}
