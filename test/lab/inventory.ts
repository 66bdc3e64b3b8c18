import { stringify } from 'yaml'
import type { Lab } from './index.ts'

/** Inventory in Ansible's shape, so that runbook and Ansible run on the same hosts with the same file. */
export function inventoryText(lab: Pick<Lab, 'hosts' | 'privateKeyFile' | 'knownHostsFile'>): string {
  const pinned = `-o UserKnownHostsFile=${lab.knownHostsFile} -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes`
  return stringify(
    {
      lab: {
        hosts: Object.fromEntries(lab.hosts.map((host) => [host.name, { ansible_host: host.address }])),
        vars: {
          ansible_user: 'root',
          ansible_ssh_private_key_file: lab.privateKeyFile,
          ansible_ssh_common_args: pinned,
        },
      },
      // The groups of the shipped playbooks: no cluster here.
      control_plane: {},
      workers: {},
    },
    { lineWidth: 0 },
  )
}

/** Configuration for the system's ssh: `ssh -F FILE n1`. */
export function sshConfigText(lab: Pick<Lab, 'hosts' | 'privateKeyFile' | 'knownHostsFile'>): string {
  const hosts = lab.hosts.map((host) => `Host ${host.name}\n  HostName ${host.address}\n`)
  const common = [
    'Host *',
    '  User root',
    `  IdentityFile ${lab.privateKeyFile}`,
    '  IdentitiesOnly yes',
    `  UserKnownHostsFile ${lab.knownHostsFile}`,
    '  GlobalKnownHostsFile /dev/null',
    '  StrictHostKeyChecking yes',
    '  LogLevel ERROR',
  ]
  return `${hosts.join('')}${common.join('\n')}\n`
}
