import { parse, stringify } from 'smol-toml'
import { atLeast, type Version } from './version.ts'

/** What a node's containerd is told; the rest is containerd's own default. */
export interface Settings {
  readonly sandboxImage: string | undefined
  readonly systemdCgroup: boolean
  /** Folders of CNI plugins, the first of them first. */
  readonly cniBinDirs: readonly string[]
  readonly cniConfDir: string
  /** Folder of hosts.toml files. */
  readonly certsDir: string
  /** Merged into the whole: tables key by key, anything else takes the place of what is there. */
  readonly extra: Table
}

export type Table = { readonly [key: string]: unknown }

/** Where the parts that Kubernetes is about stand: the CRI plugin was split when the file became version 3 (containerd 2.0). */
const CRI = 'io.containerd.grpc.v1.cri'
const CRI_RUNTIME = 'io.containerd.cri.v1.runtime'
const CRI_IMAGES = 'io.containerd.cri.v1.images'

/**
 * The whole of /etc/containerd/config.toml for a version of containerd, 1.6 or later: version 2 of the file for 1.x,
 * version 3 for 2.x (containerd's docs/cri/config.md).
 */
export function renderConfig(version: Version, settings: Settings): string {
  const body = merge(version.major >= 2 ? version3(version, settings) : version2(settings), settings.extra)
  return `# Written by runbook; changes made here are lost.\n${stringify(body)}\n`
}

/** `disabled_plugins` is written out, for packages of Docker ship a file that turns CRI off. */
function version2(s: Settings): Table {
  return {
    version: 2,
    disabled_plugins: [],
    plugins: {
      [CRI]: {
        ...(s.sandboxImage === undefined ? {} : { sandbox_image: s.sandboxImage }),
        cni: { bin_dir: s.cniBinDirs[0], conf_dir: s.cniConfDir },
        containerd: runc(s),
        registry: { config_path: s.certsDir },
      },
    },
  }
}

function version3(version: Version, s: Settings): Table {
  // Both keys together are an error; the list came with 2.1.
  const folders = knowsBinDirs(version) ? { bin_dirs: s.cniBinDirs } : { bin_dir: s.cniBinDirs[0] }
  return {
    version: 3,
    disabled_plugins: [],
    plugins: {
      [CRI_IMAGES]: {
        ...(s.sandboxImage === undefined ? {} : { pinned_images: { sandbox: s.sandboxImage } }),
        registry: { config_path: s.certsDir },
      },
      [CRI_RUNTIME]: { cni: { ...folders, conf_dir: s.cniConfDir }, containerd: runc(s) },
    },
  }
}

function runc({ systemdCgroup }: Settings): Table {
  return {
    default_runtime_name: 'runc',
    runtimes: { runc: { runtime_type: 'io.containerd.runc.v2', options: { SystemdCgroup: systemdCgroup } } },
  }
}

/** Whether several folders of CNI plugins can be named. */
export function knowsBinDirs(version: Version): boolean {
  return atLeast(version, 2, 1)
}

/** What an existing file says about the things that go wrong most; undefined when it is no TOML. */
export interface Existing {
  /** Folders that containerd looks for CNI plugins in; [] when the file does not say. */
  readonly cniBinDirs: readonly string[]
  readonly criDisabled: boolean
  readonly sandboxImage: string | undefined
  readonly systemdCgroup: boolean
}

/** Reads a config.toml of any version. */
export function readConfig(text: string): Existing | undefined {
  let root: unknown
  try {
    root = parse(text)
  } catch {
    return undefined
  }
  const plugins = at(root, 'plugins')
  // The file of the oldest versions has plain names: `plugins.cri`.
  const runtime = at(plugins, CRI_RUNTIME) ?? at(plugins, CRI) ?? at(plugins, 'cri')
  const images = at(plugins, CRI_IMAGES)
  const cni = at(runtime, 'cni')
  const dirs = [at(cni, 'bin_dirs'), at(cni, 'bin_dir')].flat().filter((d): d is string => typeof d === 'string')
  const disabled = at(root, 'disabled_plugins')
  const sandbox = at(images, 'pinned_images', 'sandbox') ?? at(runtime, 'sandbox_image')
  return {
    cniBinDirs: dirs,
    criDisabled:
      Array.isArray(disabled) && disabled.some((p) => ['cri', CRI, CRI_RUNTIME, CRI_IMAGES].includes(String(p))),
    sandboxImage: typeof sandbox === 'string' ? sandbox : undefined,
    systemdCgroup: at(runtime, 'containerd', 'runtimes', 'runc', 'options', 'SystemdCgroup') === true,
  }
}

function at(value: unknown, ...path: readonly string[]): unknown {
  let here = value
  for (const key of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, key)) return undefined
    here = (here as Record<string, unknown>)[key]
  }
  return here
}

function merge(base: Table, extra: Table): Table {
  const out: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(extra)) {
    out[key] = isTable(out[key]) && isTable(value) ? merge(out[key], value) : value
  }
  return out
}

const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
