/** Options of `apply` that look at a run beforehand or steer its way. */
import { type Command, Option } from 'commander'

export function addFlow(command: Command): void {
  command
    .option('--list-hosts', 'only say on which hosts; connects to none', false)
    .option('--list-tasks', 'only say which tasks', false)
    .option('--list-tags', 'only say which tags there are', false)
    .addOption(
      new Option('--retry-failed', 'only hosts that failed or were unreachable in the newest run of these playbooks')
        .default(false)
        .conflicts('resume'),
    )
    .addOption(new Option('--step', 'ask before each task').default(false).conflicts('resume'))
    .addOption(
      new Option(
        '--start-at-task <name>',
        'leave out the tasks before the one of this name, or pattern of a name',
      ).conflicts('resume'),
    )
}
