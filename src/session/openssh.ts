import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Channel, Transport } from './channel.ts'
import { ChannelSlots } from './channel-slots.ts'
import { spawnChannel } from './local.ts'
import { connectTimeout, explain, lastWords, localUser, openChannel, sshOptions, tooLate } from './openssh-command.ts'
import { keptConnection, openKept } from './openssh-kept.ts'
import type { ConnectOptions, Target } from './session.ts'

/**
 * The system's ssh program: a control socket a host, and a small client process a channel. It knows what ssh2 does not:
 * FIDO keys, certificates, GSSAPI, ProxyCommand. Where the user's ssh configuration keeps connections (ControlPersist),
 * they are used and left for the next run; otherwise the connection is ours and ends with us.
 */
export async function openOpenssh(target: Target, options: ConnectOptions = {}): Promise<Transport> {
  const kept = await keptConnection(target, options)
  options.signal?.throwIfAborted()
  return kept ? openKept(target, kept, options) : openOwn(target, options)
}

/** A master process of our own, with its control socket in a private folder. */
async function openOwn(target: Target, options: ConnectOptions): Promise<Transport> {
  const { name: host } = target
  // ssh adds a random suffix while it binds the socket and paths of sockets are short (108 bytes): hence no deep folder.
  const folder = await mkdtemp(join(tmpdir(), 'rbssh-'))
  const socket = join(folder, randomBytes(4).toString('hex'))
  const master = spawnChannel('ssh', [
    ...sshOptions(target),
    ...['-o', 'ControlMaster=yes', '-o', 'ControlPersist=no'],
    '-S',
    socket,
    '-N',
    '-v',
    '--',
    target.address,
  ])
  const clean = () => rm(folder, { recursive: true, force: true })
  let stderr = ''
  const up = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(tooLate(target)), connectTimeout(target))
    const abort = () => reject(options.signal?.reason)
    options.signal?.addEventListener('abort', abort, { once: true })
    master.stderr.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk).slice(-16_384)
      // ssh says this once its control socket listens and the session may be used.
      if (/Entering interactive session/.test(stderr)) resolve()
    })
    master.stdout.resume()
    master.exit.then(() => setImmediate(() => reject(explain(target, stderr))))
    const done = () => {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', abort)
    }
    master.exit.then(done)
  })
  try {
    await up
  } catch (error) {
    master.close()
    await clean()
    throw error
  }
  const slots = new ChannelSlots()
  const channels = new Set<Channel>()
  let ours = false
  const closed = master.exit.then(async () => {
    for (const channel of channels) channel.close()
    await clean()
    return ours ? undefined : new Error(lastWords(stderr) || 'ssh ended')
  })
  return {
    host,
    user: target.user ?? /Authenticating to .* as '(.*)'/.exec(stderr)?.[1] ?? localUser(),
    closed,
    open: async (command, kind, signal) => {
      const release = await slots.take(kind, signal)
      const channel = openChannel(socket, target, command)
      channels.add(channel)
      channel.exit.then(() => {
        channels.delete(channel)
        release()
      })
      return channel
    },
    close: async () => {
      ours = true
      master.close()
      await closed
    },
  }
}
