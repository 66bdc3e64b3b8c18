import { userInfo } from 'node:os'
import { SessionError, type Target } from './session.ts'
import { expandHome } from './ssh-config.ts'

const CONNECT_MS = 10_000
const KEEPALIVE_MS = 15_000

export const connectTimeout = ({ connectTimeoutMs = CONNECT_MS }: Target): number => connectTimeoutMs

/** What every connection to a target is opened with, whoever keeps it. */
export function sshOptions(target: Target): string[] {
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
    // What the configuration adds to a session for people is not wanted here.
    ...option('ClearAllForwardings', 'yes'),
    ...option('RemoteCommand', 'none'),
    ...option('ConnectTimeout', Math.ceil(connectTimeout(target) / 1000)),
    ...option('ServerAliveInterval', keepalive),
    ...option('ServerAliveCountMax', 3),
  ]
}

/** Who ssh logs in as, when nothing else says so. */
export const localUser = (): string => userInfo().username

/** What ssh itself said, without its own tracing. */
export function lastWords(stderr: string): string {
  return stderr
    .split(/\r?\n/)
    .filter((line) => line && !/^(debug\d|OpenSSH_|Transferred|Bytes per second|Authenticated to)/.test(line))
    .join('\n')
    .trim()
}

/** Why ssh made no connection. */
export function explain(target: Target, stderr: string): SessionError {
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

export function tooLate(target: Target): SessionError {
  const words = `ssh made no connection to ${target.address} within ${connectTimeout(target) / 1000} s`
  return new SessionError('unreachable', target.name, words)
}

/** ssh has a connection and does not let us use it; `said` is its reason, if it gave one. */
export function noProxy(target: Target, said: Error | undefined): SessionError {
  const words = `ssh does not share its connection to ${target.address}: ${said?.message ?? 'its control socket does not answer'}`
  return new SessionError('unreachable', target.name, words, {
    hint: 'OpenSSH 7.4 or newer is needed here ("ssh -V"), or connection "ssh2"',
  })
}
