/** Debian's packages by apt, which checks their signatures, held to the versions and hashes of a lock file. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import { UserError } from '../../shared/errors.ts'

const run = promisify(execFile)

const LOCK = z.record(
  z.string(),
  z.strictObject({ version: z.string(), file: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
)
/** By the name of the package. */
type Lock = z.output<typeof LOCK>

export interface PackagesOptions {
  /** Where packages are kept, so that those of the lock file stay at hand when the mirror has newer ones only. */
  readonly cache: string
  /** The lock file. */
  readonly lock: string
  /** Take the newest versions, and write them down. */
  readonly update: boolean
}

/** The packages that bring loaders, kernel and installer. */
export class Packages {
  readonly #options: PackagesOptions
  readonly #before: Lock
  readonly #used: Lock = {}

  private constructor(options: PackagesOptions, before: Lock) {
    this.#options = options
    this.#before = before
  }

  /** Throws UserError when the lock file makes no sense. */
  static async open(options: PackagesOptions): Promise<Packages> {
    await mkdir(options.cache, { recursive: true, mode: 0o700 })
    return new Packages(options, await readLock(options.lock))
  }

  /** What was had, and in which version. */
  get versions(): { readonly name: string; readonly version: string }[] {
    return Object.entries(this.#used).map(([name, { version }]) => ({ name, version }))
  }

  /** The name of the package that a package without files of its own (linux-image-amd64) depends on. */
  async dependency(name: string, wanted: RegExp): Promise<string> {
    const path = await this.fetch(name)
    const { stdout } = await dpkgDeb(['-f', path, 'Depends'])
    const found = stdout.split(',').map((one) => one.trim().split(/[ (:]/)[0]!)
    const dependency = found.find((one) => wanted.test(one))
    if (dependency === undefined) throw new UserError(`package ${name} does not depend on what was expected: ${stdout}`)
    return dependency
  }

  /** The path of the package, downloaded unless it is at hand, with the hash that the lock file wants. */
  async fetch(name: string): Promise<string> {
    const { cache, update } = this.#options
    const locked = update ? undefined : this.#before[name]
    if (locked) {
      const path = join(cache, locked.file)
      const there = await sha256(path)
      if (there !== locked.sha256) {
        if (there !== undefined) await rm(path)
        await this.#download(name, locked.version)
      }
      const got = await sha256(path)
      if (got !== locked.sha256) {
        throw new UserError({
          message: `package ${name} ${locked.version} has not the hash that ${this.#options.lock} has`,
          hint: 'somebody changed one of them: find out who before you use --update',
        })
      }
      this.#used[name] = locked
      return path
    }
    const file = await this.#download(name, undefined)
    const path = join(cache, file)
    const { stdout } = await dpkgDeb(['-f', path, 'Version'])
    this.#used[name] = { version: stdout.trim(), file, sha256: (await sha256(path))! }
    return path
  }

  /** Unpacks a package into a folder. */
  async unpack(name: string, folder: string): Promise<void> {
    await mkdir(folder, { recursive: true })
    await dpkgDeb(['-x', await this.fetch(name), folder])
  }

  /** Writes what was used into the lock file; what other commands use stays there. */
  async save(): Promise<void> {
    const { lock } = this.#options
    const all = { ...(await readLock(lock)), ...this.#used }
    const sorted = Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)))
    await writeFile(`${lock}.new`, `${JSON.stringify(sorted, undefined, 2)}\n`)
    await rename(`${lock}.new`, lock)
  }

  /** The name of the file, in the cache. apt writes into a folder of its own: what broke off is never taken for whole. */
  async #download(name: string, version: string | undefined): Promise<string> {
    const { cache, lock } = this.#options
    const folder = await mkdtemp(join(cache, '.new-'))
    try {
      const wanted = version === undefined ? name : `${name}=${version}`
      await run('apt-get', ['download', '-q', '-o', 'APT::Sandbox::User=root', wanted], {
        cwd: folder,
        env: { ...process.env, LC_ALL: 'C' },
      }).catch((error: NodeJS.ErrnoException & { stderr?: string }) => {
        const said = (error.stderr ?? error.message).trim().split('\n').at(-1)
        const gone =
          version !== undefined && `the mirror has ${version} no longer: --update takes the newest into ${lock}`
        throw new UserError({
          message:
            error.code === 'ENOENT' ? 'this needs apt-get, of Debian or Ubuntu' : `cannot download ${wanted}: ${said}`,
          hint: gone || 'apt-get update, as root, brings the list of packages up to date',
        })
      })
      const { stdout } = await run('find', ['.', '-name', '*.deb', '-printf', '%f\\n'], { cwd: folder })
      const file = stdout.trim()
      await rename(join(folder, file), join(cache, file))
      return file
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
}

async function readLock(path: string): Promise<Lock> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new UserError(`cannot read ${path}: ${(error as Error).message}`)
  }
  try {
    return LOCK.parse(JSON.parse(text))
  } catch {
    throw new UserError({ message: `${path} is not a list of packages`, hint: 'remove it to begin anew' })
  }
}

async function dpkgDeb(args: string[]): Promise<{ stdout: string }> {
  return run('dpkg-deb', args).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new UserError('this needs dpkg-deb, of Debian or Ubuntu (package dpkg)')
    throw error
  })
}

/** Undefined when there is no such file. */
async function sha256(path: string): Promise<string | undefined> {
  const data = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return data && createHash('sha256').update(data).digest('hex')
}
