import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, glob, mkdir, readFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { takeLock } from './lock.ts'
import { unmountBelow } from './mounts.ts'
import { attempt, run } from './run.ts'

/** `debian`: a server without Python. `ansible`: the same with Python, for side-by-side benchmarks. */
export type ImageName = 'debian' | 'ansible'

/** Password of root, admin and ops on every lab host. The hosts are reachable from this machine only. */
export const LAB_PASSWORD = 'runbook-lab'

const SUITE = 'bookworm'

const PACKAGES = [
  ...['systemd', 'systemd-sysv', 'dbus', 'udev', 'kmod', 'procps', 'cron'],
  ...['openssh-server', 'sudo', 'opendoas', 'busybox', 'csh', 'fish'],
  ...['iproute2', 'iputils-ping', 'iptables', 'ethtool', 'curl', 'ca-certificates', 'xz-utils', 'unzip'],
  ...['containerd', 'conntrack', 'socat'],
]

const EXTRA: Readonly<Record<ImageName, readonly string[]>> = { debian: [], ansible: ['python3', 'python3-apt'] }

/** Folder with the finished images, one a content hash. */
export function imageCache(): string {
  const { XDG_CACHE_HOME } = process.env
  return XDG_CACHE_HOME ? path.join(XDG_CACHE_HOME, 'runbook-lab') : '/var/cache/runbook-lab'
}

/**
 * The root folder of an image, to be used read-only. Builds it when it is not there (about half a minute); two processes
 * that want the same one build it once.
 */
export async function ensureImage(name: ImageName, progress: (line: string) => void): Promise<string> {
  const packages = [...PACKAGES, ...EXTRA[name]]
  const folder = path.join(imageCache(), `${SUITE}-${name}-${await contentHash(packages)}`)
  if (existsSync(folder)) return folder
  await mkdir(imageCache(), { recursive: true, mode: 0o755 })
  await using _ = await takeLock(`${folder}.lock`, () => progress('another process builds the image, waiting for it'))
  if (existsSync(folder)) return folder

  const started = performance.now()
  const building = `${folder}.building`
  await unmountBelow(building) // of a build that was killed
  await rm(building, { recursive: true, force: true })
  progress(`building the ${name} image in ${imageCache()} (once)`)
  await bootstrap(building, packages, progress)
  await cp(path.join(import.meta.dirname, 'rootfs'), building, { recursive: true })
  const setup = await readFile(path.join(import.meta.dirname, 'image-setup.sh'), 'utf8')
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', PASSWORD: LAB_PASSWORD }
  await run(['chroot', building, '/bin/sh', '-eu'], { input: setup, env })
  await rename(building, folder)
  progress(`image built in ${Math.round((performance.now() - started) / 1000)} s`)
  return folder
}

/** Changes with anything that goes into an image. */
async function contentHash(packages: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([SUITE, packages, LAB_PASSWORD]))
  const files = await Array.fromAsync(
    glob('{image-setup.sh,rootfs/**/*}', { cwd: import.meta.dirname, withFileTypes: true }),
  )
  for (const file of files
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort()) {
    hash
      .update(path.relative(import.meta.dirname, file))
      .update('\0')
      .update(await readFile(file))
  }
  return hash.digest('hex').slice(0, 12)
}

/** mmdebstrap rather than debootstrap: apt unpacks everything in one go, 27 s instead of 44 s on two slow cores. */
async function bootstrap(folder: string, packages: readonly string[], progress: (line: string) => void): Promise<void> {
  const options = ['--variant=apt', '--mode=root', `--include=${packages.join(',')}`]
  options.push(
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=APT::Install-Recommends "false"',
    '--dpkgopt=force-unsafe-io',
  )
  options.push(...['doc', 'man', 'locale', 'info'].map((kind) => `--dpkgopt=path-exclude=/usr/share/${kind}/*`))
  const child = spawn('mmdebstrap', [...options, SUITE, folder, ...(await sources())], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const lines: string[] = []
  child.stderr.setEncoding('utf8')
  const reading = (async () => {
    for await (const line of createInterface({ input: child.stderr })) {
      lines.push(line)
      if (line.startsWith('I: ') && line.endsWith('...')) progress(line.slice(3))
    }
  })()
  const rc = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  await reading
  if (rc !== 0) throw new Error(`mmdebstrap: exit status ${rc}\n${lines.slice(-15).join('\n')}`)
}

/**
 * The machine's own Debian mirrors, as lines of sources.list. None where apt knows none (another distribution): mmdebstrap
 * then takes its default.
 */
export async function sources(): Promise<string[]> {
  const { stdout } = await attempt([
    'apt-get',
    'indextargets',
    '--format',
    '$(CREATED_BY)|$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(SITE)',
  ])
  const lines = stdout.split('\n').flatMap((line) => {
    const [kind, origin, codename, component, site] = line.split('|')
    const pocket = codename?.split('-')[1]
    if (kind !== 'Packages' || origin !== 'Debian' || component !== 'main') return []
    if (pocket !== undefined && pocket !== 'updates' && pocket !== 'security') return []
    return [`deb ${site} ${pocket ? `${SUITE}-${pocket}` : SUITE} main`]
  })
  return [...new Set(lines)]
}
