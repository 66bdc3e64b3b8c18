/**
 * install.sh of the installer with its own busybox and zstd, in a chroot where a file stands for the disk, against a web
 * server that misbehaves. Partitions and file systems are install-file-systems.test.ts; what needs a kernel of its own (drivers,
 * DHCP, the reboot to the disk) is install.test.ts.
 */
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { run as runCommand } from '../lab/run.ts'
import { COMMAND_LINE, installerRoot, tellInstaller, writeDiskFiles } from './installer-root.ts'
import { firmwareTest, Namespace } from './lab.ts'
import { RACK_COMMANDS } from './rack.ts'

t.setTimeout(1800_000)

const DISK = 48 << 20
/** Does not compress, so that it comes in two chunks; the last part of a MiB is not full. */
const RAW = Buffer.concat([Buffer.alloc(512, 7), randomBytes(40_000_000)])
const IMAGE = zstdCompressSync(RAW)
const SHA256 = createHash('sha256').update(IMAGE).digest('hex')

interface Installed {
  readonly code: number | null
  /** The bytes of each disk. */
  readonly disks: ReadonlyMap<string, Buffer>
  /** Requests, in order. */
  readonly log: string
}

async function install(
  t: Test,
  {
    mode = '',
    orders = {},
    disks = { vdx: DISK },
  }: { mode?: string; orders?: Record<string, string>; disks?: Record<string, number> },
  prepare: (root: string) => void = () => {},
): Promise<Installed> {
  const root = await installerRoot(t)
  await runCommand(['mknod', '-m', '666', join(root, 'dev/null'), 'c', '1', '3'])
  await runCommand(['mknod', '-m', '666', join(root, 'dev/zero'), 'c', '1', '5'])
  writeDiskFiles(root, disks)
  for (const [name, size] of Object.entries(disks)) {
    writeFileSync(join(root, 'dev', name), '')
    truncateSync(join(root, 'dev', name), size)
  }
  prepare(root)
  for (const file of ['mounts', 'swaps']) writeFileSync(join(root, 'proc', file), '')
  writeFileSync(join(root, 'proc/cmdline'), COMMAND_LINE)
  writeFileSync(join(root, 'image'), IMAGE)

  const space = new Namespace(t)
  const told = await tellInstaller(space, { image: join(root, 'image'), sha256: SHA256, mode, orders })
  const { code, out } = await space.run('chroot', [root, '/bin/busybox', 'sh', '/runbook/install.sh'], 120)
  const log = told()
  t.comment(`${log}\n${out}`)
  const contents = Object.keys(disks).map((name) => [name, readFileSync(join(root, 'dev', name))] as const)
  return { code, disks: new Map(contents), log }
}

const isWhole = (disk: Buffer | undefined): boolean => disk?.subarray(0, RAW.length).equals(RAW) ?? false
const isEmpty = (disk: Buffer | undefined): boolean => disk?.every((byte) => byte === 0) ?? false
const headIsEmpty = (disk: Buffer | undefined): boolean => isEmpty(disk?.subarray(0, 1 << 20))

const scriptTest = (name: string, run: (t: Test) => Promise<void>): void =>
  firmwareTest(name, [...RACK_COMMANDS, 'busybox', 'chroot'], run)

for (const [mode, what] of Object.entries({ '': 'works', breaks: 'breaks off', busy: 'has no place for us' })) {
  scriptTest(`an image over a web server that ${what}`, async (t) => {
    const { disks, log } = await install(t, { mode })
    t.ok(isWhole(disks.get('vdx')))
    t.equal(disks.get('vdx')?.length, DISK)
    t.match(log, /"writes vdx: 0 %"[\s\S]*"writes vdx: [1-9]\d? %"[\s\S]*"image verified"[\s\S]*"status": "installed"/)
  })
}

scriptTest('what is not the image that was meant never boots', async (t) => {
  for (const [options, reason] of [
    [{ orders: { sha256: '0'.repeat(64) } }, /the image has the SHA-256 [0-9a-f]{64}, not 0{64}/],
    [{ mode: 'other' }, /the image on the server was changed meanwhile/],
  ] as const) {
    const { code, disks, log } = await install(t, options)
    t.equal(code, 1)
    t.match(log, new RegExp(`"status": "failed", "step": "${reason.source}`))
    t.ok(headIsEmpty(disks.get('vdx')))
  }
})

scriptTest('the right disk, or none', async (t) => {
  const two = { vdx: DISK, vdy: DISK, vdz: DISK * 2 }
  for (const [disk, written] of [
    ['serial:SERIAL-vdy', 'vdy'],
    [`size:${DISK + 1}-${DISK * 3}`, 'vdz'],
  ] as const) {
    const { disks } = await install(t, { disks: two, orders: { disk } })
    for (const [name, bytes] of disks) t.ok(name === written ? isWhole(bytes) : isEmpty(bytes), `${disk}: ${name}`)
  }
  for (const [disk, reason] of [
    ['smallest', /2 disks are smallest, so none is written to/],
    ['serial:SERIAL', /0 disks are serial:SERIAL/],
    [`size:${DISK}-${DISK * 2}`, /3 disks are size:/],
  ] as const) {
    const { code, disks, log } = await install(t, { disks: two, orders: { disk } })
    t.equal(code, 1)
    t.match(log, reason)
    for (const [name, bytes] of disks) t.ok(isEmpty(bytes), `${disk}: ${name}`)
  }
})

scriptTest('a full disk holds data, and so does a line feed, and what cannot be read', async (t) => {
  // A pipe that ends at the first byte, with pipefail, would take just this one for empty: tr dies of SIGPIPE.
  const full = randomBytes(DISK)
  const whole = await install(t, {}, (root) => writeFileSync(join(root, 'dev/vdx'), full))
  t.match(whole.log, /vdx \(SERIAL-vdx\) holds data/)
  t.ok(whole.disks.get('vdx')?.equals(full), 'not a byte is written')
  const lineFeed = await install(t, {}, (root) => {
    const disk = Buffer.alloc(DISK)
    disk[510] = 10
    writeFileSync(join(root, 'dev/vdx'), disk)
  })
  t.match(lineFeed.log, /vdx \(SERIAL-vdx\) holds data/)
  t.equal(lineFeed.disks.get('vdx')?.[510], 10)
  const short = await install(t, {}, (root) => truncateSync(join(root, 'dev/vdx'), DISK - 512))
  t.match(short.log, /vdx \(SERIAL-vdx\) holds data/)
  t.ok(isEmpty(short.disks.get('vdx')))
})

scriptTest('data is kept unless the profile says wipe', async (t) => {
  for (const at of [(1 << 20) - 1, DISK - 4096]) {
    const put = (root: string): void => {
      const disk = Buffer.alloc(DISK)
      disk.write('x', at)
      writeFileSync(join(root, 'dev/vdx'), disk)
    }
    const kept = await install(t, {}, put)
    t.match(kept.log, /vdx \(SERIAL-vdx\) holds data, and the profile does not say wipe/)
    t.equal(kept.disks.get('vdx')?.[at], 'x'.charCodeAt(0))
    t.equal(
      kept.disks.get('vdx')?.reduce((sum, byte) => sum + byte, 0),
      'x'.charCodeAt(0),
    )
    const wiped = await install(t, { orders: { wipe: 'yes' } }, put)
    t.ok(isWhole(wiped.disks.get('vdx')))
    t.ok(isEmpty(wiped.disks.get('vdx')?.subarray(-8192)), 'an old table at the end is gone')
  }
})
