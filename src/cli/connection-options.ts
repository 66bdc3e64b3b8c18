import type { Command } from 'commander'
import { time } from './node-options.ts'

/** Options of commands that work on hosts: how to get in, and what to do where somebody else is at work. */
export function addConnection(command: Command): void {
  command
    .option('-u, --user <name>', 'log in as, where the inventory does not say')
    .option('--private-key <file>', 'key to log in with, where the inventory does not say')
    .option('-K, --ask-become-pass', 'ask once for the password of sudo, doas or su', false)
    .option(
      '--wait-lock <time>',
      'how long to wait for another run on a host: 90s, 15m, 1h (default: not at all)',
      time,
    )
    .option(
      '--accept-new-host-keys',
      'record keys of hosts that are not known yet; a changed key is always refused',
      false,
    )
}
