import { lstat, stat } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { basename, dirname, isAbsolute } from 'node:path'
import type { Channel, Transport } from './channel.ts'
import { spawnChannel } from './local.ts'
import { connectTimeout } from './openssh-command.ts'
import type { Kept } from './openssh-kept.ts'
import { sharedOut } from './openssh-proxied.ts'
import type { ConnectOptions, Target } from './session.ts'

/**
 * Channels on a connection that the user's own ssh keeps at ControlPath, if one stands there: they may have logged in by a
 * one-time password or a touched key, which nobody can give us. Others work over it, so we use it as ssh itself does, by a
 * process a channel, and leave it alone otherwise. Undefined when there is none, or none that answers.
 */
export async function openAsGuest(
  target: Target,
  kept: Kept,
  { note }: ConnectOptions,
): Promise<Transport | undefined> {
  const { path, user } = kept
  const socket = await knock(path)
  if (!socket) return undefined
  const why = tellsApart(path, [...kept.names, target.address], kept.port, user)
    ? await whyUnsafe(path)
    : 'it lacks %C (or %r, %h and %p)'
  if (why !== undefined) note?.(`the ControlPath ${path} is not used: ${why}`)
  if (why !== undefined || !(await answers(target, path))) {
    socket.destroy()
    return undefined
  }
  const channels = new Set<Channel>()
  let ours = false
  const closed = Promise.withResolvers<Error | undefined>()
  socket.resume().on('close', () => {
    for (const channel of channels) channel.close()
    closed.resolve(ours ? undefined : new Error('the connection that ssh kept has ended'))
  })
  return {
    host: target.name,
    user,
    closed: closed.promise,
    open: sharedOut(async (command) => {
      const channel = startCommand(path, target, command)
      channels.add(channel)
      channel.exit.then(() => channels.delete(channel))
      return channel
    }),
    close: async () => {
      ours = true
      socket.destroy()
      await closed.promise
    },
  }
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
  const folder = await stat(dirname(path))
  if (![me, 0].includes(folder.uid) || (folder.mode & 0o022) !== 0) return 'others may write to its folder'
  const socket = await lstat(path)
  if (!socket.isSocket() || socket.uid !== me) return 'what is there is no socket of this user'
  return undefined
}

/** A command on the connection behind a control socket, and on no other: without its master, ssh would make one itself. */
function startCommand(path: string, target: Target, command: string): Channel {
  const alone = ['ControlMaster=no', 'BatchMode=yes', 'ProxyCommand=false'].flatMap((option) => ['-o', option])
  return spawnChannel('ssh', ['-F', 'none', '-S', path, ...alone, '-T', '--', target.address, command])
}

/** Whether the host gives a sign of life over it. */
async function answers(target: Target, path: string): Promise<boolean> {
  const channel = startCommand(path, target, 'exit 0')
  const timer = setTimeout(() => channel.close(), connectTimeout(target))
  const rc = await channel.exit
  clearTimeout(timer)
  channel.close()
  return rc === 0
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
