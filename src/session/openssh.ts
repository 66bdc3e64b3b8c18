import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Transport } from './channel.ts'
import { spawnChannel } from './local.ts'
import { enterProxy, MuxProxy } from './mux-proxy.ts'
import { connectTimeout, explain, lastWords, localUser, noProxy, sshOptions, tooLate } from './openssh-command.ts'
import { openKept } from './openssh-kept.ts'
import { openProxied, sharedOut } from './openssh-proxied.ts'
import type { ConnectOptions, Target } from './session.ts'

/**
 * The system's ssh program makes the connection, and we speak to it over its control socket. It knows what ssh2 does not:
 * FIDO keys, certificates, GSSAPI, ProxyCommand. Where the user's ssh configuration keeps connections (ControlPersist),
 * ours is left for the next run; otherwise it ends with us.
 */
export async function openOpenssh(target: Target, options: ConnectOptions = {}): Promise<Transport> {
  return (await openKept(target, options)) ?? openOwn(target, options)
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
  const proxy = await enterProxy(socket, connectTimeout(target)).catch((error: Error) => error)
  if (!(proxy instanceof MuxProxy)) {
    master.close()
    await clean()
    throw noProxy(target, proxy)
  }
  let ours = false
  const closed = master.exit.then(async () => {
    await proxy.end()
    await clean()
    return ours ? undefined : new Error(lastWords(stderr) || 'ssh ended')
  })
  return {
    host,
    user: target.user ?? /Authenticating to .* as '(.*)'/.exec(stderr)?.[1] ?? localUser(),
    closed,
    open: sharedOut((command, signal) => openProxied(proxy, target, command, signal)),
    close: async () => {
      ours = true
      await proxy.end()
      master.close()
      await closed
    },
  }
}
