/** What a site without a way out has: an apt mirror, a vendor's repository and one of Kubernetes, releases with checksums. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join, normalize } from 'node:path'
import type { Test } from 'tap'
import type { Lab } from '../lab/index.ts'
import { makeKey, must, scratch } from '../modules/repository.ts'

export interface Mirror {
  /** Base URL; the hosts reach it. */
  readonly url: string
  /** The same on this machine. */
  readonly folder: string
  /** File of the armoured key that signs all repositories. */
  readonly keyFile: string
  sha256(file: string): string
}

/** Version of the packages that are made here; Debian's own containerd is in them. */
export const VENDOR_VERSION = '1.6.99-1'
export const KUBERNETES = 'v1.34.4'
const PROGRAMS = ['kubeadm', 'kubelet', 'kubectl'] as const
/** Parts of a containerd release, in its folder bin. */
const CONTAINERD = ['containerd', 'ctr', 'containerd-shim-runc-v2'] as const

/**
 * Makes it and serves it. containerd and runc are Debian's own, of the package and of the lab's image; Kubernetes' programs are
 * scripts, for nobody runs them here but to ask kubeadm for the pause image.
 */
export async function serveMirror(t: Test, lab: Lab): Promise<Mirror> {
  const folder = scratch()
  const home = join(folder, '../', `${folder.split('/').at(-1)}-gpg`)
  t.teardown(() => must(['rm', '-rf', home]))
  const keyFile = join(folder, 'key.asc')
  writeFileSync(keyFile, makeKey(home))
  const root = lab.hosts[0]!.rootfs

  // A mirror of Debian: its own packages.
  mirrorDebian(join(folder, 'debian'), ['containerd', 'runc'], home)

  // A vendor's, which ships containerd with CRI switched off, as Docker's does.
  const vendor = join(folder, 'vendor')
  const config = { 'etc/containerd/config.toml': 'disabled_plugins = ["cri"]\n' }
  packDeb(join(vendor, 'pool'), 'containerd.io', VENDOR_VERSION, 'Provides: containerd\nConflicts: containerd, runc', {
    ...Object.fromEntries([...CONTAINERD, 'runc'].map((p) => [`usr/bin/${p}`, readFileSync(program(root, p))])),
    'lib/systemd/system/containerd.service': readFileSync(join(root, 'lib/systemd/system/containerd.service')),
    ...config,
  })
  index(vendor, join(vendor, 'dists/bookworm'), home, 'stable')

  // Kubernetes', flat below deb/.
  const kubernetes = join(folder, 'kubernetes/deb')
  for (const name of PROGRAMS)
    packDeb(join(kubernetes, 'pool'), name, `${KUBERNETES.slice(1)}-1.1`, '', {
      [`usr/bin/${name}`]: script(name),
      ...(name === 'kubelet' && { 'lib/systemd/system/kubelet.service': '[Service]\nExecStart=/usr/bin/kubelet\n' }),
    })
  index(kubernetes, kubernetes, home)

  // Releases.
  const releases = join(folder, 'releases')
  const staged = join(releases, 'staged')
  mkdirSync(join(staged, 'bin'), { recursive: true })
  for (const name of CONTAINERD) copyFileSync(program(root, name), join(staged, 'bin', name))
  must(['tar', '-czf', join(releases, 'containerd.tar.gz'), '-C', staged, 'bin'])
  copyFileSync(program(root, 'runc'), join(releases, 'runc'))
  for (const name of PROGRAMS) {
    writeFileSync(join(releases, name), script(name), { mode: 0o755 })
    writeFileSync(join(releases, `${name}.sha256`), sha256(join(releases, name)))
  }
  writeFileSync(join(staged, 'bridge'), script('bridge'), { mode: 0o755 })
  must(['tar', '-czf', join(releases, 'cni.tgz'), '-C', staged, 'bridge'])
  const url = await serve(t, folder, lab.hosts[0]!.address.replace(/\d+$/, '1'))
  return { url, folder, keyFile, sha256: (file) => sha256(join(folder, file)) }
}

const script = (name: string): string => `#!/bin/sh\necho "registry.example/pause:9 of ${name} for $*"\n`

const program = (root: string, name: string): string => join(root, name === 'runc' ? 'usr/sbin' : 'usr/bin', name)

const sha256 = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')

/** A mirror of Debian that has these packages alone, signed. */
export function mirrorDebian(folder: string, packages: readonly string[], home: string): void {
  mkdirSync(join(folder, 'pool'), { recursive: true })
  download(join(folder, 'pool'), packages)
  index(folder, folder, home)
}

/** Debian's packages, from the machine's own mirror. */
function download(folder: string, packages: readonly string[]): void {
  const get = ['apt-get', 'download', '-o', 'APT::Sandbox::User=root', ...packages]
  try {
    must(get, { cwd: folder })
  } catch {
    must(['apt-get', 'update', '-o', 'DPkg::Lock::Timeout=300'])
    must(get, { cwd: folder })
  }
}

/** A package of files (place -> content); those of bin are programs, those of etc configuration. */
function packDeb(
  folder: string,
  name: string,
  version: string,
  fields: string,
  files: Readonly<Record<string, string | Buffer>>,
): void {
  const root = join(folder, `${name}.build`)
  const control = `Package: ${name}\nVersion: ${version}\nArchitecture: all\nMaintainer: Lab <lab@example.org>\nDescription: made for a test\n`
  const configs = Object.keys(files).filter((place) => place.startsWith('etc/'))
  const all = {
    'DEBIAN/control': `${control}${fields && `${fields}\n`}`,
    ...(configs.length > 0 && { 'DEBIAN/conffiles': configs.map((place) => `/${place}\n`).join('') }),
    ...files,
  }
  for (const [place, content] of Object.entries(all)) {
    mkdirSync(dirname(join(root, place)), { recursive: true })
    writeFileSync(join(root, place), content, { mode: place.startsWith('usr/bin/') ? 0o755 : 0o644 })
  }
  must(['dpkg-deb', '--root-owner-group', '-Zgzip', '-z1', '--build', root, join(folder, `${name}_${version}_all.deb`)])
  must(['rm', '-r', root])
}

/** Signs the packages in `base`/pool: flat in `base`, or below a distribution's folder as `component`. */
function index(base: string, distribution: string, home: string, component?: string): void {
  const architecture = must(['dpkg', '--print-architecture']).trim()
  const lists = component === undefined ? base : join(distribution, component, `binary-${architecture}`)
  mkdirSync(lists, { recursive: true })
  writeFileSync(join(lists, 'Packages'), must(['dpkg-scanpackages', '--multiversion', 'pool'], { cwd: base }))
  const about =
    component === undefined ? [] : ['Codename=bookworm', `Components=${component}`, `Architectures=${architecture}`]
  const options = about.flatMap((field) => ['-o', `APT::FTPArchive::Release::${field}`])
  const release = must(['apt-ftparchive', ...options, 'release', '.'], { cwd: distribution })
  writeFileSync(join(distribution, 'Release'), release)
  const gpg = ['gpg', '--homedir', home, '--batch', '--yes', '--clearsign']
  must([...gpg, '-o', join(distribution, 'InRelease'), join(distribution, 'Release')])
}

/** A web server for the folder, at the machine's end of the lab's network. */
export async function serve(t: Test, folder: string, address: string): Promise<string> {
  const server = createServer((request, response) => {
    try {
      const content = readFileSync(join(folder, normalize(decodeURIComponent(request.url!.replace(/\?.*$/, '')))))
      response.writeHead(200, { 'content-length': content.length }).end(request.method === 'HEAD' ? '' : content)
    } catch {
      response.writeHead(404).end('there is nothing')
    }
  }).listen(0, address)
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://${address}:${(server.address() as AddressInfo).port}`
}
