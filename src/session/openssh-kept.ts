import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { homedir, hostname } from 'node:os'
import { join } from 'node:path'
import type { Transport } from './channel.ts'
import { spawnChannel } from './local.ts'
import { enterProxy, type MuxProxy } from './mux-proxy.ts'
import { connectTimeout, explain, localUser, noProxy, sshOptions, tooLate } from './openssh-command.ts'
import { openAsGuest } from './openssh-guest.ts'
import { configurationInputs } from './openssh-inputs.ts'
import { openProxied, sharedOut } from './openssh-proxied.ts'
import { type ConnectOptions, SessionError, type Target } from './session.ts'

/** How long a master may take to answer: it is a process of this machine. */
const STOP_MS = 2000

/** What ssh's configuration says of a host whose connections are to be kept. */
export interface Kept {
  /** ControlPath, with its tokens filled in: where the user's own connection is. */
  readonly path: string
  readonly user: string
  readonly port: string
  /** HostName and HostKeyAlias. */
  readonly names: readonly string[]
  /** What a connection is made with: the machine, for home folders may be shared and sockets are not, the host, and all of its configuration. */
  readonly inputs: string
}

/**
 * Asks ssh what its configuration says of the host. `ControlMaster auto`, a ControlPath and ControlPersist mean that
 * connections are to outlive the commands that made them. Undefined when they are not.
 */
async function keptConnection(target: Target): Promise<Kept | undefined> {
  const configuration = await new Promise<string>((resolve) => {
    const argv = ['-G', ...sshOptions(target), '--', target.address]
    execFile('ssh', argv, { timeout: connectTimeout(target) }, (error, stdout) => resolve(error ? '' : stdout))
  })
  const of = (name: string): string | undefined => new RegExp(`^${name} (.+)$`, 'm').exec(configuration)?.[1]
  const path = of('controlpath') ?? 'none'
  if (path === 'none' || of('controlmaster') !== 'auto') return undefined
  if (/^(no|false)$/.test(of('controlpersist') ?? 'no')) return undefined
  const names = [of('hostname'), of('hostkeyalias')].filter((name) => name !== undefined)
  const inputs = JSON.stringify([hostname(), target.address, configuration.replace(/^connecttimeout .*$/m, '')])
  return { path, user: of('user') ?? localUser(), port: of('port') ?? '22', names, inputs }
}

/** Sockets of our connections are in a folder that only we may enter. */
const folder = (): string => join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'runbook/ssh')

/** Characters of a socket's name: 80 bits, as there is little room for a path. */
const NAME_LENGTH = 20
/** Bytes that a socket's path has at the most (sun_path in unix(7), less its NUL), and those that ssh puts behind it while it binds. */
const LONGEST_PATH = 107
const SSH_SUFFIX = 17

/** No other connection has the same: its name tells all that this one is made with. */
function ownSocket(madeWith: string): string {
  return join(folder(), createHash('sha256').update(madeWith).digest('hex').slice(0, NAME_LENGTH))
}

/** Why no socket can be in our folder, which is made where it is missing. */
function whyNoFolder(): string | undefined {
  try {
    if (Buffer.byteLength(folder()) + 1 + NAME_LENGTH + SSH_SUFFIX > LONGEST_PATH)
      return `${folder()} is too long for the path of a socket`
    mkdirSync(folder(), { recursive: true, mode: 0o700 })
    const { uid, mode } = statSync(folder())
    return uid === process.getuid!() && (mode & 0o077) === 0 ? undefined : `others may enter ${folder()}`
  } catch (error) {
    return (error as Error).message
  }
}

/**
 * Channels on a connection that stays when we go, opened when there is none; undefined where none is to be kept. It is used
 * by runs alone: a refused channel ends it (see MuxProxy), which must not hit what people do in a connection of theirs.
 */
export async function openKept(target: Target, options: ConnectOptions): Promise<Transport | undefined> {
  const { signal, anew, note } = options
  const inputs = configurationInputs(target)
  if (inputs !== undefined && !anew && whyNoFolder() === undefined) {
    const path = ownSocket(inputs)
    const found = await findMaster(target, path)
    if (found) return overMaster(target, { path, user: target.user ?? localUser(), found }, options)
  }
  const kept = await keptConnection(target)
  signal?.throwIfAborted()
  if (!kept) return undefined
  const why = whyNoFolder()
  if (why !== undefined) note?.(`no connection is kept: ${why}`)
  const path = ownSocket(inputs ?? kept.inputs)
  const { user } = kept
  if (anew) await retire(path)
  else {
    const found = inputs === undefined && why === undefined ? await findMaster(target, path) : undefined
    if (found) return overMaster(target, { path, user, found }, options)
    const guest = await openAsGuest(target, kept, options)
    if (guest) return guest
  }
  return why === undefined ? overMaster(target, { path, user }, options) : undefined
}

interface Master {
  readonly path: string
  readonly user: string
  /** A connection that stands already. */
  readonly found?: MuxProxy
}

/**
 * Whether a connection that was found is still good only an answer from the host tells: it has to give a sign of life in the
 * time that a new one may take, else it is given up for a new one.
 */
async function overMaster(target: Target, { path, user, found }: Master, options: ConnectOptions): Promise<Transport> {
  const { signal } = options
  let proxy = found ?? (await openMaster(target, path, signal))
  let isProven = found === undefined
  let renewing: Promise<void> | undefined
  const closed = Promise.withResolvers<Error | undefined>()
  const watch = (one: MuxProxy): void => {
    one.closed.then((error) => {
      if (one === proxy) closed.resolve(error)
    })
  }
  const renew = async (): Promise<void> => {
    const old = proxy
    await retire(path)
    proxy = await openMaster(target, path, signal)
    isProven = true
    watch(proxy)
    old.end()
  }
  watch(proxy)
  return {
    host: target.name,
    user,
    closed: closed.promise,
    open: sharedOut(async (command, wanted) => {
      const used = proxy
      try {
        const channel = await openProxied(used, target, command, wanted)
        if (used === proxy) {
          isProven = true
          return channel
        }
        channel.close()
      } catch (error) {
        if (used === proxy) {
          if (isProven || !(error instanceof SessionError && error.kind === 'timeout')) throw error
          renewing ??= renew()
        }
      }
      await renewing
      return openProxied(proxy, target, command, wanted)
    }),
    close: () => proxy.end(),
  }
}

/** Enters the connection that stands there. One that does not answer is given up. */
async function findMaster(target: Target, path: string): Promise<MuxProxy | undefined> {
  try {
    return await enterProxy(path, connectTimeout(target))
  } catch {
    await retire(path)
    return undefined
  }
}

/** The master takes no more commands and ends with those that it has: they may be other runs'. */
async function retire(path: string): Promise<void> {
  const stop = ['-F', 'none', '-S', path, '-O', 'stop', 'any']
  await new Promise<void>((done) => execFile('ssh', stop, { timeout: STOP_MS }, () => done()))
  // What a dead one left behind, or one that hangs.
  await rm(path, { force: true })
}

/** Opens a connection that outlives us; the user's ControlPersist says for how long. */
async function openMaster(target: Target, path: string, signal: AbortSignal | undefined): Promise<MuxProxy> {
  // With ControlPersist, ssh goes to the background when it is in, and what was started ends with 0.
  const options = [...sshOptions(target), '-o', 'ControlMaster=auto', '-S', path.replaceAll('%', '%%'), '-N']
  const master = spawnChannel('ssh', [...options, '--', target.address])
  const gaveUp = Promise.withResolvers<never>()
  const beaten = Promise.withResolvers<number>()
  let stderr = ''
  master.stdin.end()
  master.stdout.resume()
  master.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk).slice(-16_384)
    // Another command was quicker; this one would stay in front.
    if (/already exists, disabling multiplexing/.test(stderr)) beaten.resolve(0)
  })
  const timer = setTimeout(() => gaveUp.reject(tooLate(target)), connectTimeout(target))
  const abort = () => gaveUp.reject(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    const rc = await Promise.race([master.exit, beaten.promise, gaveUp.promise])
    await new Promise(setImmediate)
    const entering = rc === 0 ? enterProxy(path, connectTimeout(target)) : undefined
    const proxy = await entering?.catch((error) => {
      throw noProxy(target, error)
    })
    if (!proxy) throw explain(target, stderr)
    return proxy
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
    master.close()
  }
}
