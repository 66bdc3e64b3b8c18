import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { homedir, hostname, userInfo } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import SSHConfig, { type Line } from 'ssh-config'
import { UserError } from '../shared/errors.ts'
import { included } from './included.ts'
import { matchPatterns } from './patterns.ts'
import type { Target } from './session.ts'

/** What ssh_config(5) says about one host, as far as it concerns us; the rest is left to the openssh transport. */
export interface HostConfig {
  readonly hostName: string
  readonly user: string | undefined
  readonly port: number | undefined
  readonly identityFiles: readonly string[]
  readonly identitiesOnly: boolean
  /** Socket; `undefined` is SSH_AUTH_SOCK, '' is no agent. */
  readonly identityAgent: string | undefined
  /** `[user@]host[:port]` words, the first one first to be connected to. */
  readonly proxyJump: readonly string[]
  readonly proxyCommand: string | undefined
  readonly hostKeyAlias: string | undefined
  readonly userKnownHostsFiles: readonly string[]
  readonly globalKnownHostsFiles: readonly string[]
  /** `yes`, `no`, `off`, `ask`, `accept-new`. */
  readonly strictHostKeyChecking: string | undefined
  readonly hashKnownHosts: boolean
  readonly connectTimeoutMs: number | undefined
}

const HOME = homedir()
const SYSTEM = '/etc/ssh/ssh_config'
const DEFAULT_USER_FILES = ['~/.ssh/known_hosts', '~/.ssh/known_hosts2']
const DEFAULT_GLOBAL_FILES = ['/etc/ssh/ssh_known_hosts', '/etc/ssh/ssh_known_hosts2']

/** Keywords that add up; of all others the first value wins (ssh_config(5), DESCRIPTION). */
const CUMULATIVE = new Set(['identityfile', 'certificatefile'])

/** Looks `name` up like `ssh NAME` does: in `file` alone, or in ~/.ssh/config and then the system's; `none`: nowhere. */
export function lookupHost(name: string, file?: string, user?: string, options: Target['sshOptions'] = []): HostConfig {
  const files = file === 'none' ? [] : file ? [expandHome(file)] : [join(HOME, '.ssh/config'), SYSTEM]
  const found = new Found(name, user, options)
  for (const path of files) found.read(path, path === file || (file !== undefined && path === expandHome(file)))
  if (found.wantsFinal) {
    found.final = true
    for (const path of files) found.read(path, false)
  }
  return found.result()
}

/** `~` and `~/…` of the local user. */
export function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(HOME, path.slice(1)) : path
}

class Found {
  readonly #name: string
  readonly #values = new Map<string, string[][]>()
  wantsFinal = false
  final = false

  constructor(name: string, user: string | undefined, options: NonNullable<Target['sshOptions']>) {
    this.#name = name
    if (user !== undefined) this.#values.set('user', [[user]])
    for (const [key, value] of options) if (!this.#values.has(key)) this.#values.set(key, [wordsOf(value)])
  }

  read(path: string, mustExist: boolean, depth = 0): void {
    // The depth is that of OpenSSH (readconf.c, READCONF_MAX_DEPTH).
    if (depth > 16) throw new UserError(`${path}: Include is nested more than 16 deep`)
    for (const line of load(path, mustExist)) this.#line(line, path, depth)
  }

  #line(line: Line, path: string, depth: number): void {
    if (!('param' in line)) return
    const key = line.param.toLowerCase()
    const words = wordsOf(line.value)
    if (key === 'host' || key === 'match') {
      const applies = key === 'host' ? matchPatterns(words, this.#name) : this.#match(line, path)
      if (applies && 'config' in line) for (const inner of line.config) this.#line(inner, path, depth)
    } else if (key === 'include') {
      const folder = path === SYSTEM || path.startsWith('/etc/ssh/') ? '/etc/ssh' : join(HOME, '.ssh')
      for (const word of words) {
        const pattern = expandHome(word)
        for (const file of included(isAbsolute(pattern) ? pattern : join(folder, pattern)))
          this.read(file, false, depth + 1)
      }
    } else if (words.length > 0) {
      const earlier = this.#values.get(key)
      if (!earlier) this.#values.set(key, [words])
      else if (CUMULATIVE.has(key)) earlier.push(words)
    }
  }

  #match(line: Line, path: string): boolean {
    const criteria = 'criteria' in line ? line.criteria : {}
    let all = true
    for (const [criterion, value] of Object.entries(criteria)) {
      const negated = criterion.startsWith('!')
      const kind = criterion.slice(negated ? 1 : 0).toLowerCase()
      const words = wordsOf(value)
      // A criterion after one that failed is not evaluated: `exec` may have effects.
      if (all && this.#criterion(kind, words, path) === negated) all = false
      if (kind === 'final') this.wantsFinal = true
    }
    return all
  }

  #criterion(kind: string, words: readonly string[], path: string): boolean {
    const patterns = words.flatMap((word) => word.split(','))
    switch (kind) {
      case 'all':
        return true
      case 'final':
        return this.final
      case 'canonical':
        return false
      case 'host':
        return matchPatterns(patterns, this.#hostName())
      case 'originalhost':
        return matchPatterns(patterns, this.#name)
      case 'user':
        return matchPatterns(patterns, this.#one('user') ?? localUser())
      case 'localuser':
        return matchPatterns(patterns, localUser())
      case 'exec': {
        const run = spawnSync('/bin/sh', ['-c', this.#expand(words.join(' '))], { stdio: 'ignore' })
        return run.status === 0
      }
      default:
        throw new UserError({
          message: `${path}: "Match ${kind}" is not supported`,
          hint: 'use connection "openssh" for this host, or another sshConfigFile',
        })
    }
  }

  #one(key: string): string | undefined {
    return this.#values.get(key)?.[0]?.[0]
  }

  #hostName(): string {
    return (this.#one('hostname') ?? this.#name).replaceAll('%h', this.#name).replaceAll('%%', '%').toLowerCase()
  }

  /** Tokens of ssh_config(5), TOKENS, as far as they are known before connecting. */
  #expand(text: string): string {
    const tokens: Record<string, () => string> = {
      '%': () => '%',
      d: () => HOME,
      h: () => this.#hostName(),
      i: () => String(userInfo().uid),
      k: () => this.#one('hostkeyalias') ?? this.#name,
      L: () => hostname().split('.')[0]!,
      l: () => hostname(),
      n: () => this.#name,
      p: () => this.#one('port') ?? '22',
      r: () => this.#one('user') ?? localUser(),
      u: () => localUser(),
    }
    return text.replace(/%(.)/g, (whole, letter: string) => tokens[letter]?.() ?? whole)
  }

  #path(text: string): string {
    return expandHome(this.#expand(text).replace(/\$\{(\w+)\}/g, (_, name: string) => process.env[name] ?? ''))
  }

  result(): HostConfig {
    const yes = (key: string) => /^(yes|true)$/i.test(this.#one(key) ?? '')
    const none = (value: string | undefined) =>
      value === undefined || value.toLowerCase() === 'none' ? undefined : value
    const files = (key: string, fallback: readonly string[]) =>
      (this.#values.get(key)?.[0] ?? fallback).filter((file) => file !== 'none').map((file) => this.#path(file))
    const agent = this.#one('identityagent')
    const timeout = Number(this.#one('connecttimeout'))
    const port = Number(this.#one('port'))
    return {
      hostName: this.#hostName(),
      user: this.#one('user'),
      port: port > 0 ? port : undefined,
      identityFiles: (this.#values.get('identityfile') ?? [])
        .map(([file]) => this.#path(file!))
        .filter((file) => file !== 'none'),
      identitiesOnly: yes('identitiesonly'),
      identityAgent:
        agent === undefined || agent === 'SSH_AUTH_SOCK' ? undefined : agent === 'none' ? '' : this.#agent(agent),
      proxyJump: none(this.#one('proxyjump'))?.split(',') ?? [],
      proxyCommand: none(this.#values.get('proxycommand')?.[0]?.join(' ')),
      hostKeyAlias: this.#one('hostkeyalias'),
      userKnownHostsFiles: files('userknownhostsfile', DEFAULT_USER_FILES),
      globalKnownHostsFiles: files('globalknownhostsfile', DEFAULT_GLOBAL_FILES),
      strictHostKeyChecking: this.#one('stricthostkeychecking')?.toLowerCase(),
      hashKnownHosts: yes('hashknownhosts'),
      connectTimeoutMs: timeout > 0 ? timeout * 1000 : undefined,
    }
  }

  #agent(value: string): string {
    return value.startsWith('$') && !value.startsWith('${') ? (process.env[value.slice(1)] ?? '') : this.#path(value)
  }
}

function localUser(): string {
  return userInfo().username
}

function wordsOf(value: string | readonly { val: string }[]): string[] {
  const words = typeof value === 'string' ? [value] : value.map(({ val }) => val)
  // The parser leaves a comment at the end of a line to us.
  const comment = words.findIndex((word) => word.startsWith('#'))
  return comment === -1 ? words : words.slice(0, comment)
}

/** Parsed once a process. */
const parsed = new Map<string, SSHConfig>()

function load(path: string, mustExist: boolean): SSHConfig {
  const known = parsed.get(path)
  if (known) return known
  let text = ''
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (mustExist)
      throw new UserError({ message: `cannot read the ssh configuration ${path}: ${(error as Error).message}` })
  }
  try {
    const config = SSHConfig.parse(text)
    parsed.set(path, config)
    return config
  } catch (error) {
    throw new UserError({ message: `${join(dirname(path), path.split('/').pop()!)}: ${(error as Error).message}` })
  }
}
