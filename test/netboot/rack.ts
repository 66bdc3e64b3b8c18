/** A rack of one machine: QEMU with real firmware, and `runbook netboot serve` on the same wire. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureNetbootFiles, type ImageKind, type NetbootFiles } from './disk-image.ts'
import { Namespace, type Owner } from './namespace.ts'

const BIN = join(import.meta.dirname, '../../bin/runbook.js')
const POWER = join(import.meta.dirname, 'qemu-power.ts')
const BMC = join(import.meta.dirname, 'qemu-bmc.ts')
export const MAC = '52:54:00:77:00:0a'
export const ADDRESS = '10.77.0.10'
const OVMF = '/usr/share/OVMF'

export const RACK_COMMANDS = [
  ...['qemu-system-x86_64', 'mmdebstrap', 'mkfs.ext4', 'mkfs.vfat', 'mcopy', 'sfdisk', 'zstd', 'ssh', 'dpkg-deb'],
]

export interface RackOptions {
  /** More of netboot.yml, e.g. `discover: true`. */
  readonly config?: string
  /** More of the image profile, e.g. `wipe: true`. */
  readonly profile?: string
  readonly firmware?: 'uefi' | 'secure-boot' | 'bios'
  /** The machine is in the inventory; else it is a stranger. */
  readonly known?: boolean
  readonly image?: ImageKind
  /** Its power is worked through a controller that others wrote, and its disk comes before the network. */
  readonly controller?: 'ipmi' | 'redfish' | undefined
  readonly say?: (line: string) => void
}

export class Rack {
  readonly folder: string
  readonly space: Namespace
  /** Who logs in: whom the image lets in. */
  readonly #user: string
  readonly #say: (line: string) => void
  #server: ChildProcess | undefined
  /** All that the server said, of its former lives too. */
  log = ''
  /** What the controller was told, a line each: `ipmi set power 1`. */
  controller = ''

  private constructor(folder: string, space: Namespace, user: string, say: (line: string) => void) {
    this.folder = folder
    this.#user = user
    this.space = space
    this.#say = say
  }

  static async make(owner: Owner, options: RackOptions = {}): Promise<Rack> {
    const { say = () => {}, image = 'plain' } = options
    const files = await ensureNetbootFiles(say, image)
    const folder = mkdtempSync(join(tmpdir(), 'runbook-rack-'))
    const space = new Namespace(owner)
    const rack = new Rack(folder, space, image === 'cloud' ? 'debian' : 'root', say)
    // When we are killed, the namespace ends what runs in it: QEMU too, which is nobody's child.
    const watchdog = `while kill -0 ${process.pid} 2>/dev/null; do sleep 1; done; sleep 2; rm -rf '${folder}'`
    spawn('sh', ['-c', watchdog], { detached: true, stdio: 'ignore' }).unref()
    owner.teardown(async () => {
      await rack.power('hard-off')
      rmSync(folder, { recursive: true, force: true })
    })
    // A bridge with a second port: our side of the wire is up while the machine is off.
    for (const command of [
      'tuntap add tap0 mode tap',
      'link add br0 type bridge',
      'link add up0 type veth peer name up1',
      ...['tap0', 'up0'].map((port) => `link set ${port} master br0`),
      ...['tap0', 'up0', 'up1', 'br0'].map((link) => `link set ${link} up`),
      'addr add 10.77.0.1/24 dev br0',
    ]) {
      space.ip(command)
    }
    mkdirSync(join(folder, 'machine'))
    const power = options.controller
      ? await rack.#startController(options.controller)
      : { type: 'command', command: [process.execPath, POWER, join(folder, 'machine')] }
    rack.#write(files, power, options)
    return rack
  }

  /** Gives its `runbook_power`. */
  async #startController(kind: string): Promise<unknown> {
    const child = this.space.start(process.execPath, [BMC, kind, join(this.folder, 'machine')])
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.controller += text
      })
    }
    const end = Date.now() + 300_000
    while (!this.controller.includes('\n')) {
      if (child.exitCode !== null || Date.now() > end) throw new Error(`no ${kind} controller: ${this.controller}`)
      await new Promise((done) => setTimeout(done, 100))
    }
    return JSON.parse(this.controller.split('\n')[0]!)
  }

  #write(
    files: NetbootFiles,
    power: unknown,
    { config = '', profile = '', firmware = 'uefi', known = true }: RackOptions,
  ): void {
    const { folder } = this
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key')])
    writeFileSync(join(folder, 'disk.raw'), '')
    truncateSync(join(folder, 'disk.raw'), 2 ** 30)
    writeFileSync(join(folder, 'machine/qemu.json'), JSON.stringify(this.#qemu(firmware)))
    writeFileSync(
      join(folder, 'netboot.yml'),
      `interfaces: [br0]
networks: [{subnet: 10.77.0.0/24, pool: 10.77.0.100-10.77.0.110}]
files: ${files.folder}
${config}
profiles:
  debian:
    image: ${files.image}
    sha256: ${files.sha256}
    cmdline: console=ttyS0
    disk: {serial: ROOT-1}
    apply: site.yml
${profile.replace(/^(?=.)/gm, '    ')}
assign: {default: debian}
`,
    )
    writeFileSync(
      join(folder, 'inventory.yml'),
      `all:
  vars:
    ansible_user: ${this.#user}
    ansible_ssh_private_key_file: ${join(folder, 'key')}
    ansible_ssh_common_args: -o UserKnownHostsFile=${join(folder, 'known_hosts')}
    netboot_ssh_keys: ["${readFileSync(join(folder, 'key.pub'), 'utf8').trim()}"]
    runbook_power: ${JSON.stringify(power)}
  hosts:
    ${known ? `n1: {ansible_host: ${ADDRESS}, netboot_mac: "${MAC}"}` : 'other: {netboot_mac: "52:54:00:77:00:0b"}'}
`,
    )
    writeFileSync(
      join(folder, 'site.yml'),
      `- name: after the installation
  hosts: all
  become: ${this.#user !== 'root'}
  tasks:
    - name: a file that says so
      copy: {dest: /etc/applied, content: "by runbook\\n"}
`,
    )
  }

  #qemu(firmware: NonNullable<RackOptions['firmware']>): string[] {
    const machine = join(this.folder, 'machine')
    const secure = firmware === 'secure-boot'
    const code = secure ? 'OVMF_CODE_4M.secboot.fd' : 'OVMF_CODE_4M.fd'
    const vars = join(machine, 'vars.fd')
    if (firmware !== 'bios') copyFileSync(join(OVMF, secure ? 'OVMF_VARS_4M.ms.fd' : 'OVMF_VARS_4M.fd'), vars)
    const flash = [
      ...['-drive', `if=pflash,format=raw,unit=0,readonly=on,file=${join(OVMF, code)}`],
      ...['-drive', `if=pflash,format=raw,unit=1,file=${vars}`],
    ]
    return [
      ...['ip', 'netns', 'exec', this.space.name, 'qemu-system-x86_64'],
      ...['-M', `q35,accel=tcg${secure ? ',smm=on' : ''}`, '-cpu', 'max', '-m', '1536', '-smp', '2'],
      ...(secure ? ['-global', 'driver=cfi.pflash01,property=secure,value=on'] : []),
      ...['-nodefaults', '-display', 'none', '-serial', `file:${join(machine, 'serial')}`],
      ...(firmware === 'bios' ? [] : flash),
      ...['-qmp', `unix:${join(machine, 'qmp')},server=on,wait=off`],
      // Nobody answers there, and OVMF waits a minute for it before it goes on to the disk.
      ...['IPv6PXESupport', 'IPv6Support'].flatMap((one) => ['-fw_cfg', `name=opt/org.tianocore/${one},string=n`]),
      ...['-object', 'rng-random,filename=/dev/urandom,id=rng', '-device', 'virtio-rng-pci,rng=rng'],
      ...['-netdev', 'tap,id=net,ifname=tap0,script=no,downscript=no'],
      // Without a ROM, or QEMU's iPXE would hide OVMF's PXE. SeaBIOS has no other. The disk comes after the network.
      ...['-device', `virtio-net-pci,netdev=net,${firmware === 'bios' ? '' : 'romfile=,'}mac=${MAC},bootindex=1`],
      ...['-drive', `if=none,id=disk,format=raw,cache=unsafe,file=${join(this.folder, 'disk.raw')}`],
      ...['-device', 'virtio-blk-pci,drive=disk,serial=ROOT-1,bootindex=2'],
    ]
  }

  /** `runbook …` with netboot.yml and the inventory, in the namespace. */
  async runbook(args: string[], seconds = 120): Promise<{ code: number | null; out: string }> {
    const config = args[0] === 'netboot' ? ['-c', join(this.folder, 'netboot.yml')] : []
    return this.space.run(
      process.execPath,
      [BIN, ...args, ...config, '-i', join(this.folder, 'inventory.yml')],
      seconds,
    )
  }

  /** `runbook netboot watch` on our own terminal. */
  watch(): ChildProcess {
    const args = ['netboot', 'watch', '-c', join(this.folder, 'netboot.yml'), '-i', join(this.folder, 'inventory.yml')]
    return spawn(process.execPath, [BIN, ...args], { stdio: ['ignore', 'inherit', 'inherit'] })
  }

  /** Starts the server, ready. */
  async serve(): Promise<void> {
    const before = this.log.length
    const args = ['netboot', 'serve', '-c', join(this.folder, 'netboot.yml'), '-i', join(this.folder, 'inventory.yml')]
    const child = this.space.start(process.execPath, [BIN, ...args])
    this.#server = child
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.log += text
        for (const line of text.trimEnd().split('\n')) this.#say(line)
      })
    }
    await this.until(/^serving /m, 60, before)
  }

  /** SIGKILL, as a crash. */
  async killServer(): Promise<void> {
    const child = this.#server!
    const ended = new Promise((done) => child.once('close', done))
    child.kill('SIGKILL')
    await ended
  }

  async power(action: 'on' | 'hard-off'): Promise<void> {
    const env = { ...process.env, ACTION: action }
    execFileSync(process.execPath, [POWER, join(this.folder, 'machine')], {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  }

  /** What the machine wrote to its serial line since it was last turned on. */
  get console(): string {
    const path = join(this.folder, 'machine/serial')
    return existsSync(path) ? readFileSync(path, 'latin1') : ''
  }

  /** Waits until the server has said something, from position `from` of its log on; gives the position after it. */
  async until(wanted: RegExp, seconds = 600, from = 0): Promise<number> {
    const end = Date.now() + seconds * 1000
    for (;;) {
      const found = wanted.exec(this.log.slice(from))
      if (found) return from + found.index + found[0].length
      const over = this.#server?.exitCode != null
      if (over || Date.now() > end) {
        const last = `${this.log.slice(-3000)}\n── console ──\n${this.console.slice(-3000)}`
        throw new Error(`${over ? 'the server ended' : `not seen in ${seconds} s`}: ${wanted}\n${last}`)
      }
      await new Promise((done) => setTimeout(done, 200))
    }
  }

  /** Runs a command on the machine, with the host keys that are pinned and no others. Undefined: it is not there. */
  async ssh(command: string): Promise<string | undefined> {
    const options = [
      'StrictHostKeyChecking=yes',
      'BatchMode=yes',
      'ConnectTimeout=5',
      `IdentityFile=${this.folder}/key`,
    ]
    options.push(`UserKnownHostsFile=${this.folder}/known_hosts`, 'GlobalKnownHostsFile=/dev/null')
    const args = ['-F', '/dev/null', ...options.flatMap((one) => ['-o', one]), `${this.#user}@${ADDRESS}`, command]
    const { code, out } = await this.space.run('ssh', args, 30)
    return code === 0 ? out : undefined
  }

  /** Waits until the machine lets us in. */
  async reachable(seconds = 600): Promise<void> {
    const end = Date.now() + seconds * 1000
    while ((await this.ssh('true')) === undefined) {
      if (Date.now() > end) throw new Error(`not reachable in ${seconds} s\n${this.console.slice(-3000)}`)
      await new Promise((done) => setTimeout(done, 1000))
    }
  }
}
