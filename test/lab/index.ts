import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { UserError } from '../../src/shared/errors.ts'
import { createDisk, publicHostKeys, removeDisk, rootOf, sshKey } from './disk.ts'
import { consoleOf, diskOf, execInside, isOn, powerCut, powerOn, waitForSshd, waitUntilOff } from './host.ts'
import { ensureImage, type ImageName } from './image.ts'
import { inventoryText, sshConfigText } from './inventory.ts'
import { addressOf, gatewayOf } from './network.ts'
import { installPackages } from './packages.ts'
import { claimLab, disown, hostFolder, type LabRecord, type LabSpec, labFolder, removeLab } from './registry.ts'
import type { CommandOptions, CommandResult } from './run.ts'
import { requireLab } from './skip.ts'

export { LAB_PASSWORD } from './image.ts'

export interface LabOptions {
  /** How many hosts, named n1, n2 … */
  readonly hosts: number
  /** Name on this machine; labs of different names live side by side. Made up when absent. */
  readonly name?: string | undefined
  readonly image?: ImageName | undefined
  /** What /bin/sh is; default dash, as Debian has it. */
  readonly sh?: LabSpec['sh'] | undefined
  /** Login shell of root, admin and ops. */
  readonly loginShell?: LabSpec['loginShell'] | undefined
  /** Folders of this machine that every host sees at the same path, read-only. */
  readonly readOnly?: readonly string[] | undefined
  /** The lab outlives this process, until it is taken down by `npm run lab -- down`. */
  readonly keep?: boolean | undefined
  /** Told what takes long; default standard error. */
  readonly progress?: ((line: string) => void) | undefined
}

export interface LabHost {
  readonly name: string
  /** IPv4 address; sshd listens on port 22. */
  readonly address: string
  /** The host's files as this machine sees them, without what the host has mounted on them. */
  readonly rootfs: string
  /** File with what the host printed to its console. */
  readonly console: string
}

/** Real systemd hosts on this machine: n1, n2 … with sshd, users root (key), admin (sudo, LAB_PASSWORD) and ops (sudo, none). */
export interface Lab extends AsyncDisposable {
  readonly name: string
  readonly hosts: readonly LabHost[]
  /** Private key that opens root, admin and ops on every host. */
  readonly privateKeyFile: string
  readonly knownHostsFile: string
  /** YAML inventory: all hosts in group `lab`, as root by key with pinned host keys. */
  readonly inventoryFile: string
  /** For `ssh -F`: hosts by name. */
  readonly sshConfigFile: string
  /** Runs a command as root inside a host, not over SSH. `host` is a name, here and below. */
  exec(host: string, argv: readonly string[], options?: CommandOptions): Promise<CommandResult>
  /** Shuts the host down and returns when it is off. */
  powerOff(host: string): Promise<void>
  /** Returns when sshd answers. */
  powerOn(host: string): Promise<void>
  /** Cuts the power; what the host has written stays. */
  kill(host: string): Promise<void>
  isOn(host: string): boolean
  /** Stops sshd and cuts its connections; what they run gets the end of its input and a hangup. */
  stopSshd(host: string): Promise<void>
  startSshd(host: string): Promise<void>
  /** Waits until sshd answers, e.g. after a reboot from inside. */
  waitForSshd(host: string): Promise<void>
  /** The host as it was at first: power cut, empty disk over the image, same address and host keys, powered on. */
  reset(host: string): Promise<void>
}

/** Ten hosts that boot at once on two slow cores take about ten seconds; an emulated CI machine several times that. */
const BOOT_TIMEOUT_MS = 120_000
const POWER_OFF_TIMEOUT_MS = 100_000

let labsOfThisProcess = 0

/** Boots a lab and returns when every sshd answers. Needs root on Debian; see labMissing(). */
export async function bootLab(options: LabOptions): Promise<Lab> {
  const progress = options.progress ?? ((line) => process.stderr.write(`lab: ${line}\n`))
  requireLab()
  await installPackages(progress)
  const image = await ensureImage(options.image ?? 'debian', progress)
  const name = options.name ?? `p${process.pid}-${++labsOfThisProcess}`
  const names = Array.from({ length: options.hosts }, (_, i) => `n${i + 1}`)
  const { sh = 'dash', loginShell = 'bash', readOnly = [] } = options
  const record = await claimLab({ name, hosts: names, image, sh, loginShell, readOnly })
  const stopWatching = watchdog(record)
  const lab = labOf(record, stopWatching)
  try {
    await sshKey(lab.privateKeyFile, 'ed25519')
    await Promise.all(names.map((host) => makeDisk(record, host)))
    const keys = await Promise.all(names.map((host) => publicHostKeys(hostFolder(name, host))))
    const known = lab.hosts.flatMap((host, i) => keys[i]!.map((key) => `${host.address} ${key}\n`))
    await writeFile(lab.knownHostsFile, known.join(''))
    await writeFile(lab.inventoryFile, inventoryText(lab))
    await writeFile(lab.sshConfigFile, sshConfigText(lab))
    await Promise.all(names.map((host) => lab.powerOn(host)))
    if (options.keep) {
      await disown(record)
      stopWatching()
    }
    return lab
  } catch (error) {
    await lab[Symbol.asyncDispose]()
    throw error
  }
}

/** The handle of a lab that stands, e.g. one that another process has left up. */
export function openLab(record: LabRecord): Lab {
  return labOf(record, () => {})
}

function labOf(record: LabRecord, stopWatching: () => void): Lab {
  const { name, subnet } = record
  const folder = labFolder(name)
  const id = (host: string) => {
    if (record.hosts.includes(host)) return { lab: name, name: host }
    throw new UserError({ message: `lab ${name} has no host ${host}`, hint: `it has ${record.hosts.join(', ')}` })
  }
  const hosts = record.hosts.map((host, index) => ({
    name: host,
    address: addressOf(subnet, index),
    rootfs: rootOf(diskOf(id(host))),
    console: consoleOf(id(host)),
  }))
  const must = async (host: string, argv: string[]) => {
    const { rc, stderr } = await lab.exec(host, argv)
    if (rc !== 0) throw new Error(`${host}: ${argv.join(' ')}: exit status ${rc}\n${stderr}`)
  }
  const lab: Lab = {
    name,
    hosts,
    privateKeyFile: path.join(folder, 'id_ed25519'),
    knownHostsFile: path.join(folder, 'known_hosts'),
    inventoryFile: path.join(folder, 'inventory.yml'),
    sshConfigFile: path.join(folder, 'ssh_config'),
    exec: (host, argv, options) => execInside(id(host), argv, options),
    async powerOn(host) {
      await powerOn(id(host), record.readOnly)
      await lab.waitForSshd(host)
    },
    async powerOff(host) {
      await must(host, ['systemctl', 'poweroff', '--no-block'])
      await waitUntilOff(id(host), POWER_OFF_TIMEOUT_MS)
    },
    kill: (host) => powerCut(id(host)),
    isOn: (host) => isOn(id(host)),
    waitForSshd: (host) => waitForSshd(id(host), addressOf(subnet, record.hosts.indexOf(host)), BOOT_TIMEOUT_MS),
    async stopSshd(host) {
      await must(host, ['systemctl', 'stop', 'ssh.service'])
      await lab.exec(host, ['pkill', '-KILL', '-x', 'sshd']) // 1: nobody was connected
    },
    async startSshd(host) {
      await must(host, ['systemctl', 'start', 'ssh.service'])
      await lab.waitForSshd(host)
    },
    async reset(host) {
      await lab.kill(host)
      await removeDisk(diskOf(id(host)))
      await makeDisk(record, host)
      await lab.powerOn(host)
    },
    async [Symbol.asyncDispose]() {
      stopWatching()
      await removeLab(name, record.id)
    },
  }
  return lab
}

async function makeDisk(record: LabRecord, host: string): Promise<void> {
  const { name, subnet, hosts } = record
  await createDisk({
    folder: hostFolder(name, host),
    disk: diskOf({ lab: name, name: host }),
    image: record.image,
    name: host,
    address: addressOf(subnet, hosts.indexOf(host)),
    gateway: gatewayOf(subnet),
    hostsFile: hosts.map((each, index) => `${addressOf(subnet, index)} ${each}\n`).join(''),
    publicKey: await readFile(path.join(labFolder(name), 'id_ed25519.pub'), 'utf8'),
    sh: record.sh,
    loginShell: record.loginShell,
  })
}

/**
 * A process that waits for the end of a pipe that only we hold, and then takes the lab down: however we end, no hosts
 * are left. Returns how to call it off.
 */
function watchdog({ name, id }: LabRecord): () => void {
  const cli = path.join(import.meta.dirname, 'cli.ts')
  const child = spawn(
    'sh',
    ['-c', 'cat >/dev/null; exec "$@"', 'sh', process.execPath, cli, 'down', '--name', name, '--id', id],
    {
      detached: true, // a Ctrl-C on the terminal is for us, not for it
      cwd: '/',
      stdio: ['pipe', 'ignore', 'ignore'],
    },
  )
  child.unref()
  const pipe = child.stdin as typeof child.stdin & { unref(): void }
  pipe.unref()
  return () => {
    child.kill('SIGKILL')
    pipe.destroy()
  }
}
