import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { goOutput } from './go.ts'
import { CRI_TOOLS, FLANNEL, FLANNEL_CNI, KUBE_VIP, type Minor, NEWEST, RELEASES } from './versions.ts'

/** Folder with the sources of the lab's own commands and the go.mod and go.sum of each release. */
export const SOURCES = path.join(import.meta.dirname, 'go')

/** What go.mod and go.sum are called among the sources: `1.34.mod`, `flannel-cni.sum`. */
export type ModuleName = Minor | Other

export const isOther = (name: ModuleName): name is Other => name in OTHERS

interface Patch {
  readonly module: string
  readonly version: (minor: Minor) => string
  /** Where it stands beside go.mod, which replaces the module by it. */
  readonly folder: string
  readonly file: string
  /** Lines to leave out. */
  readonly without: RegExp
  readonly count: number
}

/** Modules that do not build here as they are. Each loses lines, and nothing else is changed. */
const PATCHES: readonly Patch[] = [
  {
    // Two backends nobody uses here (Tencent's needs an SDK that the proxy does not have, udp needs cgo), and a flag of a
    // klog newer than Kubernetes'.
    module: 'github.com/flannel-io/flannel',
    version: () => FLANNEL,
    folder: 'patched/flannel',
    file: 'main.go',
    without:
      /^\t_ "github\.com\/flannel-io\/flannel\/pkg\/backend\/(tencentvpc|udp)"\n|^\tif err := flag\.Set\("legacy_stderr_threshold_behavior"[^}]*\}\n/gm,
    count: 3,
  },
  {
    // The field is gone from client-go 0.34; false was its default.
    module: 'github.com/coredns/coredns',
    version: (minor) => RELEASES[minor].coredns,
    folder: 'patched/coredns',
    file: 'plugin/kubernetes/object/informer.go',
    without: /^\t\tRetryOnError: +false,\n/gm,
    count: 1,
  },
]

/** Says what is patched and how. */
export const patchesText = (): string => PATCHES.map(({ file, without }) => `${file} ${without}`).join('\n')

/** Replace directives for what `stage` patches. */
export const patchedModules = (): [module: string, folder: string][] =>
  PATCHES.map(({ module, folder }) => [module, folder])

/** Makes a folder that `go build` can run in: go.mod, go.sum, our commands, the patched modules. */
export async function stage(name: ModuleName, folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await cp(path.join(SOURCES, `${name}.mod`), path.join(folder, 'go.mod'))
  await cp(path.join(SOURCES, `${name}.sum`), path.join(folder, 'go.sum'))
  if (!isOther(name)) await stageSources(name, folder)
}

/** Our commands and the patched modules, without go.mod. */
export async function stageSources(minor: Minor, folder: string): Promise<void> {
  await cp(path.join(SOURCES, 'cmd'), path.join(folder, 'cmd'), { recursive: true })
  for (const { module, version, folder: target, file, without, count } of PATCHES) {
    const copy = path.join(folder, target)
    await cp(await downloaded(`${module}@${version(minor)}`), copy, { recursive: true })
    const source = path.join(copy, file)
    const text = await readFile(source, 'utf8')
    const found = text.match(without)?.length ?? 0
    if (found !== count)
      throw new Error(`${module} ${version(minor)}: ${file} has ${found} lines to leave out, not ${count}`)
    await rm(source) // read-only, as in the module cache
    await writeFile(source, text.replace(without, ''))
  }
}

/** Folder of a module in Go's module cache, checked against the checksum database. */
export async function downloaded(moduleAtVersion: string): Promise<string> {
  const { Dir } = JSON.parse(await goOutput('/', ['mod', 'download', '-json', moduleAtVersion])) as { Dir: string }
  return Dir
}

/** What each release builds; the newest has what all share as well. */
export function packagesOf(minor: Minor): string[] {
  const own = ['./cmd/kube', './cmd/etcd', './cmd/coredns']
  if (minor !== NEWEST) return own
  const plugins = ['main/bridge', 'main/loopback', 'ipam/host-local', 'meta/portmap', 'meta/firewall']
  const cni = plugins.map((plugin) => `github.com/containernetworking/plugins/plugins/${plugin}`)
  return [...own, './cmd/test-server', './cmd/pause', 'github.com/flannel-io/flannel', ...cni]
}

/** Programs of other modules than the release's, each with a go.mod of its own. */
export const OTHERS = {
  'flannel-cni': {
    module: 'github.com/containernetworking/plugins',
    version: FLANNEL_CNI,
    command: 'plugins/meta/flannel',
  },
  'kube-vip': { module: 'github.com/kube-vip/kube-vip', version: KUBE_VIP, command: '' },
  crictl: { module: 'sigs.k8s.io/cri-tools', version: CRI_TOOLS, command: 'cmd/crictl' },
} as const
export type Other = keyof typeof OTHERS

export const packageOf = (name: Other): string => path.posix.join(OTHERS[name].module, OTHERS[name].command)

export const tagsOf = (minor: Minor): string[] => [`kubernetes_${minor.replace('.', '_')}`]
