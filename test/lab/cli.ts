import { spawn } from 'node:child_process'
import { Command, InvalidArgumentError } from 'commander'
import { UserError } from '../../src/shared/errors.ts'
import type { ImageName } from './image.ts'
import { ensureImage } from './image.ts'
import { bootLab, LAB_PASSWORD, type Lab, openLab } from './index.ts'
import { installPackages } from './packages.ts'
import { listLabs, removeLab } from './registry.ts'
import { requireLab } from './skip.ts'

/** `npm run lab -- …`: hosts for trying things out. They stay up until they are taken down. */

const progress = (line: string) => console.error(`lab: ${line}`)

const program = new Command('lab')
  .description('Real systemd hosts on this machine, to try playbooks on')
  .enablePositionalOptions()

const named = (command: Command) => command.option('--name <name>', 'which lab', 'lab')

named(program.command('up').argument('[hosts]', 'how many', count, 3).description('boot hosts'))
  .option('--image <image>', 'debian, or ansible (with Python)', 'debian')
  .action(async (hosts: number, { name, image }: { name: string; image: ImageName }) => {
    const started = performance.now()
    const lab = await bootLab({ hosts, name, image, keep: true, progress })
    const again = name === 'lab' ? '' : ` --name ${name}`
    console.log(
      `${hosts === 1 ? '1 host' : `${hosts} hosts`} up in ${((performance.now() - started) / 1000).toFixed(1)} s`,
    )
    console.log(table(lab))
    console.log(`
  inventory  ${lab.inventoryFile}
  log in     npm run lab -- ssh${again} 1      root, by key
             ssh admin@${lab.hosts[0]!.address}           password ${LAB_PASSWORD}, sudo asks for it; ops: sudo does not ask
  take down  npm run lab -- down${again}`)
  })

named(program.command('down').description('take the hosts down and remove all that is left of them'))
  .option('--id <id>', 'only if it is this very lab')
  .action(async ({ name, id }: { name: string; id?: string }) => {
    requireLab()
    const removed = await removeLab(name, id)
    console.log(removed ? `lab ${name} is down` : `there is no lab ${name}`)
  })

named(program.command('ssh').description('log in to a host, or run a command on it'))
  .argument('<host>', 'number or name')
  .argument('[command...]')
  .passThroughOptions()
  .action(async (host: string, command: string[], { name }: { name: string }) => {
    const lab = await standing(name)
    if (!lab.isOn(hostName(host)))
      throw new UserError({ message: `${hostName(host)} is off`, hint: `npm run lab -- on ${host}` })
    const child = spawn('ssh', ['-F', lab.sshConfigFile, hostName(host), ...command], { stdio: 'inherit' })
    process.exitCode = await new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? 1)))
  })

for (const [verb, description] of [
  ['on', 'turn a host on'],
  ['off', 'shut a host down'],
  ['kill', "cut a host's power"],
  ['reset', 'start a host over, with an empty disk'],
] as const) {
  named(program.command(verb).argument('<host>').description(description)).action(
    async (host: string, { name }: { name: string }) => {
      const lab = await standing(name)
      await { on: lab.powerOn, off: lab.powerOff, kill: lab.kill, reset: lab.reset }[verb](hostName(host))
    },
  )
}

program
  .command('status')
  .description('labs and hosts of this machine')
  .action(async () => {
    const labs = await listLabs()
    if (labs.length === 0) console.log('no lab is up; npm run lab -- up 3')
    for (const record of labs) {
      console.log(`${record.name}${record.owner ? ` (of process ${record.owner.pid})` : ''}\n${table(openLab(record))}`)
    }
  })

program
  .command('image')
  .description('build the image now, instead of at the first `up`')
  .argument('[image]', 'debian, or ansible (with Python)', 'debian')
  .action(async (image: ImageName) => {
    requireLab()
    await installPackages(progress)
    console.log(await ensureImage(image, progress))
  })

try {
  await program.parseAsync()
} catch (error) {
  console.error(error instanceof UserError ? `lab: ${error.message}` : error)
  process.exitCode = 1
}

/** `1` and `n1` are the same host. */
function hostName(host: string): string {
  return /^\d+$/.test(host) ? `n${host}` : host
}

async function standing(name: string): Promise<Lab> {
  const record = (await listLabs()).find((each) => each.name === name)
  if (!record) throw new UserError({ message: `lab ${name} is not up`, hint: 'npm run lab -- up 3' })
  return openLab(record)
}

function table(lab: Lab): string {
  return lab.hosts
    .map((host) => `  ${host.name}  ${host.address.padEnd(15)}  ${lab.isOn(host.name) ? 'on' : 'off'}`)
    .join('\n')
}

function count(text: string): number {
  const hosts = Number(text)
  // Addresses are .11 to .254 of a /24.
  if (!Number.isInteger(hosts) || hosts < 1 || hosts > 244)
    throw new InvalidArgumentError('a number from 1 to 244, please.')
  return hosts
}
