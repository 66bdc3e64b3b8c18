import { createHash } from 'node:crypto'
import { makeConnection } from './connection.ts'
import { openLocal } from './local.ts'
import {
  type Become,
  type Connection,
  type RunOptions,
  type ScriptResult,
  SessionError,
  type Shell,
  type UploadOptions,
} from './session.ts'

/** What a fake host was asked to do, in order. */
export type FakeCall =
  | { readonly kind: 'run'; readonly user: string; readonly script: string }
  | {
      readonly kind: 'upload'
      readonly user: string
      readonly path: string
      readonly content: Buffer
      readonly options: UploadOptions
    }
  | { readonly kind: 'download'; readonly user: string; readonly path: string }

/** How a script ends; what is left out is empty or 0. A SessionError is thrown; `lost` also ends the connection. */
export type FakeAnswer =
  | { readonly rc?: number; readonly stdout?: string | Buffer; readonly stderr?: string | Buffer }
  | SessionError
  | undefined

export interface FakeOptions {
  /** The login user; default `root`. */
  readonly user?: string
  /** Answers a script. `undefined` runs it for real, in a local `sh`, as whoever runs the test. */
  readonly answer?: (script: string, user: string) => FakeAnswer | Promise<FakeAnswer>
  /** Files that can be downloaded; uploads land here too. */
  readonly files?: Map<string, Buffer>
  /** Users whose shell is refused. */
  readonly refuse?: (become: Become) => SessionError | undefined
}

export interface FakeConnection extends Connection {
  readonly calls: readonly FakeCall[]
  readonly files: Map<string, Buffer>
}

/**
 * A connection for tests of what stands above sessions. It keeps the promises of the real ones (order of scripts, one
 * shell a user, errors after `close`), which the same tests check on both.
 */
export function fakeConnection(host: string, options: FakeOptions = {}): FakeConnection {
  const { user: login = 'root', answer = () => undefined, files = new Map<string, Buffer>(), refuse } = options
  const real = makeConnection(openLocal(host))
  const calls: FakeCall[] = []
  const shells = new Map<string, Shell>()
  const closed = Promise.withResolvers<void>()
  let lost: SessionError | undefined

  const close = async () => {
    lost ??= new SessionError('lost', host, 'the connection was closed')
    closed.resolve()
    await real.close()
  }

  const makeShell = (user: string): Shell => {
    let scripts = 0
    let last: Promise<unknown> = Promise.resolve()
    const runOne = async (script: string, runOptions: RunOptions): Promise<ScriptResult> => {
      if (lost) throw lost
      runOptions.signal?.throwIfAborted()
      calls.push({ kind: 'run', user, script })
      const begin = performance.now()
      const given = await answer(script, user)
      if (given instanceof SessionError) {
        if (given.kind === 'lost') {
          lost = given
          await close()
        }
        throw given
      }
      if (!given) return (await real.shell()).run(script, runOptions)
      const max = runOptions.maxOutput ?? Number.POSITIVE_INFINITY
      const [stdout, stderr] = [Buffer.from(given.stdout ?? ''), Buffer.from(given.stderr ?? '')]
      if (stdout.length > 0) runOptions.onOutput?.('stdout', stdout)
      if (stderr.length > 0) runOptions.onOutput?.('stderr', stderr)
      return {
        rc: given.rc ?? 0,
        stdout: stdout.subarray(0, max),
        stderr: stderr.subarray(0, max),
        elapsedMs: performance.now() - begin,
        truncated: stdout.length > max || stderr.length > max,
      }
    }
    return {
      user,
      get scripts() {
        return scripts
      },
      run: (script, runOptions = {}) => {
        scripts++
        const mine = last.then(() => runOne(script, runOptions))
        last = mine.catch(() => {})
        return mine
      },
      upload: async (content, path, uploadOptions = {}) => {
        if (lost) throw lost
        const chunks: Uint8Array[] = []
        if (Buffer.isBuffer(content)) chunks.push(content)
        else for await (const chunk of content) chunks.push(chunk)
        const whole = Buffer.concat(chunks)
        calls.push({ kind: 'upload', user, path, content: whole, options: uploadOptions })
        files.set(path, whole)
        return { sha256: createHash('sha256').update(whole).digest('hex'), bytes: whole.length }
      },
      download: async function* (path) {
        if (lost) throw lost
        calls.push({ kind: 'download', user, path })
        const content = files.get(path)
        if (!content) throw new SessionError('upload', host, `cannot read ${path}: No such file or directory`)
        yield content
      },
    }
  }

  return {
    host,
    calls,
    files,
    shell: async (become) => {
      if (lost) throw lost
      const refused = become && refuse?.(become)
      if (refused) throw refused
      const key = become ? `${become.method} ${become.user}` : ''
      const shell = shells.get(key) ?? makeShell(become?.user ?? login)
      shells.set(key, shell)
      return shell
    },
    lock: async () => {
      if (lost) throw lost
    },
    closed: closed.promise,
    close,
    [Symbol.asyncDispose]: close,
  }
}
