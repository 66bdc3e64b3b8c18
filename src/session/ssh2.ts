import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ClientChannel, ServerHostKeyAlgorithm, Client as SshClient } from 'ssh2'
import { type Authenticator, authenticator, type Login } from './auth.ts'
import type { Channel, Transport } from './channel.ts'
import { ChannelSlots } from './channel-slots.ts'
import { checkHostKey, type HostKeys, keyAlgorithms } from './host-key.ts'
import { retryRefused } from './retry-refused.ts'
import { SessionError } from './session.ts'
import { Client } from './ssh2-parts.ts'

/** One hop: where to connect, who logs in, whose key is expected. */
export interface Hop {
  /** The inventory's name of the host this hop is for. */
  readonly name: string
  readonly address: string
  readonly port: number
  readonly login: Login
  readonly hostKeys: HostKeys
  readonly timeoutMs: number
  readonly keepaliveMs: number
}

/** An authenticated client; `end` says why it ended. */
export interface Ssh2Client {
  readonly client: SshClient
  readonly closed: Promise<Error | undefined>
  close(): Promise<void>
}

/** How long the peer may take to answer our goodbye. */
const GOODBYE_MS = 500

/** Logs in over `sock`: a TCP connection, which may still be under way, or a channel of the hop before. */
export async function connectHop(hop: Hop, sock: Duplex, signal?: AbortSignal): Promise<Ssh2Client> {
  const { name, address, port, login } = hop
  writeTogether(sock)
  const client = new Client()
  const closed = Promise.withResolvers<Error | undefined>()
  const ready = Promise.withResolvers<void>()
  let failure: Error | undefined
  let ours = false
  let hostKeyError: SessionError | undefined
  // ssh2 reports an agent's trouble as `error` and then goes on to the next method; those are no ends.
  client.on('error', (error: Error & { level?: string }) => {
    if (error.level === 'agent') return
    failure ??= error
    ready.reject(error)
  })
  client.on('ready', ready.resolve)
  client.on('close', () => {
    ready.reject(failure ?? new Error('the connection was closed'))
    closed.resolve(ours ? undefined : (failure ?? new Error('the host closed it')))
  })
  const destroy = () => {
    client.destroy()
    sock.destroy()
  }
  const message = `no connection to ${address}:${port} within ${hop.timeoutMs / 1000} s`
  const clock = pausable(hop.timeoutMs, () => ready.reject(new SessionError('unreachable', name, message)))
  const auth = authenticator(login, clock.during)
  const abort = () => ready.reject(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    signal?.throwIfAborted()
    if (sock.errored) throw sock.errored
    client.connect({
      sock: sock as never,
      username: login.user,
      readyTimeout: 0,
      keepaliveInterval: hop.keepaliveMs,
      // The client gives up when this many pings in a row went unanswered.
      keepaliveCountMax: 3,
      algorithms: { serverHostKey: keyAlgorithms(hop.hostKeys) as ServerHostKeyAlgorithm[] },
      hostVerifier: (key: Buffer, verify: (ok: boolean) => void) => {
        checkHostKey(name, hop.hostKeys, key).then(
          () => verify(true),
          (error: SessionError) => {
            hostKeyError = error
            ready.reject(error)
            verify(false)
          },
        )
      },
      authHandler: auth.handler as never,
    })
    await ready.promise
    return {
      client,
      closed: closed.promise,
      close: async () => {
        ours = true
        // What the kernel was given it delivers; the host's own goodbye may be a long way off, and nothing depends on it.
        if (sock instanceof Socket) sock.once('finish', destroy)
        client.end()
        const late = setTimeout(destroy, GOODBYE_MS)
        await closed.promise
        clearTimeout(late)
      },
    }
  } catch (error) {
    ours = true
    destroy()
    closed.resolve(undefined)
    if (signal?.aborted) throw signal.reason
    throw hostKeyError ?? explain(hop, error as Error, auth)
  } finally {
    clock.stop()
    signal?.removeEventListener('abort', abort)
  }
}

/** ssh2 writes a packet in three pieces: to the host they are one segment, which wakes its sshd once. */
function writeTogether(sock: Duplex): void {
  const write = sock.write
  sock.write = ((...args: Parameters<typeof write>) => {
    if (sock.writableCorked === 0) {
      sock.cork()
      process.nextTick(() => sock.uncork())
    }
    return write.apply(sock, args)
  }) as typeof write
}

/** A time limit that does not run while somebody is asked for a password: `during` waits for that. */
function pausable(ms: number, late: () => void) {
  let left = ms
  let began = performance.now()
  let waits = 0
  let stopped = false
  let timer = setTimeout(late, left)
  return {
    stop: () => {
      stopped = true
      clearTimeout(timer)
    },
    during: async <T>(answer: Promise<T>): Promise<T> => {
      if (waits++ === 0) {
        clearTimeout(timer)
        left -= performance.now() - began
      }
      try {
        return await answer
      } finally {
        if (--waits === 0 && !stopped) {
          began = performance.now()
          timer = setTimeout(late, left)
        }
      }
    },
  }
}

function explain(hop: Hop, error: Error & { level?: string; code?: unknown }, auth: Authenticator): SessionError {
  if (error instanceof SessionError) return error
  const { name, address, port, login } = hop
  const at = `${address}:${port}`
  if (error.level === 'client-authentication' || /authentication/i.test(error.message)) {
    const why = auth.failure ? `: ${auth.failure.message}` : ''
    return new SessionError('auth', name, `${login.user}@${at} does not let us in${why} (${auth.report()})`, {
      hint: `check ansible_user and the key or password; "ssh -v -p ${port} ${login.user}@${address}" shows what the host says`,
    })
  }
  const words: Record<string, string> = {
    ECONNREFUSED: 'refuses the connection (is sshd running?)',
    ENOTFOUND: 'is not a name that resolves',
    EAI_AGAIN: 'cannot be resolved now (the name server does not answer)',
    EHOSTUNREACH: 'has no route to it',
    ENETUNREACH: 'has no route to it',
    ETIMEDOUT: 'does not answer',
    ECONNRESET: 'closed the connection at once (MaxStartups, fail2ban or a firewall?)',
  }
  const said = words[String(error.code)] ?? words[String((error as AggregateError).errors?.[0]?.code)]
  return new SessionError('unreachable', name, said ? `${at} ${said}` : `cannot connect to ${at}: ${error.message}`, {
    cause: error,
  })
}

/** The default transport: all channels of a host on one ssh2 client. */
export function ssh2Transport(hop: Hop, { client, closed, close }: Ssh2Client): Transport {
  const slots = new ChannelSlots()
  const { name: host, timeoutMs } = hop
  return {
    host,
    user: hop.login.user,
    closed,
    close,
    open: async (command, kind, signal) => {
      const release = await slots.take(kind, signal)
      try {
        const open = () => openOnce(client, host, command, timeoutMs, signal)
        const channel = wrap(await retryRefused(host, timeoutMs, signal, open))
        channel.exit.then(release)
        return channel
      } catch (error) {
        release()
        throw error
      }
    },
  }
}

function openOnce(
  client: SshClient,
  host: string,
  command: string,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    let over = false
    const fail = (error: unknown) => {
      over = true
      stop()
      reject(error)
    }
    const onAbort = () => fail(signal!.reason)
    const lost = (cause: unknown) => new SessionError('lost', host, 'the connection was lost', { cause })
    const late = () =>
      fail(new SessionError('timeout', host, `the host opened no channel within ${timeoutMs / 1000} s`))
    const timer = setTimeout(late, timeoutMs)
    const stop = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      client.exec(command, (error, channel) => {
        if (over) return void channel?.close()
        if (error) return fail('reason' in error && error.reason ? error : lost(error))
        stop()
        resolve(channel)
      })
    } catch (error) {
      // ssh2 throws "Not connected" here.
      fail(lost(error))
    }
  })
}

function wrap(channel: ClientChannel): Channel {
  const exit = Promise.withResolvers<number | null>()
  channel.on('exit', (code: number | null) => exit.resolve(code))
  channel.on('close', () => exit.resolve(null))
  channel.on('error', () => {})
  channel.stderr.on('error', () => {})
  return {
    stdin: channel,
    stdout: channel,
    stderr: channel.stderr,
    exit: exit.promise,
    close: () => {
      channel.close()
      exit.resolve(null)
    },
  }
}

/** A TCP connection from the far end of `client`, as the socket of the next hop. */
export function forward(hop: Hop, { client }: Ssh2Client, next: Hop, signal?: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const at = `${next.address}:${next.port}`
    const timer = setTimeout(() => {
      reject(
        new SessionError(
          'unreachable',
          next.name,
          `the jump host ${hop.address} opened no connection to ${at} in time`,
        ),
      )
    }, next.timeoutMs)
    const onAbort = () => reject(signal!.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    const done = (error: Error | undefined, channel?: Duplex) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      if (error || !channel) {
        const message = `the jump host ${hop.address} cannot connect to ${at}: ${error?.message}`
        return reject(new SessionError('unreachable', next.name, message, { cause: error }))
      }
      channel.on('error', () => {})
      resolve(channel)
    }
    try {
      client.forwardOut('127.0.0.1', 0, next.address, next.port, done)
    } catch (error) {
      // ssh2 throws "Not connected" here.
      done(error as Error)
    }
  })
}
