import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { goOutput } from './go.ts'
import {
  isOther,
  type ModuleName,
  OTHERS,
  type Other,
  packageOf,
  packagesOf,
  patchedModules,
  SOURCES,
  stageSources,
  tagsOf,
} from './modules.ts'
import { CNI_PLUGINS, FLANNEL, type Minor, NEWEST, RELEASES } from './versions.ts'

/**
 * Writes go/*.mod and go/*.sum anew after a change of versions.ts: `node test/lab/kubernetes/pin.ts`. Their hashes are
 * checked against the checksum database here, and every build is held to them.
 */

/** Module -> version, or a folder. */
type Modules = Map<string, string>

/** Versions of everything that is built, and the ones that Go took them for: replacing does not rename. */
interface Resolved {
  readonly built: Modules
  readonly named: Modules
}
const NOTHING: Resolved = { built: new Map(), named: new Map() }

if (import.meta.main) {
  const newest = await pinRelease(NEWEST, NOTHING)
  for (const minor of Object.keys(RELEASES) as Minor[]) if (minor !== NEWEST) await pinRelease(minor, newest)
  for (const name of Object.keys(OTHERS) as Other[]) await pinOther(name, newest)
}

/**
 * go.mod of a release: Kubernetes with its staging modules, and the rest held at Kubernetes' own versions. The older
 * release takes the newer one's versions of what is not Kubernetes', so that it is compiled once for both. Returns the
 * versions of everything that is built.
 */
async function pinRelease(minor: Minor, shared: Resolved): Promise<Resolved> {
  const { kubernetes, etcd, coredns } = RELEASES[minor]
  const upstream = await upstreamModules(kubernetes)
  const replace: Modules = new Map()
  for (const module of upstream.staging) replace.set(module, kubernetes.replace('v1.', 'v0.'))
  const wanted = shared.built.size > 0 ? withoutKubernetes(shared.built) : upstream.required
  for (const [module, version] of wanted) if (!replace.has(module)) replace.set(module, version)
  for (const part of ['api', 'client', 'client/pkg', 'pkg', 'server']) replace.set(`go.etcd.io/etcd/${part}/v3`, etcd)
  replace.delete('go.etcd.io/etcd/etcdctl/v3')
  const require: Modules = new Map([
    ...withoutKubernetes(shared.named),
    ['k8s.io/kubernetes', kubernetes],
    ['github.com/coredns/coredns', coredns],
    ['go.etcd.io/etcd/server/v3', etcd],
  ])
  if (minor === NEWEST) {
    require.set('go.etcd.io/etcd/etcdctl/v3', etcd).set('github.com/flannel-io/flannel', FLANNEL)
    require.set('github.com/containernetworking/plugins', CNI_PLUGINS)
    replace.set('go.etcd.io/etcd/etcdctl/v3', etcd)
  }
  for (const [module, folder] of patchedModules()) if (require.has(module)) replace.set(module, `./${folder}`)
  return resolve(minor, require, replace, packagesOf(minor), (folder) => stageSources(minor, folder))
}

/**
 * In the newest release's versions of what both need, so that it is compiled once. They are required as well: with -trimpath
 * the name of a version is part of what is compiled.
 */
async function pinOther(name: Other, { built, named }: Resolved): Promise<void> {
  const { module, version } = OTHERS[name]
  const replace = new Map([...built].filter(([one]) => one !== module))
  await resolve(name, new Map([...named, [module, version]]), replace, [packageOf(name)], async () => {})
}

/** Lets Go fill in go.mod and go.sum and stores them; returns the versions of what the packages need. */
async function resolve(
  name: ModuleName,
  require: Modules,
  replace: Modules,
  packages: string[],
  prepare: (folder: string) => Promise<void>,
): Promise<Resolved> {
  const folder = await mkdtemp(path.join(tmpdir(), 'runbook-pin-'))
  try {
    await prepare(folder)
    await writeFile(path.join(folder, 'go.mod'), goMod(require, replace))
    const format =
      '{{with .Module}}{{.Path}} {{.Version}} {{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}{{end}}'
    const tags = isOther(name) ? [] : [`-tags=${tagsOf(name).join(',')}`]
    const lines = await goOutput(folder, ['list', '-mod=mod', ...tags, '-deps', '-f', format, ...packages])
    await copyFile(path.join(folder, 'go.mod'), path.join(SOURCES, `${name}.mod`))
    await copyFile(path.join(folder, 'go.sum'), path.join(SOURCES, `${name}.sum`))
    const pairs = lines.split('\n').map((line) => line.trim().split(' '))
    // A folder has no version.
    const modules = pairs.filter((pair): pair is [string, string, string] => pair.length === 3)
    return {
      built: new Map(modules.map(([module, , version]) => [module, version])),
      named: new Map(modules.map(([module, name]) => [module, name])),
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function goMod(require: Modules, replace: Modules): string {
  const lines = ['module runbook.test/lab', '', 'go 1.25.0', '', 'godebug default=go1.24', '', 'require (']
  for (const [module, version] of require) lines.push(`\t${module} ${version}`)
  lines.push(')', '', 'replace (')
  for (const [module, target] of replace) {
    lines.push(`\t${module} => ${target.startsWith('.') ? target : `${module} ${target}`}`)
  }
  return [...lines, ')', ''].join('\n')
}

/** What Kubernetes' own go.mod says: its staging modules, and the versions of everything else it needs. */
async function upstreamModules(version: string): Promise<{ staging: string[]; required: Modules }> {
  const { GoMod } = JSON.parse(await goOutput('/', ['mod', 'download', '-json', `k8s.io/kubernetes@${version}`]))
  const text = await readFile(GoMod, 'utf8')
  const samples = /^k8s\.io\/sample-/ // only built by their own tests, and not all on the proxy
  const staging = [...text.matchAll(/^\t(k8s\.io\/\S+) => \.\/staging/gm)].map(([, module]) => module!)
  const required = [...text.matchAll(/^\t(\S+) (v\S+)(?: \/\/ indirect)?$/gm)].map(
    ([, module, at]) => [module!, at!] as const,
  )
  return {
    staging: staging.filter((module) => !samples.test(module)),
    required: new Map(required.filter(([, at]) => at !== 'v0.0.0')),
  }
}

/** Modules that change together with Kubernetes and have to be each release's own. */
function withoutKubernetes(modules: Modules): Modules {
  const own = /(^|\.)k8s\.io\/|^go\.etcd\.io\/etcd\/|^github\.com\/google\/gnostic-models$/
  return new Map([...modules].filter(([module]) => !own.test(module) && module !== 'github.com/coredns/coredns'))
}
