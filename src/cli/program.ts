/** The commands, their options and their help. What a command needs is imported when it runs: start-up time counts. */
import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import type { ListFlags } from './commands/list.ts'
import type { PowerFlags, PowerVerb } from './commands/power.ts'
import { addConnection } from './connection-options.ts'
import { addCycle } from './cycle-options.ts'
import { addFlow } from './flow-options.ts'
import { addImport, IMPORT_EXAMPLES } from './import-program.ts'
import { addNetboot } from './netboot-program.ts'
import { addNode, NODE_EXAMPLES } from './node-options.ts'
import type { RunFlags } from './run.ts'
import { addSchedule, SCHEDULE_EXAMPLES } from './schedule-program.ts'
import { addSecrets, SECRETS_EXAMPLES } from './secrets-program.ts'

/** Commander's options as they come; commands narrow them. */
type Flags = RunFlags & ListFlags & { folder: string; limit: string; json: boolean; verbose: 0 | 1 | 2 | 3 }

/** Builds the program; `done` is told the exit code of the command that ran. */
export function makeProgram(version: string, done: (exitCode: number) => void): Command {
  const program = new Command('runbook')
    .description(
      'Declarative playbooks over SSH for bare metal: from power-on to Kubernetes node, and through maintenance.',
    )
    .version(version, '-V, --version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [COMMAND]', 'show help of a command')
    .showSuggestionAfterError()
    .addHelpText('after', ROOT_HELP)
    .exitOverride()

  const command = (parent: Command, usage: string, summary: string, examples: string): Command =>
    parent
      .command(usage)
      .summary(summary)
      .description(`${summary}.`)
      .helpOption('-h, --help', 'show help')
      .exitOverride()
      .addHelpText('after', `\nExamples:\n${examples}`)

  runOptions(
    command(program, 'apply', 'Converge hosts to playbooks', APPLY_EXAMPLES).argument(
      '<playbook...>',
      'playbooks, run one after another',
    ),
    { check: true },
  ).action(async (playbooks: string[], flags: Flags) => {
    if (flags.listHosts || flags.listTasks || flags.listTags) {
      const { list } = await import('./commands/list.ts')
      done(await list(playbooks, flags))
      return
    }
    const { apply } = await import('./commands/apply.ts')
    done(await apply(playbooks, flags))
  })

  runOptions(
    command(program, 'plan', 'Show what apply would change, with diffs, and touch nothing', PLAN_EXAMPLES).argument(
      '<playbook...>',
      'playbooks',
    ),
    { check: false },
  ).action(async (playbooks: string[], flags: Flags) => {
    const { apply } = await import('./commands/apply.ts')
    done(await apply(playbooks, { ...flags, check: true, diff: true, resume: false }))
  })

  runOptions(
    command(program, 'run', 'Run one module on hosts', RUN_EXAMPLES)
      .argument('<pattern>', 'hosts, e.g. workers, k8s-*, all:!bastion')
      .argument('<module>', 'see runbook modules')
      .argument('[args...]', 'key=value; or words, for modules with a free form such as command')
      .passThroughOptions(false),
    { check: true },
  ).action(async (pattern: string, module: string, words: string[], flags: Flags) => {
    const { runModule } = await import('./commands/run.ts')
    done(await runModule(pattern, module, words, { ...flags, resume: false }))
  })

  const node = command(program, 'node', 'Look after nodes', `${DOCTOR_EXAMPLES}\n${NODE_EXAMPLES}`)
  addNode(node, command, done)
  addCycle(node, command, done, inputOptions, more)
  runOptions(
    command(
      node,
      'doctor',
      'Say why a node does not work: the first broken link from kernel to API',
      DOCTOR_EXAMPLES,
    ).argument('<node...>', 'hosts or patterns'),
    { check: false },
  ).action(async (nodes: string[], flags: Flags) => {
    const { doctorNodes } = await import('./commands/node.ts')
    done(await doctorNodes(nodes, { ...flags, check: false, resume: false }))
  })

  inputOptions(
    command(program, 'validate', 'Check playbooks, without any host', VALIDATE_EXAMPLES).argument(
      '<playbook...>',
      'playbooks',
    ),
  ).action(async (playbooks: string[], flags: Flags) => {
    const { validate } = await import('./commands/validate.ts')
    done(await validate(playbooks, flags))
  })

  addInventory(command(program, 'inventory', 'Look at hosts, groups and variables', INVENTORY_EXAMPLES), command, done)

  command(
    program,
    'modules',
    'List modules, or show the reference of one',
    '  runbook modules\n  runbook modules sysctl',
  )
    .argument('[name]', 'a module')
    .action(async (name: string | undefined) => {
      const { listModules, showModule } = await import('./commands/modules.ts')
      done(await (name === undefined ? listModules() : showModule(name)))
    })

  command(program, 'schema', 'Print the JSON Schema of playbooks or inventories, for editors', SCHEMA_EXAMPLES)
    .addArgument(new Argument('[kind]', 'which').choices(['playbook', 'inventory']).default('playbook'))
    .action(async (kind: 'playbook' | 'inventory') => {
      const { schema } = await import('./commands/schema.ts')
      done(await schema(kind))
    })

  command(
    program,
    'completion',
    'Print a completion script',
    '  source <(runbook completion bash)\n  runbook completion fish | source',
  )
    .addArgument(new Argument('<shell>', 'your shell').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completion } = await import('./commands/completion.ts')
      done(await completion(program, shell))
    })

  command(
    program,
    'init',
    'Write a starter folder that works',
    '  runbook init my-cluster && cd my-cluster && runbook plan site.yml',
  )
    .argument('[folder]', 'where', '.')
    .action(async (folder: string) => {
      const { init } = await import('./commands/init.ts')
      done(await init(folder))
    })

  addNetboot(
    command(program, 'netboot', 'First boot over the network: serve it, see it, repave', NETBOOT_EXAMPLES),
    command,
    done,
  )
  addSecrets(command(program, 'secrets', 'Encrypt, edit and decrypt vars files', SECRETS_EXAMPLES), command, done)
  addSchedule(command(program, 'schedule', 'Maintenance windows', SCHEDULE_EXAMPLES), command, done)
  addImport(command(program, 'import', 'Bring playbooks from elsewhere', IMPORT_EXAMPLES), command, done)
  addHistory(command(program, 'history', 'Show earlier runs', HISTORY_EXAMPLES), command, done)
  addPower(command(program, 'power', 'Turn hosts on and off through their controllers', POWER_EXAMPLES), command, done)
  return program
}

export type AddCommand = (parent: Command, usage: string, summary: string, examples: string) => Command

function addInventory(parent: Command, command: AddCommand, done: (exitCode: number) => void): void {
  const json = new Option('--json', 'as JSON').default(false)
  inputOptions(
    command(
      parent,
      'list',
      'Names of the hosts that a pattern means',
      "  runbook inventory list 'workers:!k8s-3' -i inventories/lab.yml\n  runbook inventory list --json",
    ),
  )
    .argument('[pattern]', 'hosts', 'all')
    .addOption(json)
    .action(async (pattern: string, flags: Flags) => {
      const { listHosts } = await import('./commands/inventory.ts')
      done(await listHosts(pattern, flags))
    })
  inputOptions(command(parent, 'graph', 'Groups as a tree', '  runbook inventory graph workers'))
    .argument('[group]', 'where to begin', 'all')
    .action(async (group: string, flags: Flags) => {
      const { graphGroups } = await import('./commands/inventory.ts')
      done(await graphGroups(group, flags))
    })
  inputOptions(
    command(
      parent,
      'host',
      'Variables of a host, and where each comes from',
      '  runbook inventory host k8s-1\n  runbook inventory host k8s-1 --explain mtu',
    ),
  )
    .argument('<name>', 'a host')
    .option('--explain <variable>', 'only this variable: where it comes from and what it overrode')
    .addOption(json)
    .action(async (name: string, flags: Flags) => {
      const { showHost } = await import('./commands/inventory.ts')
      done(await showHost(name, flags))
    })
}

function addHistory(parent: Command, command: AddCommand, done: (exitCode: number) => void): void {
  const folder = (): Option =>
    new Option('--folder <folder>', 'where the playbooks stand, or a folder above').default('.')
  command(parent, 'list', 'The newest runs, newest first', '  runbook history')
    .addOption(folder())
    .option('--limit <n>', 'how many', positive, 20)
    .action(async (flags: { folder: string; limit: number }) => {
      const { listRuns } = await import('./commands/history.ts')
      done(listRuns(flags.folder, flags.limit))
    })
  reportOptions(
    command(
      parent,
      'show',
      'What a run said, again',
      '  runbook history show 20261120-0315\n  runbook history show 20261120-0315 --html run.html',
    ).argument('<id>', 'the run, or the beginning of its id'),
  )
    .option('--html <file>', 'write a page instead: hosts by tasks, with durations, diffs and errors')
    .addOption(folder())
    .action(async (id: string, flags: Flags) => {
      const { showRun } = await import('./commands/history.ts')
      done(await showRun(flags.folder, id, flags))
    })
}

function addPower(parent: Command, command: AddCommand, done: (exitCode: number) => void): void {
  const verb = (name: PowerVerb, summary: string, { interrupts }: { interrupts: boolean }): Command => {
    const one = inputOptions(
      command(parent, name, summary, `  runbook power ${name} k8s-1\n  runbook power ${name} workers --json`),
    )
      .argument('<pattern...>', 'hosts')
      .option('--json', 'as JSON', false)
      .option('-f, --forks <n>', 'hosts worked on at the same time', positive, 50)
      .option('--timeout <seconds>', 'until what was asked for must be seen', positive, 300)
      .option('--folder <folder>', 'where .runbook/ stands; default: here, or beside the inventory')
      .action(async (patterns: string[], flags: PowerFlags) => {
        const { power } = await import('./commands/power.ts')
        done(await power(name, patterns, flags))
      })
    if (!interrupts) return one
    return one
      .option('--force', 'cut the power instead of asking the operating system to shut down', false)
      .option('-y, --yes', 'do not ask', false)
  }
  verb('status', 'Whether hosts are on', { interrupts: false })
  verb('on', 'Turn hosts on, and wait until they are', { interrupts: false })
  verb('off', 'Shut hosts down, and wait until they are off', { interrupts: true })
  verb('cycle', 'Shut hosts down and turn them on again', { interrupts: true })
  verb('boot-pxe', 'Restart hosts from the network, once', { interrupts: true })
    .addOption(new Option('--next', 'only set it, and leave the restart to somebody else').default(false))
    .addOption(new Option('--undo', 'take it back, and restart nothing').default(false).conflicts('next'))
}

/** `list` is what `runbook history` alone means. */
export const DEFAULT_SUBCOMMANDS: Readonly<Record<string, string>> = { history: 'list' }

function inputOptions(command: Command): Command {
  return command
    .option(
      '-i, --inventory <path>',
      'inventory file, folder or executable, or names: a,b, (again for more)',
      append,
      [],
    )
    .option('-e, --extra-vars <vars>', 'name=value …, {"name": value} or @file.yml (again for more)', append, [])
}

function reportOptions(command: Command): Command {
  return command
    .addOption(
      new Option('-o, --output <kind>', 'default: tree on a terminal, else plain').choices(['tree', 'plain', 'json']),
    )
    .option(
      '-v, --verbose',
      'results of unchanged tasks and all changes; -vv: registered results; -vvv: every event',
      more,
      0,
    )
    .option('-D, --diff', 'show what changes in files and values', false)
}

function runOptions(command: Command, { check }: { check: boolean }): Command {
  reportOptions(inputOptions(command))
    .option('-l, --limit <pattern>', 'only these hosts')
    .option('-t, --tags <tags>', 'only tasks with these tags, separated by commas', list, [])
    .option('--skip-tags <tags>', 'no tasks with these tags', list, [])
    .option('-f, --forks <n>', 'hosts worked on at the same time', positive, 50)
    .option('--junit <file>', 'also write the results as JUnit XML, for CI systems')
    .option('--report <file>', 'also write a page (HTML): hosts by tasks, durations, diffs, errors')
    .option('--detailed-exitcode', 'exit with 8 when something changed, or would', false)
  addConnection(command)
  const ofPlaybooks = ['apply', 'plan'].includes(command.name())
  const beside = ofPlaybooks ? 'beside the playbook; of a shipped one: here' : 'here'
  command.option('--folder <folder>', `where .runbook/ stands; default: ${beside}`)
  if (check) command.option('-C, --check', 'touch nothing, show what would change', false)
  if (check && command.name() === 'apply') {
    addFlow(command)
    command.option('--resume', 'go on with the last run of these playbooks that did not come to its end', false)
  }
  return command
}

const append = (value: string, before: readonly string[]): string[] => [...before, value]
const list = (value: string, before: readonly string[]): string[] => [
  ...before,
  ...value
    .split(',')
    .map((s) => s.trim())
    .filter(Boolean),
]
const more = (_: unknown, before: number): number => Math.min(3, before + 1)

function positive(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('It must be a whole number above 0.')
  return Number(text)
}

const ROOT_HELP = `
Examples:
  runbook init my-cluster                     a folder to start from
  runbook plan site.yml -i inventory.yml      what would change
  runbook apply site.yml --limit 'workers'    make it so
  runbook run all command uptime              one command everywhere

Exit codes: 0 done, 2 a host failed, 3 the input is wrong and nothing was touched, 4 a host was unreachable,
8 changes are pending (--detailed-exitcode), 130 interrupted, 1 a bug in runbook.`

const APPLY_EXAMPLES = `  runbook apply site.yml
  runbook apply site.yml -i inventories/lab.yml --limit 'k8s-*:!k8s-3' --diff
  runbook apply site.yml --tags containerd -e version=2.1.4
  runbook apply site.yml --resume             after a run that was killed or failed
  runbook apply site.yml --output json | jq 'select(.status == "failed")'

Ctrl-C once: each host finishes the step it is at. Twice: stop now.`
const PLAN_EXAMPLES = `  runbook plan site.yml
  runbook plan site.yml --detailed-exitcode   exits with 8 when there is something to do`
const RUN_EXAMPLES = `  runbook run all command uptime
  runbook run workers shell 'df -h / | tail -1'
  runbook run k8s-1 service name=kubelet state=restarted
  runbook run all sysctl name=vm.swappiness value=10 --check --diff`
const DOCTOR_EXAMPLES = `  runbook node doctor k8s-worker-01
  runbook node doctor 'workers:!k8s-3' -i inventory.yml`
const VALIDATE_EXAMPLES = `  runbook validate site.yml upgrade.yml
  runbook validate site.yml -i inventory.yml  the host patterns too`
const INVENTORY_EXAMPLES = `  runbook inventory graph
  runbook inventory host k8s-1                where each variable comes from`
const SCHEMA_EXAMPLES = `  runbook schema > .schema/playbook.json
  # first line of a playbook:  # yaml-language-server: $schema=.schema/playbook.json`
const POWER_EXAMPLES = `  runbook power status all
  runbook power off k8s-3                     asks the operating system; --force cuts the power
  runbook power boot-pxe k8s-3 --yes          reinstall it from the network`
const NETBOOT_EXAMPLES = `  runbook netboot serve
  runbook netboot repave k8s-3 && runbook netboot status`
const HISTORY_EXAMPLES = `  runbook history
  runbook history show 20261120-0315`
