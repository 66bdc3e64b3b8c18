import { setTimeout as sleep } from 'node:timers/promises'
import { quote } from '../shared/quote.ts'
import { authenticate, becomePrefix } from './become.ts'
import { type Boot, BootError, type Booted, bootCommand, bootInput, watchBoot } from './boot.ts'
import { type ChannelKind, newNonce, type Transport } from './channel.ts'
import { download } from './download.ts'
import { type Lock, takeLock } from './lock.ts'
import { type Become, type Connection, type ConnectOptions, SessionError, type Shell } from './session.ts'
import { type OpenChannel, ScriptQueue } from './shell.ts'
import { upload } from './upload.ts'

/** How long a login shell may take until our first command runs in it: a slow .bashrc, a home folder on NFS. */
const BOOT_MS = 30_000

const CLOSED = 'the connection was closed'
/** A channel may end this much before its connection is known to have ended. */
const SETTLE_MS = 100

/** Builds all that a Connection does on a transport. */
export function makeConnection(transport: Transport, options: ConnectOptions = {}): Connection {
  const { host } = transport
  const shells = new Map<string, Promise<Shell>>()
  const passwords = new Map<string, Promise<string>>()
  let lost: SessionError | undefined
  let held: Lock | undefined
  const locks = new Map<'login' | 'root', Promise<void>>()
  const queues: ScriptQueue[] = []
  /** The shells that scripts may go on in when the connection is lost. */
  const running: Booted[] = []

  const closed = transport.closed.then((error) => {
    lost ??= new SessionError('lost', host, error ? `the connection was lost: ${error.message}` : CLOSED)
  })
  const settled = async () => {
    // The timer goes with the race: left running, it would keep every ended run alive that much longer.
    const over = new AbortController()
    await Promise.race([closed, sleep(SETTLE_MS, undefined, { signal: over.signal }).catch(() => {})])
    over.abort()
  }

  const askPassword = (become: Become) => {
    const known = become.password
    if (known !== undefined) {
      options.addSecret?.(known)
      return async () => known
    }
    const { prompt } = options
    if (!prompt || become.method === 'doas') return undefined
    const key = become.method === 'su' ? `su ${become.user}` : become.method
    return () => {
      const question = `Password for ${become.method} on ${host}${become.method === 'su' ? ` (${become.user})` : ''}: `
      const asked =
        passwords.get(key) ??
        prompt(question, { secret: true }).then((password) => {
          options.addSecret?.(password)
          return password
        })
      passwords.set(key, asked)
      // A wrong or refused password is not kept: the next shell may ask again.
      asked.catch(() => passwords.delete(key))
      return asked
    }
  }

  const open = async (
    become: Become | undefined,
    line: string,
    kind: ChannelKind,
    signal?: AbortSignal,
  ): Promise<OpenChannel> => {
    if (lost) throw lost
    const nonce = newNonce()
    const ask = become && askPassword(become)
    const command = bootCommand(nonce, become ? { sh: becomePrefix(become, nonce, ask !== undefined) } : { line })
    const channel = await transport.open(command, kind, signal)
    const boot = watchBoot(channel, nonce)
    if (become) {
      try {
        await authenticate(host, become, nonce, channel, boot, ask)
      } catch (error) {
        await settled()
        passwords.delete(become.method === 'su' ? `su ${become.user}` : become.method)
        throw lost ?? error
      }
      channel.stdin.write(bootInput(nonce, line))
    }
    const timer = setTimeout(() => channel.close(), BOOT_MS)
    const ready = boot.ready.catch(async (error) => {
      await settled()
      throw lost ?? (error instanceof BootError ? noShell(host, transport.user, boot) : error)
    })
    ready.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    )
    return { channel, ready }
  }

  /** A transfer that broke off because the connection did is `lost`, not a fault of the file. */
  const orLost = async (error: unknown) => {
    if (!(error instanceof SessionError)) return error
    await settled()
    return lost ?? error
  }

  const makeShell = async (become: Become | undefined): Promise<Shell> => {
    const queue = new ScriptQueue({
      host,
      open: (line, kind) => open(become, line, kind),
      booted: (booted) => {
        running.push(booted)
        held?.watch(booted)
      },
      lost: () => lost,
      settled,
    })
    queues.push(queue)
    await queue.start()
    const openPassing = (line: string, signal?: AbortSignal) => open(become, line, 'passing', signal)
    return {
      user: become?.user ?? transport.user,
      get scripts() {
        return queue.count
      },
      run: (script, runOptions) => queue.run(script, runOptions),
      upload: async (content, path, uploadOptions) => {
        try {
          return await upload(host, openPassing, content, path, uploadOptions)
        } catch (error) {
          throw await orLost(error)
        }
      },
      download: async function* (path, downloadOptions) {
        try {
          yield* download(host, openPassing, path, downloadOptions)
        } catch (error) {
          throw await orLost(error)
        }
      },
    }
  }

  const shell = (wanted?: Become): Promise<Shell> => {
    // Who is the user already needs no sudo, and a bare host may have none.
    const become = wanted?.user === transport.user ? undefined : wanted
    const key = become ? `${become.method} ${become.user}` : ''
    let known = shells.get(key)
    if (!known) {
      known = makeShell(become)
      shells.set(key, known)
      known.catch(() => shells.delete(key))
    }
    return known
  }

  /** Root's lock stands above that of the login user, which has to respect it. */
  const takeRunLock = async (holder: string, become: Become | undefined): Promise<void> => {
    // A wrong password shall be given once.
    if (become && askPassword(become)) await shell(become)
    const taken = await takeLock(host, (line) => open(become, line, 'lasting'), holder)
    const ours = held !== undefined && taken.beside === transport.user
    held?.close()
    held = taken
    running.forEach(taken.watch)
    if (taken.beside !== undefined && !ours)
      options.note?.(`${taken.beside} holds a lock of its own there: a run without become?`)
    for (const { run, words } of taken.jobs)
      if (!holder.includes(`run ${run} `)) options.note?.(`a detached command goes on there beside this run: ${words}`)
  }

  const close = async () => {
    if (!lost && queues.every((queue) => queue.idle)) held?.release()
    lost ??= new SessionError('lost', host, CLOSED)
    await transport.close()
    await closed
  }

  return {
    host,
    shell,
    lock: (holder, wanted) => {
      const asRoot = wanted?.user === 'root' && transport.user !== 'root' ? wanted : undefined
      const known = locks.get('root') ?? (asRoot ? undefined : locks.get('login'))
      if (known) return known
      const which = asRoot ? 'root' : 'login'
      const taken = takeRunLock(holder, asRoot)
      locks.set(which, taken)
      taken.catch(() => locks.delete(which))
      return taken
    },
    closed,
    close,
    [Symbol.asyncDispose]: close,
  }
}

function noShell(host: string, user: string, boot: Boot): SessionError {
  const said = boot.noise()
  return new SessionError('auth', host, `${user} gets no shell on the host${said ? `: ${said}` : ''}`, {
    hint: `try: ssh ${quote(host)} /bin/sh -c id`,
  })
}
