/** Network namespaces of a test's or benchmark's own, and real peers and our servers in them. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Serve } from './serve.ts'

/** Debian's package for each command that tests use. */
const PACKAGES: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  busybox: 'busybox',
  perfdhcp: 'kea-admin',
  'kea-dhcp4': 'kea-dhcp4-server',
  dnsmasq: 'dnsmasq-base',
  dhcrelay: 'isc-dhcp-relay',
  curl: 'curl',
  nft: 'nftables',
  atftp: 'atftp',
  tftp: 'tftp-hpa',
  perl: 'perl-base',
  gcc: 'gcc',
  'qemu-system-x86_64': 'qemu-system-x86 ovmf',
  mmdebstrap: 'mmdebstrap',
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.vfat': 'dosfstools',
  'mkfs.xfs': 'xfsprogs',
  'mkfs.btrfs': 'btrfs-progs',
  pvcreate: 'lvm2',
  losetup: 'mount',
  partx: 'util-linux',
  mcopy: 'mtools',
  sfdisk: 'fdisk',
  ssh: 'openssh-client',
  'dpkg-deb': 'dpkg',
  ipmi_sim: 'openipmi',
  nginx: 'nginx-light',
}

/** The commands that are not here, and `ip` if it is not. */
function absentOf(commands: readonly string[]): string[] {
  const folders = (process.env.PATH ?? '').split(':').concat('/usr/sbin', '/sbin')
  return ['ip', ...commands].filter((command) => !folders.some((folder) => existsSync(`${folder}/${command}`)))
}

const packagesOf = (commands: readonly string[]): string[] =>
  commands.flatMap((command) => (PACKAGES[command] ?? command).split(' '))

/** Why a test that needs root and these commands cannot run here; undefined when it can. */
export function missing(...commands: string[]): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, for network namespaces and ports below 1024'
  const absent = absentOf(commands)
  return absent.length > 0 ? `needs ${absent.join(', ')}: apt-get install ${packagesOf(absent).join(' ')}` : undefined
}

/** Installs what is not here, from Debian. Throws Error without root, or when it cannot be had. */
export function install(...commands: string[]): void {
  const absent = absentOf(commands)
  if (process.getuid?.() === 0 && absent.length > 0) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const apt = (...args: string[]): boolean =>
      spawnSync('apt-get', [...args, '-o', 'DPkg::Lock::Timeout=300'], { env, stdio: ['ignore', 2, 2] }).status === 0
    const get = (): boolean => apt('install', '-yq', '--no-install-recommends', ...packagesOf(absent))
    if (!get() && apt('update', '-q')) get()
  }
  const reason = missing(...commands)
  if (reason) throw new Error(reason)
}

/** What ends a namespace: a test of tap, or a benchmark. */
export interface Owner {
  teardown(end: () => Promise<void>): void
}

let count = 0

/** A namespace that is removed when its owner ends, with all that runs in it; also when we are killed. */
export class Namespace {
  readonly name: string
  readonly #children = new Set<ChildProcess>()

  constructor(owner: Owner) {
    this.name = `rbnet-${process.pid}-${count++}`
    execFileSync('ip', ['netns', 'add', this.name])
    const watchdog = `while kill -0 ${process.pid} 2>/dev/null; do [ -e /run/netns/${this.name} ] || exit 0; sleep 1; done
      for pid in $(ip netns pids ${this.name}); do kill -9 $pid; done; ip netns del ${this.name}`
    spawn('sh', ['-c', watchdog], { detached: true, stdio: 'ignore' }).unref()
    this.ip('link set lo up')
    owner.teardown(async () => {
      await Promise.all([...this.#children].map(stop))
      execFileSync('ip', ['netns', 'del', this.name])
    })
  }

  /** `ip` in the namespace. */
  ip(command: string): void {
    execFileSync('ip', ['-n', this.name, ...command.split(' ')])
  }

  /** Joins an interface here with one there. `address` with its prefix, e.g. `10.77.0.1/24`. */
  join(name: string, address: string | undefined, other: Namespace, otherName: string, otherAddress?: string): void {
    this.ip(`link add ${name} type veth peer name ${otherName} netns ${other.name}`)
    for (const [space, link, ip] of [[this, name, address] as const, [other, otherName, otherAddress] as const]) {
      if (ip) space.ip(`addr add ${ip} dev ${link}`)
      space.ip(`link set ${link} up`)
    }
  }

  /** Runs a command to its end: exit code and output, both streams together. */
  async run(command: string, args: string[], seconds = 30): Promise<{ code: number | null; out: string }> {
    const child = this.start(command, args)
    let out = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (text) => {
        out += text
      })
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000)
    const code = await new Promise<number | null>((done) => child.on('close', done))
    clearTimeout(timer)
    return { code, out }
  }

  /** Starts a command that ends with the test. */
  start(command: string, args: string[]): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.name, command, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    })
    this.#children.add(child)
    child.on('close', () => this.#children.delete(child))
    return child
  }

  /** Our servers in a process here, ready; `wrapper` is a command that runs them. */
  async serve(what: Serve, wrapper: string[] = []): Promise<Served> {
    const script = fileURLToPath(new URL('serve.ts', import.meta.url))
    const [command, ...args] = [...wrapper, process.execPath, script, JSON.stringify(what)]
    const served = new Served(this.start(command!, args))
    await served.until(({ ready }) => ready === true, 20)
    return served
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((done) => child.once('exit', done))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 3000)
  await ended
  clearTimeout(timer)
}

type Line = {
  ready?: true
  trouble?: string
  dhcp?: Record<string, unknown>
  tftp?: Record<string, unknown>
}

/** Our servers in another process, and what they said. */
export class Served {
  readonly lines: Line[] = []
  readonly #child: ChildProcess
  #rest = ''
  #errors = ''
  #changed: () => void = () => {}

  constructor(child: ChildProcess) {
    this.#child = child
    child.stdout?.on('data', (text) => {
      const parts = (this.#rest + text).split('\n')
      this.#rest = parts.pop()!
      for (const part of parts) this.lines.push(JSON.parse(part))
      this.#changed()
    })
    child.stderr?.on('data', (text) => {
      this.#errors += text
    })
    child.on('close', () => this.#changed())
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** The first line, of those to come too, for which `wanted` is true. */
  async until(wanted: (line: Line) => boolean, seconds = 10): Promise<Line> {
    const end = Date.now() + seconds * 1000
    for (;;) {
      const found = this.lines.find(wanted)
      if (found) return found
      const over = this.#child.exitCode !== null || this.#child.signalCode !== null || Date.now() > end
      if (over) throw new Error(`not seen: ${wanted}\n${JSON.stringify(this.lines.slice(-5))}\n${this.#errors}`)
      await new Promise<void>((done) => {
        this.#changed = done
        setTimeout(done, 100)
      })
    }
  }

  /** `DISCOVER OFFER 10.77.0.10 reason` for each packet. */
  get exchanges(): string[] {
    return this.lines.flatMap(({ dhcp }) =>
      dhcp ? [[dhcp.message, dhcp.answer, dhcp.address, dhcp.reason].filter(Boolean).join(' ')] : [],
    )
  }

  async stop(): Promise<void> {
    await stop(this.#child)
  }

  /** As a crash does. */
  async kill(): Promise<void> {
    const ended = new Promise((done) => this.#child.once('exit', done))
    this.#child.kill('SIGKILL')
    await ended
  }
}
