import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { glob, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import path from 'node:path'
import { imageCache } from '../image.ts'
import { takeLock } from '../lock.ts'
import { BUILD_FLAGS, goBuild } from './go.ts'
import { assembleImages } from './images.ts'
import { OTHERS, type Other, packageOf, packagesOf, patchesText, SOURCES, stage, tagsOf } from './modules.ts'
import { CNI_PLUGINS, FLANNEL, KUBE_COMMANDS, type Minor, NEWEST, RELEASES } from './versions.ts'

/** What was built of a release; everything is below `folder`, which may be shown to hosts read-only. */
export interface Built {
  readonly folder: string
  /** kubeadm, kubelet, kubectl, kube-*: links to one binary `kube`; etcd, coredns; with the newest crictl and kube-vip too. */
  readonly bin: string
  /** Archives for `ctr -n k8s.io images import`. */
  readonly images: readonly string[]
}

/** What all releases share, built with the newest. */
export interface Shared extends Built {
  /** CNI plugins, flannel's among them. */
  readonly cni: string
  /** flannel's own manifest, with the lab's image of its CNI plugin. */
  readonly flannelManifest: string
}

export interface Kubernetes {
  readonly releases: Readonly<Partial<Record<Minor, Built>>>
  readonly shared: Shared
}

/** Changes when what is built would; part of the names of the finished folders. */
const FORMAT = 1

/**
 * Binaries and images of the releases, from the cache or built now: three and a half minutes on two slow cores for the
 * newest, two more for the other. Two processes that want the same build it once.
 */
export async function ensureKubernetes(
  minors: readonly Minor[],
  progress: (line: string) => void = (line) => process.stderr.write(`lab: ${line}\n`),
): Promise<Kubernetes> {
  // The newest first: what it compiles the others find in Go's cache.
  const wanted = [NEWEST, ...minors.filter((minor) => minor !== NEWEST)]
  const releases: Partial<Record<Minor, Built>> = {}
  for (const minor of wanted)
    releases[minor] = await ensureRelease(minor, (line) => progress(`Kubernetes ${minor}: ${line}`))
  const { folder } = releases[NEWEST]!
  const shared = {
    folder,
    bin: path.join(folder, 'bin'),
    cni: path.join(folder, 'cni'),
    images: [path.join(folder, 'images', 'shared.tar')],
    flannelManifest: path.join(folder, 'kube-flannel.yml'),
  }
  return { releases, shared }
}

async function ensureRelease(minor: Minor, progress: (line: string) => void): Promise<Built> {
  const folder = path.join(imageCache(), `kubernetes-${RELEASES[minor].kubernetes}-${await contentHash(minor)}`)
  const built = { folder, bin: path.join(folder, 'bin'), images: [path.join(folder, 'images', 'release.tar')] }
  if (existsSync(folder)) return built
  await mkdir(imageCache(), { recursive: true, mode: 0o755 })
  await using _ = await takeLock(`${folder}.lock`, () => progress('another process builds it, waiting for it'))
  if (existsSync(folder)) return built

  const building = `${folder}.building`
  const done = stopwatch()
  progress(`building in ${imageCache()} (once; a few minutes)`)
  await rm(building, { recursive: true, force: true })
  await mkdir(path.join(building, 'bin'), { recursive: true })
  await compile(minor, building, progress)
  progress(`binaries after ${done()} s, making images`)
  await assembleImages(minor, building)
  await rm(path.join(building, 'go'), { recursive: true, force: true })
  await rename(building, folder)
  progress(`built in ${done()} s`)
  return built
}

async function compile(minor: Minor, folder: string, progress: (line: string) => void): Promise<void> {
  const bin = path.join(folder, 'bin')
  const sources = path.join(folder, 'go')
  await stage(minor, sources)
  const define = versionOf(RELEASES[minor].kubernetes)
  await goBuild({ folder: sources, packages: packagesOf(minor), output: bin, tags: tagsOf(minor), define }, progress)
  for (const command of KUBE_COMMANDS) await symlink('kube', path.join(bin, command))
  if (minor !== NEWEST) return

  await symlink('etcd', path.join(bin, 'etcdctl'))
  const cni = path.join(folder, 'cni')
  await mkdir(cni)
  for (const plugin of ['bridge', 'loopback', 'host-local', 'portmap', 'firewall']) {
    await rename(path.join(bin, plugin), path.join(cni, plugin))
  }
  // Both are called flannel: the daemon goes by its usual name.
  await rename(path.join(bin, 'flannel'), path.join(bin, 'flanneld'))
  for (const name of Object.keys(OTHERS) as Other[]) {
    await stage(name, sources)
    const output = name === 'flannel-cni' ? cni : bin
    const define = { [`${OTHERS[name].module}/pkg/version.Version`]: OTHERS[name].version.slice(1) }
    await goBuild({ folder: sources, packages: [packageOf(name)], output, define }, progress)
  }
}

/** What the release's own build defines: k8s.io/component-base/version. */
function versionOf(version: string): Record<string, string> {
  const [major, minor] = version.slice(1).split('.')
  const facts = {
    gitVersion: version,
    gitMajor: major!,
    gitMinor: minor!,
    gitTreeState: 'clean',
    gitCommit: '0000000000000000000000000000000000000000',
    buildDate: '1970-01-01T00:00:00Z',
  }
  return Object.fromEntries(
    Object.entries(facts).map(([name, text]) => [`k8s.io/component-base/version.${name}`, text]),
  )
}

/** Changes with anything that goes into what is built. */
async function contentHash(minor: Minor): Promise<string> {
  const inputs = [
    FORMAT,
    process.arch,
    RELEASES[minor],
    FLANNEL,
    CNI_PLUGINS,
    OTHERS,
    packagesOf(minor),
    patchesText(),
    BUILD_FLAGS,
  ]
  const hash = createHash('sha256').update(JSON.stringify(inputs))
  const files = [
    ...(await Array.fromAsync(glob('cmd/**/*.go', { cwd: SOURCES }))).sort(),
    ...[minor, ...Object.keys(OTHERS)].flatMap((name) => [`${name}.mod`, `${name}.sum`]),
  ]
  for (const file of files)
    hash
      .update(file)
      .update('\0')
      .update(await readFile(path.join(SOURCES, file)))
  return hash.digest('hex').slice(0, 12)
}

function stopwatch(): () => number {
  const started = performance.now()
  return () => Math.round((performance.now() - started) / 1000)
}

if (import.meta.main) {
  const done = stopwatch()
  const all = Object.keys(RELEASES) as Minor[]
  const wanted = process.argv.slice(2)
  const unknown = wanted.filter((minor) => !(all as string[]).includes(minor))
  if (unknown.length > 0) throw new Error(`there is no release ${unknown.join(', ')}, only ${all.join(', ')}`)
  const { releases, shared } = await ensureKubernetes(wanted.length > 0 ? (wanted as Minor[]) : all)
  for (const [minor, { folder }] of Object.entries(releases)) console.log(`${minor}  ${folder}`)
  console.log(`flannel  ${shared.flannelManifest}`)
  console.log(`${done()} s`)
}
