/** `runbook netboot build-installer` and `fetch-bootfiles`: what machines load, from Debian's packages. */
import { dirname, join } from 'node:path'
import { readConfig } from '../../netboot/config.ts'
import { fetchBootfiles } from '../../netboot/installer/bootfiles.ts'
import { buildInstaller } from '../../netboot/installer/build.ts'
import { INSTALLER } from '../../netboot/installer/names.ts'
import { Packages } from '../../netboot/installer/packages.ts'
import { EXIT } from '../exit.ts'
import { write } from './netboot.ts'

export interface BuildFlags {
  readonly config: string
  /** Folder of downloaded packages. */
  readonly cache?: string
  readonly update: boolean
}

/** Versions and hashes of packages, beside netboot.yml; to be kept with it. */
const LOCK = 'netboot-packages.json'

export async function fetchFiles(flags: BuildFlags): Promise<number> {
  const { files } = readConfig(flags.config)
  const packages = await openPackages(flags)
  for (const name of await fetchBootfiles(packages, files)) write(`${join(files, name)}\n`)
  await save(packages)
  return EXIT.done
}

export async function build(flags: BuildFlags): Promise<number> {
  const { files } = readConfig(flags.config)
  const packages = await openPackages(flags)
  const { kernel, modules, size, sha256 } = await buildInstaller(packages, files)
  write(`${join(files, INSTALLER.kernel)}: kernel ${kernel}\n`)
  write(`${join(files, INSTALLER.initrd)}: ${modules} modules, ${Math.round(size / 1e6)} MB, SHA-256 ${sha256}\n`)
  await save(packages)
  return EXIT.done
}

function openPackages({ config, cache, update }: BuildFlags): Promise<Packages> {
  const folder = dirname(config)
  return Packages.open({ cache: cache ?? join(folder, '.runbook', 'packages'), lock: join(folder, LOCK), update })
}

async function save(packages: Packages): Promise<void> {
  await packages.save()
  write(`${packages.versions.map(({ name, version }) => `${name} ${version}`).join(', ')}: held in ${LOCK}\n`)
}
