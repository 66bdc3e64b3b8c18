/**
 * What install.sh makes of the system on an image: found, configured and grown on real partitions with real file systems, by
 * the tools and in the RAM disk of the installer. A loop device stands for the disk.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { COMMAND_LINE, installerRoot, tellInstaller } from './installer-root.ts'
import { firmwareTest, Namespace } from './lab.ts'
import { RACK_COMMANDS } from './rack.ts'

t.setTimeout(1800_000)

const MIB = 1 << 20
/** mkfs.xfs makes nothing below 300 MiB. */
const IMAGE = 340 * MIB
const DISK = 640 * MIB
const COMMANDS = [...RACK_COMMANDS, 'mkfs.xfs', 'mkfs.btrfs', 'pvcreate', 'losetup', 'partx', 'busybox', 'chroot']

const sh = (script: string): string => execFileSync('sh', ['-c', `set -e; ${script}`], { encoding: 'utf8' })

/** A system that an image may hold, below `folder`. */
function writeSystem(folder: string, files: Readonly<Record<string, string>> = {}): void {
  const all = {
    'etc/os-release': 'ID=test\n',
    'etc/machine-id': 'of the image\n',
    'etc/ssh/ssh_host_ed25519_key': 'known to all\n',
    ...files,
  }
  for (const path of ['dev', 'proc', 'sys', 'etc/systemd/network', 'etc/systemd/system', 'root', 'var']) {
    mkdirSync(join(folder, path), { recursive: true })
  }
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(join(folder, path, '..'), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
}

class Loop {
  /** Absolute path. */
  readonly device: string
  readonly folder: string

  constructor(t: Test, size: number) {
    this.folder = mkdtempSync(join(tmpdir(), 'runbook-loop-'))
    const file = join(this.folder, 'disk.raw')
    writeFileSync(file, '')
    truncateSync(file, size)
    mkdirSync(join(this.folder, 'mnt'))
    this.device = sh(`losetup --find --show --partscan '${file}'`).trim()
    t.teardown(() => {
      execFileSync('losetup', ['--detach', this.device])
      rmSync(this.folder, { recursive: true, force: true })
    })
  }

  get name(): string {
    return this.device.replace('/dev/', '')
  }

  /** Has the kernel look at the partition table. partx: the kernels of some test machines can read none themselves. */
  reread(): void {
    execFileSync('partx', ['--update', this.device])
  }

  /** Partition `number`, once the kernel has told of it. */
  part(number: number): string {
    const part = `${this.device}p${number}`
    sh(`for i in $(seq 100); do [ -b ${part} ] && exit 0; sleep 0.1; done; echo no ${part} >&2; exit 1`)
    return part
  }

  /** Does something with a file system, which is mounted meanwhile. */
  mounted<T>(part: string, options: string, work: (folder: string) => T): T {
    const folder = join(this.folder, 'mnt')
    execFileSync('mount', [...(options ? ['-o', options] : []), part, folder])
    try {
      return work(folder)
    } finally {
      execFileSync('umount', [folder])
    }
  }

  /** GPT: an EFI system partition, and the rest. */
  partition(): string {
    execFileSync('sfdisk', ['-q', '--wipe=never', this.device], {
      input: 'label: gpt\nstart=1MiB, size=2MiB, type=uefi\nstart=3MiB, type=linux\n',
    })
    this.reread()
    return this.part(2)
  }
}

interface Installed {
  readonly code: number | null
  /** What the web server was asked and told. */
  readonly log: string
  readonly disk: Loop
}

/** Writes an image that `make` made to a larger disk, and gives the disk. */
async function install(t: Test, make: (disk: Loop) => void, grow = true): Promise<Installed> {
  const source = new Loop(t, IMAGE)
  make(source)
  sh(`sync ${source.device}; blockdev --flushbufs ${source.device}`)
  const image = join(source.folder, 'image.zst')
  execFileSync('zstd', ['-q', '-1', join(source.folder, 'disk.raw'), '-o', image])
  const disk = new Loop(t, DISK)
  const root = await installerRoot(t)
  appendFileSync(
    join(root, 'runbook/common.sh'),
    `# Of the disks that there are, this one alone is to be seen.
disks() { echo ${disk.name}; }
argument() { sed 's/ /\\n/g' /run/cmdline | sed -n "s/^$1=//p"; }
# See Loop.reread. Where there is no table, there is nothing to tell.
blockdev() { [ "$1" != --rereadpt ] || { chroot /host partx --update "$2" 2>/dev/null || :; return 0; }; /bin/busybox blockdev "$@"; }
`,
  )
  mkdirSync(join(root, 'host'))
  writeFileSync(join(root, 'run/cmdline'), COMMAND_LINE)
  const space = new Namespace(t)
  const sha256 = createHash('sha256').update(readFileSync(image)).digest('hex')
  const told = await tellInstaller(space, { image, sha256, orders: { inject: 'yes', grow: grow ? 'yes' : 'no' } })
  // A command in a namespace has mounts of its own, which end with it.
  const script = `mount --rbind / '${root}/host'; for one in dev proc sys; do mount --rbind /$one '${root}'/$one; done
    exec chroot '${root}' /bin/busybox sh /runbook/install.sh`
  const { code, out } = await space.run('sh', ['-c', script], 300)
  t.comment(`${told()}\n${out}`)
  // What the installer wrote through its own view of the partitions is on the disk; the kernel's is read anew.
  if (code === 0) disk.reread()
  return { code, log: told(), disk }
}

const sizeOf = (folder: string): number => Number(sh(`df -B1 --output=size '${folder}' | tail -n 1`))

/** ext4 alone asks for CAP_SYS_RESOURCE (24) to grow; that it does is what install.test.ts sees, too. */
const mayGrowExt4 =
  ((BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`) >> 24n) & 1n) === 1n

const KINDS: Readonly<Record<string, (part: string) => void>> = {
  ext4: (part) => sh(`mkfs.ext4 -q ${part}`),
  xfs: (part) => sh(`mkfs.xfs -q ${part}`),
  btrfs: (part) => sh(`mkfs.btrfs -q ${part}`),
}

for (const [kind, format] of Object.entries(KINDS)) {
  firmwareTest(`a system on ${kind} is configured, and has the whole disk`, COMMANDS, async (t) => {
    const grows = kind !== 'ext4' || mayGrowExt4
    const make = (image: Loop): void => {
      const part = image.partition()
      format(part)
      image.mounted(part, '', (folder) => {
        t.ok(sizeOf(folder) < IMAGE)
        writeSystem(folder, { 'etc/selinux/config': '# a comment\nSELINUX=enforcing\n' })
      })
    }
    const { code, log, disk } = await install(t, make, grows)
    t.equal(code, 0)
    t.match(log, /"status": "installed"/)
    if (grows) {
      t.match(log, new RegExp(`p2 \\(${kind}\\) has 63\\d MiB`))
      const size = Number(sh(`blockdev --getsize64 ${disk.part(2)}`))
      t.ok(size > 635 * MIB && size < 637 * MIB, `${size} bytes: up to GPT's second table`)
    }
    disk.mounted(disk.part(2), '', (folder) => {
      t.equal(sizeOf(folder) > 500 * MIB, grows, `${sizeOf(folder)} bytes`)
      const read = (path: string): string => readFileSync(join(folder, path), 'utf8')
      t.equal(read('etc/hostname'), 'n1\n')
      t.equal(read('etc/machine-id'), '')
      t.equal(read('root/.ssh/authorized_keys'), 'ok')
      t.equal(read('var/lib/runbook/phone-home'), 'ok')
      t.equal(read('.autorelabel'), '')
      t.throws(() => read('etc/ssh/ssh_host_ed25519_key'), { code: 'ENOENT' })
    })
    if (kind === 'xfs') t.match(sh(`xfs_repair -n ${disk.part(2)} 2>&1`), /No modify flag set, skipping/)
    if (kind === 'btrfs') t.match(sh(`btrfs check ${disk.part(2)} 2>&1`), /no error found/)
    if (kind === 'ext4') t.equal(sh(`e2fsck -fn ${disk.part(2)} >/dev/null 2>&1 && echo clean`), 'clean\n')
  })
}

firmwareTest('a system in a subvolume, with a /var of its own', COMMANDS, async (t) => {
  const { code, disk } = await install(t, (image) => {
    const part = image.partition()
    execFileSync('mkfs.btrfs', ['-q', part])
    const uuid = sh(`blkid -o value -s UUID ${part}`).trim()
    image.mounted(part, '', (folder) => {
      for (const name of ['root', 'var']) execFileSync('btrfs', ['-q', 'subvolume', 'create', join(folder, name)])
      const fstab = `# by the image\nUUID=${uuid} / btrfs subvol=root 0 0\nUUID=${uuid} /var btrfs compress=zstd:1,subvol=var,x-systemd.device-timeout=0 0 0\n`
      writeSystem(join(folder, 'root'), { 'etc/fstab': fstab })
    })
  })
  t.equal(code, 0)
  disk.mounted(disk.part(2), '', (folder) => {
    t.ok(sizeOf(folder) > 500 * MIB)
    t.equal(readFileSync(join(folder, 'root/etc/hostname'), 'utf8'), 'n1\n')
    t.equal(readFileSync(join(folder, 'var/lib/runbook/phone-home'), 'utf8'), 'ok')
    t.throws(() => readFileSync(join(folder, 'root/var/lib/runbook/phone-home')), { code: 'ENOENT' })
  })
})

firmwareTest('a /var on another disk is not written to', COMMANDS, async (t) => {
  const make = (image: Loop): void => {
    const part = image.partition()
    execFileSync('mkfs.ext4', ['-q', part])
    image.mounted(part, '', (folder) =>
      writeSystem(folder, { 'etc/fstab': 'LABEL=elsewhere /var ext4 defaults 0 2\n' }),
    )
  }
  const { code, log } = await install(t, make, false)
  t.equal(code, 1)
  t.match(log, /"failed", "step": "the image has a \/var of its own, LABEL=elsewhere, which is not on loop\d+;/)
})

const pvcreate = (device: string): string => sh(`pvcreate -qq -y --config 'global { use_lvmpolld=0 }' ${device}`)

for (const [what, make, reason] of [
  [
    'LVM on a partition',
    (image: Loop) => pvcreate(image.partition()),
    /"failed", "step": "no system was found: loop\d+p1 is something else, loop\d+p2 is LVM\. Only ext4, xfs and btrfs/,
  ],
  [
    'LVM on the bare disk',
    (image: Loop) => pvcreate(image.device),
    /"failed", "step": "no partitions were found on loop\d+: all of it is LVM\./,
  ],
  [
    'a file system on the bare disk',
    (image: Loop) => image.device && sh(`mkfs.ext4 -q -F ${image.device}`),
    /"failed", "step": "no partitions were found on loop\d+: its sectors have 512 bytes/,
  ],
  [
    'partitions without a system',
    (image: Loop) => sh(`mkfs.ext4 -q ${image.partition()}`),
    /"failed", "step": "no system was found: loop\d+p1 is something else, loop\d+p2 is something else\./,
  ],
] as const) {
  firmwareTest(`an image that cannot be looked into says what it has: ${what}`, COMMANDS, async (t) => {
    const { code, log, disk } = await install(t, make)
    t.equal(code, 1)
    t.match(log, reason)
    t.equal(sh(`head -c 1048576 ${disk.device} | tr -d '\\0' | wc -c`), '0\n', 'and the disk does not boot')
  })
}
