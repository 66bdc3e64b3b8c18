/** The installer's own RAM disk as a folder, and a web server that gives it its orders, its seed and an image. */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { run } from '../lab/run.ts'
import { ensureNetbootFiles } from './disk-image.ts'
import type { Namespace } from './namespace.ts'

/** The web server, as a program: `MODE` is how it misbehaves. */
const SERVER = `
const fs = require('fs')
const file = fs.openSync(process.env.IMAGE)
const { size } = fs.fstatSync(file)
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
    const [from, to] = [Number(first), Math.min(Number(last), size - 1)]
    const mode = process.env.MODE
    if (mode === 'busy' && asked % 2 === 0) return r.writeHead(503).end()
    const etag = mode === 'other' && asked > 2 ? '"two"' : '"one"'
    r.writeHead(206, { etag, 'content-range': 'bytes ' + from + '-' + to + '/' + size, 'content-length': to - from + 1 })
    // Part by part, as a server does that reads a file: what the client does meanwhile has an effect.
    const end = mode === 'breaks' && asked % 3 === 2 ? Math.min(to + 1, from + 7e6) : to + 1
    const send = (at) => {
      if (at < end) {
        const part = Buffer.alloc(Math.min(512 << 10, end - at))
        fs.readSync(file, part, 0, part.length, at)
        return r.write(part, () => send(at + part.length))
      }
      if (end === to + 1) r.end()
      else r.destroy()
    }
    send(from)
  })
}).listen(80, '127.0.0.1', () => console.log('listening'))
`

let template: Promise<string> | undefined

/** Unpacked once in a process. */
function unpacked(t: Test): Promise<string> {
  template ??= (async () => {
    const { folder } = await ensureNetbootFiles((line) => t.comment(line))
    const root = mkdtempSync(join(tmpdir(), 'runbook-installer-'))
    process.once('exit', () => rmSync(root, { recursive: true, force: true }))
    const wanted = "init 'bin/*' 'sbin/*' 'usr/*' 'lib/lib*' 'lib64/*' 'runbook/*'"
    const initrd = `${folder}/installer/initrd`
    await run(['sh', '-c', `zstd -dcq '${initrd}' | (cd '${root}' && busybox cpio -idm ${wanted} 2>/dev/null)`])
    return root
  })()
  return template
}

/** A copy of the RAM disk, without its kernel modules, in which `chroot` finds all that install.sh runs. */
export async function installerRoot(t: Test): Promise<string> {
  const root = mkdtempSync(join(tmpdir(), 'runbook-install-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  await run(['cp', '-a', `${await unpacked(t)}/.`, root])
  for (const one of ['dev', 'mnt', 'proc', 'run', 'sys', 'tmp']) mkdirSync(join(root, one), { recursive: true })
  // There is no kernel of its own here whose NICs could be brought up.
  appendFileSync(join(root, 'runbook/common.sh'), 'network() { split_url "$1"; }\n')
  await run(['chroot', root, '/bin/busybox', '--install', '-s', '/bin'])
  return root
}

/** What stands on the kernel's command line. */
export const COMMAND_LINE = 'runbook.seed=http://127.0.0.1/s runbook.report=http://127.0.0.1/r\n'

export interface Told {
  /** Absolute path of the image. */
  readonly image: string
  /** Of the image. */
  readonly sha256: string
  readonly mode?: string
  /** Over `smallest`, and no to all the rest. */
  readonly orders?: Readonly<Record<string, string>>
}

/** Starts the web server in the namespace; gives what it was asked so far, in order. */
export async function tellInstaller(
  space: Namespace,
  { image, sha256, mode = '', orders }: Told,
): Promise<() => string> {
  const all = {
    image: 'http://127.0.0.1/image',
    sha256,
    disk: 'smallest',
    wipe: 'no',
    inject: 'no',
    grow: 'no',
    name: 'n1',
    ...orders,
  }
  const text = Object.entries(all).map(([key, value]) => `${key}=${value}\n`)
  const env = [`ORDERS=${text.join('')}`, `MODE=${mode}`, `IMAGE=${image}`]
  const server = space.start('env', [...env, process.execPath, '-e', SERVER])
  let log = ''
  await new Promise<void>((listening) => {
    server.stdout?.on('data', (part) => {
      log += part
      if (log.includes('listening')) listening()
    })
  })
  return () => log
}

/** For disks that are files. */
export function writeDiskFiles(root: string, disks: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(disks)) {
    const sys = join(root, 'sys/block', name)
    mkdirSync(sys, { recursive: true })
    for (const [file, text] of Object.entries({ size: size / 512, ro: 0, removable: 0, serial: `SERIAL-${name}` }))
      writeFileSync(join(sys, file), `${text}`)
  }
}
