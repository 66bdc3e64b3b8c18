/** `runbook node locks` and `runbook node break`: their options and their help. */
import type { Command } from 'commander'
import type { BreakFlags, LocksFlags } from './commands/locks.ts'
import type { AddCommand } from './program.ts'

export function addLocks(parent: Command, command: AddCommand, done: (exitCode: number) => void): void {
  options(command(parent, 'locks', 'Who works on which node, and what earlier runs left', LOCKS_EXAMPLES))
    .option('--json', 'as JSON', false)
    .action(async (flags: LocksFlags) => {
      const { locks } = await import('./commands/locks.ts')
      done(await locks(flags))
    })
  options(
    command(parent, 'break', 'Break the locks of runs that have died', BREAK_EXAMPLES).argument(
      '<node...>',
      'nodes, or all',
    ),
  )
    .requiredOption('--reason <text>', 'told to the holder, if it lives')
    .option('--force', 'also when the holder lives: it stops before its next step', false)
    .option('--json', 'a result a line, as JSON', false)
    .option('-y, --yes', 'do not ask', false)
    .action(async (names: string[], flags: BreakFlags) => {
      const { breakNodes } = await import('./commands/locks.ts')
      done(await breakNodes(names, flags))
    })
}

function options(command: Command): Command {
  return command
    .option('--kubeconfig <file>', 'default: $KUBECONFIG, else ~/.kube/config, if it is there')
    .option('--folder <folder>', 'where .runbook/ stands; default: with maintenance.yml, here or beside the inventory')
}

const LOCKS_EXAMPLES = `  runbook node locks
  runbook node locks --json | jq -r '.[] | select(.state == "silent").node'`
const BREAK_EXAMPLES = `  runbook node break k8s-3 --reason 'its runner burned down'
  runbook node break all --reason 'power cut' --yes

A holder that may live is watched first, for as long as its lease is valid.
Exit codes: 0 broken, 2 a holder lives, 3 nothing was touched.`
