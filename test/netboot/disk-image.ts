/** Small Debians that boot from a disk, and what machines load; built once into a cache outside the checkout. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sources } from '../lab/image.ts'
import { takeLock } from '../lab/lock.ts'
import { run } from '../lab/run.ts'

const BIN = join(import.meta.dirname, '../../bin/runbook.js')

const PACKAGES = [
  ...['systemd', 'systemd-sysv', 'dbus', 'udev', 'openssh-server', 'iproute2', 'zstd'],
  ...['linux-image-cloud-amd64', 'initramfs-tools'],
]
/** What Debian's own cloud images have. */
const CLOUD_PACKAGES = ['cloud-init', 'cloud-guest-utils', 'netplan.io', 'sudo']
/** MiB of the EFI system partition and of the root file system. */
const ESP = 16
const ROOT = { plain: 640, cloud: 880 } as const

/** `cloud`: with cloud-init, which then does what our installer does for the other. */
export type ImageKind = keyof typeof ROOT

/** Milliseconds for each step that needs the mirror. */
const TIMEOUT = 600_000

/** Where Debian's signed GRUB looks; the file system is found by its label. */
const GRUB = `search --no-floppy --label --set=root runbook-root
linux /vmlinuz root=LABEL=runbook-root ro console=tty0 console=ttyS0 quiet
initrd /initrd.img
boot
`

const FILES: Readonly<Record<string, string>> = {
  'etc/fstab': 'LABEL=runbook-root / ext4 defaults 0 1\n',
  // As it is in images that are meant for many machines: without keys and without an identity.
  'etc/machine-id': '',
  'etc/hostname': 'image\n',
  // A NIC has the same name on all machines, and the wait for it ends with the first.
  'etc/systemd/system/systemd-networkd-wait-online.service.d/any.conf':
    '[Service]\nExecStart=\nExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=60\n',
}

/** There are no locales to choose from. */
const CLOUD_FILES: Readonly<Record<string, string>> = { 'etc/cloud/cloud.cfg.d/90_image.cfg': 'locale: false\n' }

function filesOf(kind: ImageKind): Readonly<Record<string, string>> {
  return kind === 'cloud' ? { ...FILES, ...CLOUD_FILES } : FILES
}

function packagesOf(kind: ImageKind): string[] {
  return [...PACKAGES, ...(kind === 'cloud' ? CLOUD_PACKAGES : [])]
}

/** Changes with what goes into the image. */
function key(kind: ImageKind): string {
  return createHash('sha256')
    .update(JSON.stringify([packagesOf(kind), ESP, ROOT[kind], GRUB, filesOf(kind), 3]))
    .digest('hex')
    .slice(0, 12)
}

function cacheFolder(): string {
  const { XDG_CACHE_HOME } = process.env
  return XDG_CACHE_HOME ? join(XDG_CACHE_HOME, 'runbook-netboot') : '/var/cache/runbook-netboot'
}

export interface NetbootFiles {
  /** Loaders, installer and the image, for a files folder; to be copied or linked, not written to. */
  readonly folder: string
  /** In that folder. */
  readonly image: string
  readonly sha256: string
}

/** Builds what is not there: two minutes the first time. Needs root. */
export async function ensureNetbootFiles(
  progress: (line: string) => void,
  kind: ImageKind = 'plain',
): Promise<NetbootFiles> {
  const cache = cacheFolder()
  await mkdir(cache, { recursive: true })
  await using _ = await takeLock(join(cache, 'lock'), () => progress('another process builds what machines boot'))
  const image = `debian-${key(kind)}.raw.zst`
  const folder = join(cache, 'files')
  await mkdir(folder, { recursive: true })
  if (!existsSync(join(folder, image))) {
    const started = performance.now()
    await withFreshLists(progress, () => buildImage(kind, cache, join(folder, image)))
    progress(`disk image built in ${seconds(started)}`)
  }
  const started = performance.now()
  // The installer is ours: it is built by what is tested, again when that has changed.
  const config = join(cache, 'netboot.yml')
  await writeFile(config, 'interfaces: [lo]\nnetworks: [{subnet: 10.77.0.0/24}]\nfiles: files\n')
  const installer = await installerKey()
  if ((await readFile(join(cache, 'installer-key'), 'utf8').catch(() => '')) !== installer) {
    // The newest packages: what is pinned leaves the mirror some day.
    await withFreshLists(progress, async () => {
      for (const command of ['fetch-bootfiles', 'build-installer']) {
        await run([process.execPath, BIN, 'netboot', command, '--update', '-c', config], { timeoutMs: TIMEOUT })
      }
    })
    await writeFile(join(cache, 'installer-key'), installer)
    progress(`installer built in ${seconds(started)}`)
  }
  return {
    folder,
    image,
    sha256: createHash('sha256')
      .update(await readFile(join(folder, image)))
      .digest('hex'),
  }
}

/** Once more with new lists if it fails: the mirror may have left behind what apt knows of it. */
async function withFreshLists(progress: (line: string) => void, build: () => Promise<void>): Promise<void> {
  try {
    await build()
  } catch (error) {
    progress(`once more after apt-get update: ${(error as Error).message}`)
    await run(['apt-get', 'update', '-q'], { timeoutMs: TIMEOUT })
    await build()
  }
}

async function installerKey(): Promise<string> {
  const folder = join(import.meta.dirname, '../../src/netboot/installer')
  const hash = createHash('sha256')
  for (const name of (
    await Array.fromAsync(await import('node:fs/promises').then((fs) => fs.readdir(folder)))
  ).sort()) {
    hash.update(name).update(await readFile(join(folder, name)))
  }
  return hash.digest('hex')
}

async function buildImage(kind: ImageKind, cache: string, file: string): Promise<void> {
  const work = join(cache, 'building')
  await rm(work, { recursive: true, force: true })
  const root = join(work, 'root')
  await mkdir(work, { recursive: true })
  const excluded = ['doc', 'man', 'locale', 'info'].map((kind) => `--dpkgopt=path-exclude=/usr/share/${kind}/*`)
  await run(
    [
      ...[
        'mmdebstrap',
        '--quiet',
        '--mode=root',
        '--variant=essential',
        `--include=${packagesOf(kind).join(',')}`,
        ...excluded,
      ],
      ...[
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=APT::Install-Recommends "false"',
        '--dpkgopt=force-unsafe-io',
      ],
      ...['bookworm', root, ...(await sources())],
    ],
    { timeoutMs: TIMEOUT },
  )
  for (const [path, text] of Object.entries(filesOf(kind))) {
    await mkdir(join(root, path, '..'), { recursive: true })
    await writeFile(join(root, path), text)
  }
  await run(['sh', '-c', `rm -f '${root}'/etc/ssh/ssh_host_* && rm -rf '${root}'/var/lib/apt/lists/*`])

  const rootPart = join(work, 'root.ext4')
  await run(['mkfs.ext4', '-q', '-L', 'runbook-root', '-d', root, rootPart, `${ROOT[kind]}M`])
  const esp = join(work, 'esp.fat')
  await run(['mkfs.vfat', '-C', '-n', 'ESP', esp, String(ESP * 1024)])
  await writeFile(join(work, 'grub.cfg'), GRUB)
  for (const name of ['shim-signed', 'grub-efi-amd64-signed']) {
    await run([
      'sh',
      '-c',
      `cd '${work}' && apt-get -q download -o APT::Sandbox::User=root ${name} && dpkg-deb -x ${name}_*.deb efi`,
    ])
  }
  const efi = join(work, 'efi/usr/lib')
  await run(['mmd', '-i', esp, '::/EFI', '::/EFI/BOOT', '::/EFI/debian'])
  await run(['mcopy', '-i', esp, join(efi, 'shim/shimx64.efi.signed'), '::/EFI/BOOT/BOOTX64.EFI'])
  await run(['mcopy', '-i', esp, join(efi, 'grub/x86_64-efi-signed/grubx64.efi.signed'), '::/EFI/BOOT/grubx64.efi'])
  await run(['mcopy', '-i', esp, join(work, 'grub.cfg'), '::/EFI/debian/grub.cfg'])

  const raw = join(work, 'disk.raw')
  const table = `label: gpt\nstart=1MiB, size=${ESP}MiB, type=uefi\nstart=${1 + ESP}MiB, size=${ROOT[kind]}MiB, type=linux\n`
  await run(['truncate', '-s', `${ESP + ROOT[kind] + 2}M`, raw])
  await run(['sfdisk', '-q', raw], { input: table })
  await run(['dd', `if=${esp}`, `of=${raw}`, 'bs=1M', 'seek=1', 'conv=notrunc,sparse', 'status=none'])
  await run(['dd', `if=${rootPart}`, `of=${raw}`, 'bs=1M', `seek=${1 + ESP}`, 'conv=notrunc,sparse', 'status=none'])
  await run(['zstd', '-q', '-T0', '-3', raw, '-o', `${file}.new`])
  if ((await stat(`${file}.new`)).size < 10e6) throw new Error('the image is too small to be one')
  await rename(`${file}.new`, file)
  await rm(work, { recursive: true, force: true })
}

const seconds = (started: number): string => `${Math.round((performance.now() - started) / 1000)} s`
