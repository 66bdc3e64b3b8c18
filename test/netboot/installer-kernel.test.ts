/** What the installer's own kernel, with the modules in its RAM disk and no others, makes of disks: under emulation, without firmware. */
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ensureNetbootFiles } from './disk-image.ts'
import { firmwareTest, Namespace } from './lab.ts'
import { RACK_COMMANDS } from './rack.ts'

t.setTimeout(1800_000)

const MIB = 1 << 20
const KINDS = ['ext4', 'xfs', 'btrfs'] as const

/** In the place of install.sh: grows the second partition of each disk by grow.sh, and says what is there before and after. */
const SCRIPT = `. /runbook/common.sh
report() { echo "REPORT $*"; }
fail() { echo "FAILED $kind: $*"; exit 1; }
size() { df -k /mnt | awk 'END { print "SIZE", kind, $2 }' kind=$kind; }
${KINDS.map(
  (kind, i) => `kind=${kind} disk=vd${'abc'[i]} part=vd${'abc'[i]}2 sectors=$(cat /sys/block/vd${'abc'[i]}/size)
mount -t $kind /dev/$part /mnt || fail 'cannot be mounted'
size
dd if=/dev/$disk of=/run/first bs=1M count=1 2>/dev/null
. /runbook/grow.sh
size
umount /mnt
`,
).join('')}echo ALL DONE
`

firmwareTest(
  'the kernel of the installer knows the file systems of images, and grows them',
  [...RACK_COMMANDS, 'mkfs.xfs', 'mkfs.btrfs', 'losetup', 'busybox'],
  async (t) => {
    const { folder: files } = await ensureNetbootFiles((line) => t.comment(line))
    const folder = t.testdir({ over: { runbook: { 'install.sh': SCRIPT } } })
    const initrd = join(folder, 'initrd')
    copyFileSync(join(files, 'installer/initrd'), initrd)
    // A second archive behind the first one: its files replace those of the first.
    truncateSync(initrd, Math.ceil(statSync(initrd).size / 512) * 512)
    const over = { cwd: join(folder, 'over'), input: 'runbook/install.sh\n' }
    appendFileSync(
      initrd,
      execFileSync('busybox', ['cpio', '-o', '-H', 'newc'], { ...over, stdio: ['pipe', 'pipe', 'ignore'] }),
    )

    mkdirSync(join(folder, 'disks'))
    const disks = KINDS.map((kind) => {
      const disk = join(folder, 'disks', kind)
      writeFileSync(disk, '')
      truncateSync(disk, 340 * MIB)
      execFileSync('sfdisk', ['-q', disk], {
        input: 'label: gpt\nstart=1MiB, size=2MiB, type=uefi\nstart=3MiB, size=336MiB, type=linux\n',
      })
      const place = ['--offset', `${3 * MIB}`, '--sizelimit', `${336 * MIB}`]
      const loop = execFileSync('losetup', ['--find', '--show', ...place, disk], { encoding: 'utf8' }).trim()
      try {
        execFileSync(`mkfs.${kind}`, ['-q', loop], { stdio: 'ignore' })
      } finally {
        execFileSync('losetup', ['--detach', loop])
      }
      truncateSync(disk, 640 * MIB)
      return disk
    })

    const serial = join(folder, 'serial')
    const space = new Namespace(t)
    await space.run(
      'qemu-system-x86_64',
      [
        ...['-M', 'q35,accel=tcg', '-cpu', 'max', '-m', '1024', '-nodefaults', '-display', 'none', '-no-reboot'],
        ...['-serial', `file:${serial}`, '-kernel', join(files, 'installer/linux'), '-initrd', initrd],
        ...['-append', 'console=ttyS0 runbook.mode=install runbook.report=http://127.0.0.1/r'],
        ...disks.flatMap((disk) => ['-drive', `if=virtio,format=raw,cache=unsafe,file=${disk}`]),
      ],
      600,
    )
    const said = existsSync(serial) ? readFileSync(serial, 'latin1') : ''
    if (!said.includes('ALL DONE')) t.comment(said.slice(-3000))
    t.ok(said.includes('ALL DONE'), 'came to its end')
    t.notMatch(said, 'FAILED')
    for (const kind of KINDS) {
      const [before = 0, after = 0] = [...said.matchAll(new RegExp(`SIZE ${kind} (\\d+)`, 'g'))].map(([, kib]) =>
        Number(kib),
      )
      t.ok(before > 250_000 && before < 350_000, `${kind}: ${before} KiB`)
      t.ok(after > 550_000, `${kind}: ${after} KiB`)
    }
  },
)
