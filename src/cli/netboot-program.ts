/** `runbook netboot …`: commands, options and help. */
import { type Command, InvalidArgumentError, Option } from 'commander'

type AddCommand = (parent: Command, usage: string, summary: string, examples: string) => Command

interface Flags {
  config: string
  inventory: string[]
  site?: string
}

type ExplainFlags = Flags & {
  mac: string
  arch?: number
  client: 'ipxe' | 'uefi' | 'bios' | 'http'
  relay?: string
}

/** Adds the commands below `parent`; `done` is told the exit code of the one that ran. */
export function addNetboot(parent: Command, command: AddCommand, done: (exitCode: number) => void): void {
  inputs(command(parent, 'serve', 'Serve DHCP, TFTP and HTTP until Ctrl-C', '  runbook netboot serve -c netboot.yml'))
    .option('--json', 'the log as JSON, an object a line', false)
    .action(async (flags: Flags & { json: boolean }) => {
      const { serve } = await import('./commands/netboot-serve.ts')
      done(await serve(flags))
    })
  inputs(
    command(
      parent,
      'install',
      'Write a systemd unit for the server',
      '  runbook netboot install --print\n  sudo runbook netboot install --user runbook',
    ),
  )
    .option('--print', 'to the terminal, and write nothing', false)
    .option('--user <name>', 'who the server runs as; default: root, with the capabilities that it needs alone')
    .option('--unit <file>', 'where to write it', '/etc/systemd/system/runbook-netboot.service')
    .action(async (flags: Flags & { print: boolean; user?: string; unit: string }) => {
      const { install } = await import('./commands/netboot-install.ts')
      done(await install(flags))
    })
  inputs(
    command(
      parent,
      'machines',
      'List machines: those of the inventory and those that were only seen',
      '  runbook netboot machines\n  runbook netboot machines --inventory-yaml > new.yml',
    ),
  )
    .option('--json', 'as JSON', false)
    .addOption(new Option('--inventory-yaml', 'those that are not in the inventory, ready for it').default(false))
    .action(async (flags: Flags & { json: boolean; inventoryYaml: boolean }) => {
      const { listMachines } = await import('./commands/netboot.ts')
      done(await listMachines({ ...flags, asInventory: flags.inventoryYaml }))
    })
  inputs(
    command(
      parent,
      'repave',
      'Install machines anew at their next network boot, which wipes them',
      '  runbook netboot repave k8s-3\n  runbook netboot repave k8s-3 --restart\n  runbook netboot repave k8s-3 --cancel',
    ).argument('<node...>', 'machines of the inventory'),
  )
    .addOption(new Option('--cancel', 'take a repave back').default(false).conflicts('restart'))
    .option('--restart', 'have the server cut their power and turn them on again, for each try', false)
    .action(async (names: string[], flags: Flags & { cancel: boolean; restart: boolean }) => {
      const { repave } = await import('./commands/netboot-wishes.ts')
      done(await repave(names, flags))
    })
  inputs(
    command(
      parent,
      'reboot',
      'Restart machines from the network, and wait until they are seen to boot',
      '  runbook netboot reboot k8s-3 k8s-4\n  runbook netboot reboot k8s-3 --force\n  runbook netboot reboot k8s-3 --cancel',
    ).argument('<node...>', 'machines of the inventory'),
  )
    .addOption(new Option('--cancel', 'do not wait for it any more').default(false).conflicts('force'))
    .option('--force', 'cut the power, instead of asking the operating system', false)
    .action(async (names: string[], flags: Flags & { cancel: boolean; force: boolean }) => {
      const { reboot } = await import('./commands/netboot-wishes.ts')
      done(await reboot(names, flags))
    })
  inputs(
    command(
      parent,
      'status',
      'What each machine is at, and what it should do next',
      '  runbook netboot status\n  runbook netboot status k8s-3          what happened to it, too',
    ).argument('[node...]', 'machines'),
  )
    .option('--json', 'as JSON', false)
    .action(async (names: string[], flags: Flags & { json: boolean }) => {
      const { status } = await import('./commands/netboot.ts')
      done(await status(names, flags))
    })
  inputs(
    command(
      parent,
      'watch',
      'Follow machines live while another process serves',
      '  runbook netboot watch\n  runbook netboot watch k8s-3 k8s-4',
    ).argument('[node...]', 'machines'),
  ).action(async (names: string[], flags: Flags) => {
    const { watch } = await import('./commands/netboot-watch.ts')
    done(await watch(names, flags))
  })
  config(command(parent, 'doctor', 'Look for reasons why nothing boots', '  sudo runbook netboot doctor'))
    .option('--json', 'as JSON', false)
    .action(async (flags: { config: string; json: boolean }) => {
      const { doctor } = await import('./commands/netboot-watch.ts')
      done(await doctor(flags))
    })
  inputs(
    command(
      parent,
      'explain',
      'Show the offer, the file and the script that a machine would get, without a packet',
      '  runbook netboot explain --mac 52:54:00:77:00:0a\n  runbook netboot explain --mac 52:54:00:77:00:0a --client http --arch 19',
    ),
  )
    .requiredOption('--mac <mac>', 'the MAC address that asks')
    .option('--arch <code>', 'its architecture, option 93: 0 BIOS, 7 x64, 11 arm64, 16 x64 by HTTP, …', code)
    .addOption(new Option('--client <kind>', 'what asks').choices(['ipxe', 'uefi', 'bios', 'http']).default('uefi'))
    .option('--relay <address>', 'the DHCP relay that it is heard through')
    .action(async (flags: ExplainFlags) => {
      const { explain } = await import('./commands/netboot.ts')
      done(await explain(flags))
    })
  const build = (name: string, summary: string, example: string): Command =>
    config(command(parent, name, summary, example))
      .option('--cache <folder>', 'where packages are kept; default .runbook/packages beside netboot.yml')
      .option('--update', 'take the newest packages, instead of those of netboot-packages.json', false)
  type BuildFlags = { config: string; cache?: string; update: boolean }
  build(
    'fetch-bootfiles',
    'Put iPXE, shim and GRUB from Debian packages into the files folder',
    '  runbook netboot fetch-bootfiles',
  ).action(async (flags: BuildFlags) => {
    const { fetchFiles } = await import('./commands/netboot-build.ts')
    done(await fetchFiles(flags))
  })
  build(
    'build-installer',
    'Build the installer that writes disk images, from Debian packages',
    '  runbook netboot build-installer\n  runbook netboot build-installer --update',
  ).action(async (flags: BuildFlags) => {
    const { build } = await import('./commands/netboot-build.ts')
    done(await build(flags))
  })
}

function config(command: Command): Command {
  return command.option('-c, --config <file>', 'what is served; state is kept in .runbook beside it', 'netboot.yml')
}

function inputs(command: Command): Command {
  return config(command)
    .option(
      '-i, --inventory <path>',
      'inventory file, folder or executable (again for more)',
      (value: string, before: readonly string[]) => [...before, value],
      [],
    )
    .option('--site <name>', 'only machines with this netboot_site, or in this group')
}

function code(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 0xffff)
    throw new InvalidArgumentError('It must be a number up to 65535.')
  return Number(text)
}
