/** Options of `apply` that look at a run beforehand or steer its way. */
import { type Command, InvalidArgumentError, Option } from 'commander'

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
    .option('--facts-max-age <seconds>', 'keep gathered facts, and use those that are younger than this', seconds)
    .addOption(new Option('--step', 'ask before each task').default(false).conflicts('resume'))
    .addOption(
      new Option(
        '--start-at-task <name>',
        'leave out the tasks before the one of this name, or pattern of a name',
      ).conflicts('resume'),
    )
}

function seconds(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('a number of seconds, such as 3600')
  return Number(text)
}
