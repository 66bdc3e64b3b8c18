/** `runbook node maintain|shutdown|reboot|poweron|status`: their options and their help. */

import { type Command, InvalidArgumentError, Option } from 'commander'
import type { CycleVerb } from '../maintenance/cycle/types.ts'
import type { CycleFlags } from './commands/cycle.ts'
import { addConnection } from './connection-options.ts'
import type { AddCommand } from './program.ts'

type Decorate = (command: Command) => Command

/** `input` and `more` are those of the whole program. */
export function addCycle(
  parent: Command,
  command: AddCommand,
  done: (exitCode: number) => void,
  input: Decorate,
  more: (value: string, before: number) => number,
): void {
  const verb = (name: CycleVerb, summary: string): Command => {
    const one = input(command(parent, name, summary, EXAMPLES[name]))
      .argument('<node...>', 'hosts or patterns, begun in this order')
      .option('--reason <text>', 'kept with the cordon, and told to users who are logged in')
      .option('--kubeconfig <file>', 'default: the administrator’s, of a host of the group control_plane')
      .option('--json', 'an event a line, as JSON', false)
      .option('-v, --verbose', 'unchanged tasks and all changes; -vv, -vvv: more', more as never, 0)
      .option(
        '--folder <folder>',
        'where .runbook/ stands; default: with maintenance.yml, here or beside the inventory',
      )
      .action(async (patterns: string[], flags: CycleFlags) => {
        const { cycle } = await import('./commands/cycle.ts')
        done(await cycle(name, patterns, flags))
      })
    addConnection(one)
    one.option(
      '-f, --forks <n>',
      'nodes at the same time, of those that max_unavailable in maintenance.yml allows; without one it is 1',
      places,
      10,
    )
    if (name === 'poweron') return one.option('--dry-run', 'say what would be done, and touch nothing', false)
    one
      .option('--dry-run', 'show every step for these nodes, and touch nothing', false)
      .option('-y, --yes', 'do not ask', false)
      .option('--no-drain', 'leave the pods to the stop: they are not moved to other nodes first')
      .addOption(new Option('--on-timeout <what>', 'when a step leaves something behind').choices(['stop', 'continue']))
      .option('--ignore-inhibitors', 'go on although somebody holds a shutdown lock')
      .option('--anew', 'forget what an earlier run that died has done')
    if (name === 'reboot') return one
    one.option('--force-off', 'cut the power when neither the system nor the controller shut it down')
    one.option('--by-hand', 'a person turns it on again')
    return name === 'maintain'
      ? one.option(
          '--playbook <file>',
          'your own, with the role node_cycle in it; default: the shipped maintenance.yml',
        )
      : one
  }
  verb('maintain', 'Take nodes down and up again: drain, stop, shut down, power on, check, uncordon')
  verb('shutdown', 'Drain, stop, power off, and prove that it is off')
  verb('reboot', 'Drain, stop, reboot, check, uncordon')
  verb('poweron', 'Power on, check, uncordon')

  input(
    command(
      parent,
      'status',
      'How nodes stand: power, boot, services, cluster, and how far a cycle is',
      STATUS_EXAMPLES,
    ),
  )
    .argument('<node...>', 'hosts or patterns')
    .option('--kubeconfig <file>', 'default: the administrator’s, of a host of the group control_plane')
    .option('--json', 'as JSON', false)
    .option('-u, --user <name>', 'log in as, where the inventory does not say')
    .option('--private-key <file>', 'key to log in with, where the inventory does not say')
    .option('-K, --ask-become-pass', 'ask once for the password of sudo, doas or su', false)
    .option('--folder <folder>', 'where .runbook/ stands; default: with maintenance.yml, here or beside the inventory')
    .action(async (patterns: string[], flags: CycleFlags) => {
      const { status } = await import('./commands/node-status.ts')
      done(await status(patterns, flags))
    })
}

function places(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('It must be a number of nodes.')
  return Number(text)
}

const EXIT_CODES = `
Killed at any point, the same command goes on from the world as it is. Exit codes: 0 done, 2 a node did not come to its
end, 3 nothing was touched, 4 a node was unreachable, 130 interrupted; the last lines say how each node stands.`

const EXAMPLES: Readonly<Record<CycleVerb, string>> = {
  maintain: `  runbook node maintain k8s-worker-1 --dry-run
  runbook node maintain k8s-worker-1 k8s-worker-2 --reason 'new disks'
  runbook node maintain workers --playbook playbooks/reboot-if-required.yml
${EXIT_CODES}`,
  shutdown: `  runbook node shutdown k8s-3 --dry-run          every step, with what it would stop
  runbook node shutdown k8s-3 --reason 'new disk'
${EXIT_CODES}`,
  reboot: `  runbook node reboot k8s-3 --reason 'new kernel'
${EXIT_CODES}`,
  poweron: `  runbook node poweron k8s-3
${EXIT_CODES}`,
}
const STATUS_EXAMPLES = `  runbook node status all
  runbook node status k8s-3 --json`
