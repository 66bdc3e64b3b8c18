import { connect as netConnect, type Socket } from 'node:net'
import { userInfo } from 'node:os'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { UserError } from '../shared/errors.ts'
import { makeConnection } from './connection.ts'
import { hostKeysFor } from './host-key.ts'
import { KnownHosts } from './known-hosts.ts'
import { openLocal } from './local.ts'
import { openOpenssh } from './openssh.ts'
import { type Connect, type ConnectOptions, SessionError, type Target } from './session.ts'
import { expandHome, type HostConfig, lookupHost } from './ssh-config.ts'
import type { Hop, Ssh2Client } from './ssh2.ts'

const CONNECT_MS = 10_000
const KEEPALIVE_MS = 15_000
/** More hops than anybody has are a configuration that goes round in circles. */
const MAX_HOPS = 16

/** Connects to a host by the transport that its inventory asks for. */
export const connect: Connect = async (target, options = {}) => {
  options.signal?.throwIfAborted()
  switch (target.connection) {
    case 'local':
      return makeConnection(openLocal(target.name), options)
    case 'openssh':
      return makeConnection(await openOpenssh(target, options), options)
    case 'ssh2': {
      const hops = planHops(target, options)
      const client = await connectThrough(hops, options.signal)
      const { ssh2Transport } = await ssh2()
      return makeConnection(ssh2Transport(hops.at(-1)!, client), options)
    }
  }
}

/** 30 ms of start-up time, which other connections need not pay. */
const ssh2 = () => import('./ssh2.ts')

/** Connects hop by hop; each hop but the last is shared by all hosts behind it. */
async function connectThrough(hops: readonly Hop[], signal?: AbortSignal): Promise<Ssh2Client> {
  if (hops.length === 1) {
    const sock = dial(hops[0]!)
    // Node connects in a turn of its own, and loading is one long one.
    await nextTurn()
    const { connectHop } = await ssh2()
    return connectHop(hops[0]!, sock, signal)
  }
  const { connectHop, forward } = await ssh2()
  const [before, hop] = [hops.slice(0, -1), hops.at(-1)!]
  const jump = await shareJump(before).catch((error) => {
    // The attempt may have been another host's; the trouble is ours too.
    if (!(error instanceof SessionError) || error.host === hop.name) throw error
    throw new SessionError(error.kind, hop.name, error.message, {
      cause: error,
      ...(error.hint && { hint: error.hint }),
    })
  })
  try {
    const client = await connectHop(hop, await forward(before.at(-1)!, jump.client, hop, signal), signal)
    client.closed.then(jump.release)
    return client
  } catch (error) {
    jump.release()
    throw error
  }
}

/** The host starts a process for us while we load what talks to it. Why there is no connection stands in `errored`. */
function dial({ address, port }: Hop): Socket {
  return netConnect({ host: address, port, noDelay: true }).on('error', () => {})
}

interface Jump {
  readonly client: Promise<Ssh2Client>
  users: number
}

const jumps = new Map<string, Jump>()

/** A jump host's connection, opened by the first that needs it and closed after the last. */
async function shareJump(hops: readonly Hop[]): Promise<{ client: Ssh2Client; release: () => void }> {
  // Everything that decides whom we reach and whom we trust: a connection is never shared by a laxer check.
  const key = JSON.stringify(
    hops.map(({ address, port, login, hostKeys }) => {
      const { known, name, policy } = hostKeys
      return [address, port, login.user, login.identityFiles, login.agent, name, policy, known.files]
    }),
  )
  let jump = jumps.get(key)
  if (!jump) {
    jump = { client: connectThrough(hops), users: 0 }
    jumps.set(key, jump)
    const forget = () => {
      if (jumps.get(key) === jump) jumps.delete(key)
    }
    jump.client.then((client) => client.closed.then(forget), forget)
  }
  const mine = jump
  mine.users++
  let released = false
  const release = () => {
    if (released) return
    released = true
    if (--mine.users > 0) return
    if (jumps.get(key) === mine) jumps.delete(key)
    mine.client.then((client) => client.close()).catch(() => {})
  }
  try {
    return { client: await mine.client, release }
  } catch (error) {
    release()
    throw error
  }
}

/** From the first jump host to the target itself. */
export function planHops(target: Target, options: ConnectOptions): Hop[] {
  const config = lookupHost(target.address, target.sshConfigFile, target.user, target.sshOptions)
  const hop = makeHop(target, options, config, target.address)
  return [...planJumps(target, options, config.proxyJump, [target.name]), hop]
}

/** As ssh does it: the last jump host is reached through those before it, or through what its own configuration says. */
function planJumps(target: Target, options: ConnectOptions, jumps: readonly string[], seen: readonly string[]): Hop[] {
  if (jumps.length === 0) return []
  if (seen.length > MAX_HOPS)
    throw new UserError(`ProxyJump of ${seen[0]} goes round in circles: ${seen.slice(1, 5).join(' -> ')} …`)
  const last = jumps.at(-1)!
  const { host, user, port } = parseJump(last)
  const config = lookupHost(host, target.sshConfigFile, user)
  const before = jumps.length > 1 ? jumps.slice(0, -1) : config.proxyJump
  const { name, connection, sshConfigFile, knownHostsFile, hostKeys, connectTimeoutMs, keepaliveMs } = target
  // A jump host logs in by its own configuration: the target's user, key and password are not its business.
  const jumpTarget = {
    name,
    connection,
    address: host,
    user,
    port,
    sshConfigFile,
    knownHostsFile,
    hostKeys,
    connectTimeoutMs,
    keepaliveMs,
  }
  return [...planJumps(target, options, before, [...seen, host]), makeHop(jumpTarget, options, config, host)]
}

/** `[user@]host[:port]` or `ssh://[user@]host[:port]`. */
export function parseJump(text: string): { host: string; user: string | undefined; port: number | undefined } {
  const rest = text.trim().replace(/^ssh:\/\//, '')
  const match = /^(?:(.*)@)?(?:\[([^\]]+)\]|([^:@]+|[0-9a-fA-F:]+:[0-9a-fA-F:]*))(?::(\d+))?$/.exec(rest)
  if (!match) throw new UserError(`ProxyJump "${text}" is not [user@]host[:port]`)
  return { host: (match[2] ?? match[3])!, user: match[1], port: match[4] === undefined ? undefined : Number(match[4]) }
}

function makeHop(target: Target, options: ConnectOptions, config: HostConfig, written: string): Hop {
  if (config.proxyCommand && config.proxyJump.length === 0) {
    throw new SessionError('unreachable', target.name, `ssh_config sets ProxyCommand for ${written}`, {
      hint: 'use ProxyJump, or connection "openssh" for this host',
    })
  }
  const port = target.port ?? config.port ?? 22
  const strict = config.strictHostKeyChecking
  const policy = target.hostKeys ?? (strict === 'accept-new' ? 'accept-new' : 'check')
  const files = target.knownHostsFile ? [expandHome(target.knownHostsFile)] : config.userKnownHostsFiles
  return {
    name: target.name,
    address: config.hostName,
    port,
    login: {
      user: target.user ?? config.user ?? userInfo().username,
      host: written,
      password: target.password,
      privateKeyFile: target.privateKeyFile,
      passphrase: target.privateKeyPassphrase,
      identityFiles: config.identityFiles,
      identitiesOnly: config.identitiesOnly,
      agent: (config.identityAgent ?? process.env.SSH_AUTH_SOCK) || undefined,
      prompt: options.prompt,
      addSecret: options.addSecret,
    },
    // ssh looks a host up under the name that it connects to (HostName), or under its alias.
    hostKeys: hostKeysFor(
      knownHosts(files, config.globalKnownHostsFiles),
      config.hostName,
      port,
      config.hostKeyAlias,
      policy,
      config.hashKnownHosts,
    ),
    timeoutMs: target.connectTimeoutMs ?? config.connectTimeoutMs ?? CONNECT_MS,
    keepaliveMs: target.keepaliveMs ?? KEEPALIVE_MS,
  }
}

const knownHostsCache = new Map<string, KnownHosts>()

function knownHosts(user: readonly string[], global: readonly string[]): KnownHosts {
  const files = [...user, ...global]
  const key = files.join('\n')
  let known = knownHostsCache.get(key)
  if (!known) {
    known = new KnownHosts(files)
    knownHostsCache.set(key, known)
  }
  return known
}
