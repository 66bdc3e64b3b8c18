import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import type { Channel, Transport } from './channel.ts'
import { ChannelSlots } from './channel-slots.ts'
import { spawnChannel } from './local.ts'
import { type ConnectOptions, SessionError, type Target } from './session.ts'
import { expandHome } from './ssh-config.ts'

const CONNECT_MS = 10_000
const KEEPALIVE_MS = 15_000

/**
 * The system's ssh program: one master process a host with its control socket in a private folder, and a small client
 * process a channel. It knows what ssh2 does not: FIDO keys, certificates, GSSAPI, ProxyCommand.
 */
export async function openOpenssh(target: Target, options: ConnectOptions = {}): Promise<Transport> {
  const { name: host } = target
  // ssh adds a random suffix while it binds the socket and paths of sockets are short (108 bytes): hence no deep folder.
  const folder = await mkdtemp(join(tmpdir(), 'rbssh-'))
  const socket = join(folder, randomBytes(4).toString('hex'))
  const timeoutMs = target.connectTimeoutMs ?? CONNECT_MS
  const master = spawnChannel('ssh', [
    ...sshOptions(target, timeoutMs),
    '-o',
    'ControlMaster=yes',
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
    const timer = setTimeout(() => {
      reject(
        new SessionError(
          'unreachable',
          host,
          `ssh made no connection to ${target.address} within ${timeoutMs / 1000} s`,
        ),
      )
    }, timeoutMs)
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
    user: target.user ?? /Authenticating to .* as '(.*)'/.exec(stderr)?.[1] ?? userInfo().username,
    closed,
    open: async (command, kind, signal) => {
      const release = await slots.take(kind, signal)
      const channel = spawnChannel('ssh', [
        '-F',
        'none',
        '-S',
        socket,
        '-o',
        'ControlMaster=no',
        '-o',
        'BatchMode=yes',
        '-T',
        '--',
        target.address,
        command,
      ])
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

function sshOptions(target: Target, timeoutMs: number): string[] {
  const option = (name: string, value: string | number) => ['-o', `${name}=${value}`]
  const keepalive = Math.max(1, Math.round((target.keepaliveMs ?? KEEPALIVE_MS) / 1000))
  return [
    '-T',
    ...(target.sshConfigFile ? ['-F', expandHome(target.sshConfigFile)] : []),
    ...(target.port === undefined ? [] : ['-p', String(target.port)]),
    ...(target.user === undefined ? [] : ['-l', target.user]),
    ...(target.privateKeyFile === undefined ? [] : ['-i', target.privateKeyFile]),
    ...(target.knownHostsFile === undefined ? [] : option('UserKnownHostsFile', target.knownHostsFile)),
    ...(target.sshOptions ?? []).flatMap(([name, value]) => option(name, value)),
    ...option('StrictHostKeyChecking', target.hostKeys === 'accept-new' ? 'accept-new' : 'yes'),
    // Nobody can answer: the program has no terminal of its own to ask on.
    ...option('BatchMode', 'yes'),
    ...option('ControlPersist', 'no'),
    // What the configuration adds to a session for people is not wanted here.
    ...option('ClearAllForwardings', 'yes'),
    ...option('RemoteCommand', 'none'),
    ...option('ConnectTimeout', Math.ceil(timeoutMs / 1000)),
    ...option('ServerAliveInterval', keepalive),
    ...option('ServerAliveCountMax', 3),
  ]
}

/** What ssh itself said, without its own tracing. */
function lastWords(stderr: string): string {
  return stderr
    .split(/\r?\n/)
    .filter((line) => line && !/^(debug\d|OpenSSH_|Transferred|Bytes per second|Authenticated to)/.test(line))
    .join('\n')
    .trim()
}

function explain(target: Target, stderr: string): SessionError {
  const words = lastWords(stderr)
  const { name, address } = target
  if (/Host key verification failed|REMOTE HOST IDENTIFICATION|No .* host key is known|REVOKED/i.test(words)) {
    return new SessionError('host_key', name, `ssh does not trust the key of ${address}: ${words}`, {
      hint: 'a new host: --accept-new-host-keys; a changed key always refuses',
    })
  }
  if (/Permission denied|Too many authentication failures/i.test(words)) {
    return new SessionError('auth', name, `${address} does not let us in: ${words}`, {
      hint: 'connection "openssh" asks no questions: use a key, an agent, or connection "ssh2" for a password',
    })
  }
  return new SessionError(
    'unreachable',
    name,
    words ? `cannot connect to ${address}: ${words}` : `ssh cannot connect to ${address}`,
  )
}
