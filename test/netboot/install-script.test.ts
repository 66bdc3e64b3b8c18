/**
 * install.sh of the installer with its own busybox and zstd, in a chroot where a file stands for the disk, against a web
 * server that misbehaves. What needs a kernel of its own (drivers, DHCP, partitions, the injection) is install.test.ts.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { run as runCommand } from '../lab/run.ts'
import { ensureNetbootFiles } from './disk-image.ts'
import { firmwareTest, Namespace } from './lab.ts'
import { RACK_COMMANDS } from './rack.ts'

t.setTimeout(1800_000)

const DISK = 48 << 20
/** Does not compress, so that it comes in two chunks; the last part of a MiB is not full. */
const RAW = Buffer.concat([Buffer.alloc(512, 7), randomBytes(40_000_000)])
const IMAGE = zstdCompressSync(RAW)
const SHA256 = createHash('sha256').update(IMAGE).digest('hex')

/** The web server, as a program: `MODE` is how it misbehaves. */
const SERVER = `
const data = require('fs').readFileSync(process.env.IMAGE)
let asked = 0
require('http').createServer((q, r) => {
  let body = ''
  q.on('data', (part) => (body += part))
  q.on('end', () => {
    console.log([q.method, q.url, q.headers.range, body].filter(Boolean).join(' '))
    if (q.url === '/s/install') return r.end(process.env.ORDERS)
    if (q.url !== '/image') return r.end('ok')
    asked++
    const [, first, last] = /bytes=(\\d+)-(\\d+)/.exec(q.headers.range)
    const [from, to] = [Number(first), Math.min(Number(last), data.length - 1)]
    const mode = process.env.MODE
    if (mode === 'busy' && asked % 2 === 0) return r.writeHead(503).end()
    const etag = mode === 'other' && asked > 2 ? '"two"' : '"one"'
    r.writeHead(206, { etag, 'content-range': 'bytes ' + from + '-' + to + '/' + data.length, 'content-length': to - from + 1 })
    // Part by part, as a server does that reads a file: what the client does meanwhile has an effect.
    const end = mode === 'breaks' && asked % 3 === 2 ? Math.min(to + 1, from + 7e6) : to + 1
    const send = (at) => {
      if (at < end) return r.write(data.subarray(at, Math.min(at + (512 << 10), end)), () => send(at + (512 << 10)))
      if (end === to + 1) r.end()
      else r.destroy()
    }
    send(from)
  })
}).listen(80, '127.0.0.1', () => console.log('listening'))
`

let template: Promise<string> | undefined
/** The RAM disk of the installer, without its kernel modules. */
function unpacked(): Promise<string> {
  template ??= (async () => {
    const { folder } = await ensureNetbootFiles((line) => t.comment(line))
    const root = mkdtempSync(join(tmpdir(), 'runbook-install-'))
    t.teardown(() => rmSync(root, { recursive: true, force: true }))
    const wanted = "init 'bin/*' 'usr/*' 'lib/lib*' 'lib64/*' 'runbook/*'"
    await runCommand([
      'sh',
      '-c',
      `zstd -dcq '${folder}/installer/initrd' | (cd '${root}' && busybox cpio -idm ${wanted} 2>/dev/null)`,
    ])
    return root
  })()
  return template
}

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
  const root = mkdtempSync(join(tmpdir(), 'runbook-install-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  await runCommand(['cp', '-a', `${await unpacked()}/.`, root])
  for (const one of ['dev', 'proc', 'run', 'tmp']) mkdirSync(join(root, one), { recursive: true })
  await runCommand(['mknod', '-m', '666', join(root, 'dev/null'), 'c', '1', '3'])
  await runCommand(['mknod', '-m', '666', join(root, 'dev/zero'), 'c', '1', '5'])
  for (const [name, size] of Object.entries(disks)) {
    const sys = join(root, 'sys/block', name)
    mkdirSync(sys, { recursive: true })
    for (const [file, text] of Object.entries({ size: size / 512, ro: 0, removable: 0, serial: `SERIAL-${name}` }))
      writeFileSync(join(sys, file), `${text}`)
    writeFileSync(join(root, 'dev', name), '')
    truncateSync(join(root, 'dev', name), size)
  }
  prepare(root)
  for (const file of ['mounts', 'swaps']) writeFileSync(join(root, 'proc', file), '')
  writeFileSync(join(root, 'proc/cmdline'), 'runbook.seed=http://127.0.0.1/s runbook.report=http://127.0.0.1/r\n')
  // There is no kernel of its own here whose NICs could be brought up.
  writeFileSync(join(root, 'runbook/common.sh'), 'network() { split_url "$1"; }\n', { flag: 'a' })
  await runCommand(['chroot', root, '/bin/busybox', '--install', '-s', '/bin'])
  writeFileSync(join(root, 'image'), IMAGE)

  const space = new Namespace(t)
  const all = {
    image: 'http://127.0.0.1/image',
    sha256: SHA256,
    disk: 'smallest',
    wipe: 'no',
    inject: 'no',
    grow: 'no',
    name: 'n1',
    ...orders,
  }
  const text = Object.entries(all)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
  const env = [`ORDERS=${text}`, `MODE=${mode}`, `IMAGE=${join(root, 'image')}`]
  const server = space.start('env', [...env, process.execPath, '-e', SERVER])
  let log = ''
  await new Promise<void>((listening) => {
    server.stdout?.on('data', (part) => {
      log += part
      if (log.includes('listening')) listening()
    })
  })
  const { code, out } = await space.run('chroot', [root, '/bin/busybox', 'sh', '/runbook/install.sh'], 120)
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
