import { execFile } from 'node:child_process'
import { lstat, stat } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { basename, dirname, isAbsolute } from 'node:path'
import type { Channel, Transport } from './channel.ts'
import { ChannelSlots } from './channel-slots.ts'
import { spawnChannel } from './local.ts'
import { connectTimeout, explain, localUser, openChannel, sshOptions, tooLate } from './openssh-command.ts'
import type { ConnectOptions, Target } from './session.ts'

/** How long a master may take to answer: it is a process of this machine. */
const STOP_MS = 2000

/** A connection that the user's ssh configuration keeps, for this host and user. */
export interface Kept {
  /** ControlPath, with its tokens filled in. */
  readonly path: string
  readonly user: string
}

/**
 * Asks ssh what its configuration says of the host. `ControlMaster auto`, a ControlPath and ControlPersist mean that
 * connections are to outlive the commands that made them. Undefined when they are not, or when it would not be safe, which
 * is noted.
 */
export async function keptConnection(target: Target, { note }: ConnectOptions): Promise<Kept | undefined> {
  const said = await new Promise<string>((resolve) => {
    const argv = ['-G', ...sshOptions(target), '--', target.address]
    execFile('ssh', argv, { timeout: connectTimeout(target) }, (error, stdout) => resolve(error ? '' : stdout))
  })
  const of = (name: string): string | undefined => new RegExp(`^${name} (.+)$`, 'm').exec(said)?.[1]
  const path = of('controlpath') ?? 'none'
  if (path === 'none' || of('controlmaster') !== 'auto') return undefined
  if (/^(no|false)$/.test(of('controlpersist') ?? 'no')) return undefined
  const user = of('user') ?? localUser()
  const names = [of('hostname'), of('hostkeyalias'), target.address].filter((name) => name !== undefined)
  const why = tellsApart(path, names, of('port') ?? '22', user)
    ? await whyUnsafe(path)
    : 'it lacks %C (or %r, %h and %p)'
  if (why === undefined) return { path, user }
  note?.(`the ControlPath ${path} is not used: ${why}`)
  return undefined
}

/** Whether no other host, port or user has the same path: a fleet's commands must not reach the wrong one. */
export function tellsApart(path: string, names: readonly string[], port: string, user: string): boolean {
  const name = basename(path)
  // %C: a SHA-1 of all of them.
  if (/[0-9a-f]{40}/.test(name)) return true
  const host = names.toSorted((a, b) => b.length - a.length).find((one) => name.includes(one))
  if (host === undefined) return false
  const rest = name.replace(host, '\0')
  return rest.includes(user) && rest.replace(user, '\0').includes(port)
}

/** Who can put a socket there can read all that is sent. ssh itself looks at neither folder nor owner when it uses one. */
async function whyUnsafe(path: string): Promise<string | undefined> {
  if (!isAbsolute(path) || path.includes('%')) return 'it is no absolute path'
  const me = process.getuid!()
  const folder = await stat(dirname(path)).catch(() => undefined)
  if (!folder?.isDirectory()) return `there is no folder ${dirname(path)}`
  if (![me, 0].includes(folder.uid) || (folder.mode & 0o022) !== 0) return 'others may write to its folder'
  const socket = await lstat(path).catch(() => undefined)
  if (socket && (!socket.isSocket() || socket.uid !== me)) return 'what is there is no socket of this user'
  return undefined
}

/**
 * Channels on a connection that stays when we go, opened when there is none. Whether it is still good only an answer from
 * the host tells: one that was found has to give a sign of life in the time that a new one may take, else it is given up
 * for a new one.
 */
export async function openKept(target: Target, { path, user }: Kept, options: ConnectOptions): Promise<Transport> {
  const { signal } = options
  const slots = new ChannelSlots()
  const channels = new Set<Channel>()
  const closed = Promise.withResolvers<Error | undefined>()
  let watched: Socket | undefined
  let isProven = false
  let renewing: Promise<void> | undefined

  const watch = (socket: Socket): void => {
    watched = socket
    socket.resume()
    socket.on('close', () => {
      if (socket !== watched) return
      for (const channel of channels) channel.close()
      closed.resolve(new Error('the connection that ssh kept has ended'))
    })
  }
  const renew = async (): Promise<void> => {
    const old = watched
    watched = undefined
    await retire(path)
    old?.destroy()
    watch(await openMaster(target, path, signal))
  }

  if (options.anew) await retire(path)
  const found = await knock(path)
  if (found) watch(found)
  else {
    watch(await openMaster(target, path, signal))
    isProven = true
  }
  return {
    host: target.name,
    user,
    closed: closed.promise,
    open: async (command, kind, wanted) => {
      const release = await slots.take(kind, wanted)
      let channel = openChannel(path, target, command)
      if (!isProven && !((await livesWithin(channel, connectTimeout(target))) && renewing === undefined)) {
        channel.close()
        renewing ??= renew()
        try {
          await renewing
        } catch (error) {
          release()
          throw error
        }
        channel = openChannel(path, target, command)
      }
      isProven = true
      channels.add(channel)
      channel.exit.then(() => {
        channels.delete(channel)
        release()
      })
      return channel
    },
    close: async () => {
      const socket = watched
      watched = undefined
      for (const channel of channels) channel.close()
      socket?.destroy()
      closed.resolve(undefined)
    },
  }
}

/** The master takes no more commands and ends with those that it has: they may be other people's. */
function retire(path: string): Promise<void> {
  const stop = ['-F', 'none', '-S', path, '-O', 'stop', 'any']
  return new Promise((done) => execFile('ssh', stop, { timeout: STOP_MS }, () => done()))
}

/** Opens a connection that outlives us; the user's ControlPersist says for how long. */
async function openMaster(target: Target, path: string, signal: AbortSignal | undefined): Promise<Socket> {
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
    const socket = rc === 0 ? await knock(path) : undefined
    if (!socket) throw explain(target, stderr)
    return socket
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
    master.close()
  }
}

/** A line to the master that is held as long as we are: it neither expires meanwhile nor ends without our seeing it. */
function knock(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('error', () => resolve(undefined))
    socket.once('connect', () => {
      socket.on('error', () => {})
      resolve(socket)
    })
  })
}

/** Whether anything comes of a channel, be it its end. Leaves its output to be read. */
function livesWithin(channel: Channel, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (isAlive: boolean) => {
      clearTimeout(timer)
      // One that stays would keep the stream from flowing.
      for (const stream of [channel.stdout, channel.stderr]) stream.off('readable', alive)
      resolve(isAlive)
    }
    const alive = () => end(true)
    const timer = setTimeout(end, ms, false)
    for (const stream of [channel.stdout, channel.stderr]) stream.on('readable', alive)
    channel.exit.then(alive)
  })
}
