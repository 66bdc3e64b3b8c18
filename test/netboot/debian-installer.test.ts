/**
 * Debian's own installer by the example of docs/netboot.md: from an empty disk to the applied playbook. The rack has no way
 * out: packages come through a mirror of the test's own, which asks Debian's for them.
 */
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { gunzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { sources } from '../lab/image.ts'
import { ensureNetbootFiles } from './disk-image.ts'
import { firmwareTest } from './lab.ts'
import { RACK_COMMANDS, Rack } from './rack.ts'

t.setTimeout(2 * 3600_000)

const PACKAGE = 'debian-installer-12-netboot-amd64'
const IMAGES = './usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64'
const MIRROR = '10.77.0.1:3142'

async function siteOfMirror(): Promise<string> {
  return /^deb (\S+)/.exec((await sources())[0] ?? '')?.[1]?.replace(/\/$/, '') ?? 'http://deb.debian.org/debian'
}

/** Whether the mirror has the installer's own packages (.udeb), which some proxies of packages do not know. */
async function hasInstallersPackages(site: string): Promise<boolean> {
  const index = await fetch(`${site}/dists/bookworm/main/debian-installer/binary-amd64/Packages.gz`)
  if (!index.ok) return false
  const text = gunzipSync(Buffer.from(await index.arrayBuffer())).toString()
  const [, path] = /^Filename: (.*)$/m.exec(text) ?? []
  return path !== undefined && (await fetch(`${site}/${path}`, { method: 'HEAD' })).ok
}

/** Debian's mirror at an address of the rack. */
async function mirror(t: Test, rack: Rack, site: string): Promise<void> {
  const server = createServer(async ({ url = '/', method = 'GET', headers: { range } }, response) => {
    try {
      const answer = await fetch(new URL(url, site), {
        method,
        headers: { 'accept-encoding': 'identity', ...(range === undefined ? {} : { range }) },
      })
      const kept = ['content-length', 'content-range', 'last-modified'].flatMap((name) => {
        const value = answer.headers.get(name)
        return value === null ? [] : [[name, value] as const]
      })
      response.writeHead(answer.status, Object.fromEntries(kept))
      if (answer.body) await pipeline(Readable.fromWeb(answer.body as never), response)
      else response.end()
    } catch {
      response.destroy() // The installer asks again.
    }
  })
  const socket = join(rack.folder, 'mirror')
  await new Promise<void>((done) => server.listen(socket, done))
  t.teardown(() => server.close())
  const [address, port] = MIRROR.split(':') as [string, string]
  rack.space.start(process.execPath, [join(import.meta.dirname, 'tcp-to-socket.ts'), address, port, socket])
}

/** Kernel and initrd of the installer, and our loader, in a folder of files. */
async function filesOf(rack: Rack, say: (line: string) => void): Promise<void> {
  const files = join(rack.folder, 'files')
  mkdirSync(join(files, 'debian'), { recursive: true })
  const { folder } = await ensureNetbootFiles(say)
  copyFileSync(join(folder, 'ipxe.efi'), join(files, 'ipxe.efi'))
  const unpacked = mkdtempSync(join(tmpdir(), 'runbook-debian-installer-'))
  try {
    execFileSync('apt-get', ['download', '-q', PACKAGE], { cwd: unpacked, stdio: ['ignore', 2, 2] })
    const deb = join(unpacked, readdirSync(unpacked).find((name) => name.endsWith('.deb'))!)
    const wanted = ['linux', 'initrd.gz'].map((name) => `${IMAGES}/${name}`)
    execFileSync('sh', [
      '-c',
      `dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" "$3" "$4"`,
      'sh',
      deb,
      unpacked,
      ...wanted,
    ])
    for (const path of wanted) copyFileSync(join(unpacked, path), join(files, 'debian', path.split('/').at(-1)!))
  } finally {
    rmSync(unpacked, { recursive: true, force: true })
  }
}

/** The profile and its files as the documentation has them, for a machine of this rack. */
function example(rack: Rack): void {
  const text = readFileSync(join(import.meta.dirname, '../../docs/netboot.md'), 'utf8')
  const section = /^### Debian$([\s\S]*?)^### /m.exec(text)![1]!
  const profile = /```yaml\n(profiles:\n[\s\S]*?)```/.exec(section)![1]!
  const path = join(rack.folder, 'netboot.yml')
  const own = readFileSync(path, 'utf8')
    .replace(/^files: .*$/m, 'files: files')
    // Without a way out the installer asks whether to go on.
    .replace('10.77.0.0/24,', '10.77.0.0/24, router: 10.77.0.1, dns: [10.77.0.1],')
    .replace(/^profiles:[\s\S]*/m, '')
  const here = profile
    .replace('/dev/sda', '/dev/vda')
    .replace(/(cmdline: .*)/, '$1 console=ttyS0')
    .replace(/^( +)vars:/m, '$1apply: site.yml\n$1vars:')
  writeFileSync(path, `${own}${here}assign: {default: debian-preseed}\n`)
  for (const [, name, body] of section.matchAll(/^`([\w.-]+)`[^\n]*:\n\n```\w*\n([\s\S]*?)```/gm)) {
    const changed = body!
      .replace('hostname string deb.debian.org', `hostname string ${MIRROR}`)
      // Security and updates come from hosts that the rack does not reach.
      .replace(/^(d-i mirror\/http\/proxy.*)$/m, '$1\nd-i apt-setup/services-select multiselect')
    writeFileSync(join(rack.folder, name!), changed)
  }
}

firmwareTest(
  "Debian's own installer",
  [...RACK_COMMANDS, 'apt-get'],
  async (t) => {
    const started = Date.now()
    const say = (line: string): void => t.comment(`${Math.round((Date.now() - started) / 1000)} s  ${line}`)
    const rack = await Rack.make(t, { say })
    truncateSync(join(rack.folder, 'disk.raw'), 6 * 2 ** 30)
    await filesOf(rack, say)
    example(rack)
    const site = await siteOfMirror()
    await mirror(t, rack, site)
    await rack.serve()
    t.match(await rack.runbook(['netboot', 'repave', 'n1']), { code: 0 })
    await rack.power('on')
    await rack.until(/n1 .*reads preseed\.cfg/)
    t.match(await rack.runbook(['netboot', 'status', 'n1']), { code: 0, out: /n1 +installing .*reads preseed\.cfg/s })
    const skip = !(await hasInstallersPackages(site)) && `${site} has no packages of the installer (.udeb)`
    await t.test('to the applied playbook', { skip }, async (t) => {
      await rack.until(/n1 .* installed/, 5400)
      await rack.until(/n1 .*site\.yml applied/, 1200)
      t.equal(await rack.ssh('cat /etc/applied'), 'by runbook\n')
      t.match(await rack.runbook(['netboot', 'status', 'n1']), { code: 0, out: /n1 +reachable/ })
    })
  },
  { full: true },
)
