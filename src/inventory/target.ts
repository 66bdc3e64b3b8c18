/** How a host is reached, from its `ansible_…` variables. */

import type { Target } from '../session/session.ts'
import { didYouMean, UserError } from '../shared/errors.ts'
import type { Scope } from '../values/index.ts'
import { explain } from './explain.ts'
import type { Host } from './inventory.ts'
import { parseSshArguments } from './ssh-arguments.ts'

/** Ansible's connection plugins that mean ssh to us, and our own names. */
const CONNECTIONS: Readonly<Record<string, Target['connection']>> = {
  ssh: 'ssh2',
  smart: 'ssh2',
  paramiko: 'ssh2',
  paramiko_ssh: 'ssh2',
  ssh2: 'ssh2',
  'ansible.builtin.ssh': 'ssh2',
  openssh: 'openssh',
  local: 'local',
  'ansible.builtin.local': 'local',
}

/** Ansible's variables with arguments for the ssh program. */
const SSH_ARGUMENTS = ['ansible_ssh_args', 'ansible_ssh_common_args', 'ansible_ssh_extra_args']

/**
 * The target of a host. `scope` renders its variables. Throws UserError, with the place of the variable, for what
 * cannot be understood or is not supported.
 */
export function targetOf(host: Host, scope: Scope): Target {
  const problem = (name: string, message: string, hint?: string): UserError => {
    const place = explain(host.layers, name)[0]?.place
    return new UserError({ message: `host ${host.name}: ${message}`, place, hint })
  }
  /** The first of some names that is set. */
  const find = (...names: string[]) => {
    for (const name of names) {
      const value = scope.get(name)
      if (value !== undefined && value !== null && value !== '') return { name, value }
    }
    return undefined
  }
  const text = (...names: string[]): string | undefined => {
    const found = find(...names)
    if (!found) return undefined
    if (typeof found.value === 'object') throw problem(found.name, `${found.name} must be a text`)
    return String(found.value)
  }
  const number = (most: number, ...names: string[]): number | undefined => {
    const found = find(...names)
    if (!found) return undefined
    const value = Number(found.value)
    if (!(value > 0 && value <= most)) throw problem(found.name, `${found.name} must be a number from 1 to ${most}`)
    return value
  }

  const sshOptions = SSH_ARGUMENTS.flatMap((name) => {
    const args = text(name)
    const parsed = args === undefined ? [] : parseSshArguments(args)
    if (typeof parsed === 'string')
      throw problem(name, `${name}: ${parsed}`, 'other options can stand in ~/.ssh/config')
    return parsed
  })
  const wanted = text('ansible_connection') ?? 'ssh'
  const connection = Object.hasOwn(CONNECTIONS, wanted) ? CONNECTIONS[wanted] : undefined
  if (!connection) {
    const hint = didYouMean(wanted, Object.keys(CONNECTIONS)) ?? 'known: ssh, openssh, local'
    throw problem('ansible_connection', `the connection "${wanted}" is not supported`, hint)
  }
  const shell = text('ansible_shell_type')
  if (shell !== undefined && shell !== 'sh')
    throw problem('ansible_shell_type', `the shell type "${shell}" is not supported`, 'runbook needs a POSIX sh')
  const timeout = number(3600, 'ansible_timeout', 'ansible_ssh_timeout')
  const port = number(65535, 'ansible_port', 'ansible_ssh_port')
  if (port !== undefined && !Number.isInteger(port))
    throw problem('ansible_port', 'ansible_port must be a whole number')
  return {
    name: host.name,
    connection,
    address: text('ansible_host', 'ansible_ssh_host') ?? host.name,
    port,
    user: text('ansible_user', 'ansible_ssh_user'),
    password: text('ansible_password', 'ansible_ssh_password', 'ansible_ssh_pass'),
    privateKeyFile: text('ansible_private_key_file', 'ansible_ssh_private_key_file'),
    privateKeyPassphrase: text('ansible_private_key_passphrase', 'ansible_ssh_private_key_passphrase'),
    connectTimeoutMs: timeout === undefined ? undefined : timeout * 1000,
    sshOptions: sshOptions.length > 0 ? sshOptions : undefined,
  }
}
