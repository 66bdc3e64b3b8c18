/** `runbook node`: its commands, their options and their help. */
import { type Command, InvalidArgumentError } from 'commander'
import type { DrainFlags, NodeFlags } from './commands/drain.ts'
import { addLocks } from './lock-options.ts'
import type { AddCommand } from './program.ts'

export function addNode(parent: Command, command: AddCommand, done: (exitCode: number) => void): void {
  nodeOptions(command(parent, 'cordon', 'Keep new pods off nodes', CORDON_EXAMPLES))
    .option('--reason <text>', 'kept in the node’s annotation')
    .action(async (names: string[], flags: NodeFlags) => {
      const { cordon } = await import('./commands/drain.ts')
      done(await cordon(names, flags))
    })
  nodeOptions(command(parent, 'drain', 'Cordon nodes and evict their pods, one node after another', DRAIN_EXAMPLES))
    .option('--reason <text>', 'kept in the node’s annotation')
    .option('--timeout <time>', 'for all of it, waiting for budgets included: 90s, 15m, 1h (default: 15m)', time)
    .option('--grace-period <seconds>', 'for pods to end in; default: each pod’s own', whole)
    .option('--pod-selector <labels>', 'other pods stay')
    .option('--delete-emptydir-data', 'pods with emptyDir volumes too; what is in them is lost', false)
    .option('--ignore-daemonsets', 'leave pods of DaemonSets', false)
    .option('--force', 'pods without a controller too; and the last node that can take pods', false)
    .option('--disable-eviction', 'delete instead of evict: no PodDisruptionBudget is asked', false)
    .option(
      '--skip-wait-for-delete-timeout <seconds>',
      'do not wait for pods that should have ended so long ago; 0 waits for all',
      whole,
    )
    .action(async (names: string[], flags: DrainFlags) => {
      const { drain } = await import('./commands/drain.ts')
      done(await drain(names, flags))
    })
  nodeOptions(
    command(
      parent,
      'uncordon',
      'Let pods onto nodes again that runbook cordoned, if they took pods before',
      UNCORDON_EXAMPLES,
    ),
  ).action(async (names: string[], flags: NodeFlags) => {
    const { uncordon } = await import('./commands/drain.ts')
    done(await uncordon(names, flags))
  })
  addLocks(parent, command, done)
}

function nodeOptions(command: Command): Command {
  return command
    .argument('<node...>', 'names of nodes in the cluster')
    .option('--kubeconfig <file>', 'default: $KUBECONFIG, else ~/.kube/config')
    .option('--dry-run', 'ask the server, and touch nothing', false)
    .option('--json', 'an event a line, as JSON', false)
    .option(
      '--folder <folder>',
      'where maintenance.yml stands, with the budgets; default: here or beside the inventory',
    )
    .option('-i, --inventory <path>', 'for budgets of its groups', (one: string, all: string[]) => [...all, one], [])
    .option('--no-guards', 'ask neither locks nor budgets')
}

const UNITS: Readonly<Record<string, number>> = { '': 1000, s: 1000, m: 60_000, h: 3_600_000 }

/** Milliseconds. */
/** `90s`, `15m`, `1h` in milliseconds. */
export function time(text: string): number {
  const [, count, unit] = /^(\d{1,6})([smh]?)$/.exec(text) ?? []
  if (count === undefined || Number(count) === 0)
    throw new InvalidArgumentError('It must be a time such as 90s, 15m, 1h.')
  return Number(count) * UNITS[unit!]!
}

function whole(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('It must be a whole number of seconds.')
  return Number(text)
}

export const NODE_EXAMPLES = `  runbook node drain k8s-3 --ignore-daemonsets --dry-run
  runbook node drain k8s-3 --ignore-daemonsets --reason 'new disk'
  runbook node uncordon k8s-3`
const CORDON_EXAMPLES = "  runbook node cordon k8s-3 --reason 'new disk'"
const DRAIN_EXAMPLES = `  runbook node drain k8s-3 --ignore-daemonsets --dry-run      what would go, and what stands in the way
  runbook node drain k8s-3 k8s-4 --ignore-daemonsets --delete-emptydir-data --timeout 30m

Budgets and locks are asked first (max_unavailable of maintenance.yml, else 1 node at a time), see docs/guards.md.
Exit codes: 0 drained, 2 cordoned but not drained, 3 nothing was touched: the words say why.`
const UNCORDON_EXAMPLES = '  runbook node uncordon k8s-3'
