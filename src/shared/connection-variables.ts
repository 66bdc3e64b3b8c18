/**
 * Variables that say how a host is reached and whom to become there (targetOf, becomeOf). They are the host's: those of the
 * inventory, of a play and of `-e` count; those of a task would come too late, for a connection serves many tasks.
 */
export const CONNECTION_VARIABLES: ReadonlySet<string> = new Set([
  'ansible_connection',
  'ansible_host',
  'ansible_ssh_host',
  'ansible_port',
  'ansible_ssh_port',
  'ansible_user',
  'ansible_ssh_user',
  'ansible_password',
  'ansible_ssh_password',
  'ansible_ssh_pass',
  'ansible_private_key_file',
  'ansible_ssh_private_key_file',
  'ansible_private_key_passphrase',
  'ansible_ssh_private_key_passphrase',
  'ansible_timeout',
  'ansible_ssh_timeout',
  'ansible_ssh_args',
  'ansible_ssh_common_args',
  'ansible_ssh_extra_args',
  'ansible_become',
  'ansible_become_user',
  'ansible_become_method',
  'ansible_become_password',
  'ansible_become_pass',
])
