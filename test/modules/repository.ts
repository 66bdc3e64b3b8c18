/** A small apt repository of made-up packages, built with Debian's own tools. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'

export interface Package {
  readonly name: string
  readonly version: string
  readonly depends?: string
  readonly provides?: string
  /** Installed at /etc/NAME.conf as a configuration file. */
  readonly conf?: string
  /** Maintainer script. */
  readonly postinst?: string
}

export function must(argv: readonly string[], options: { cwd?: string; input?: string; env?: NodeJS.ProcessEnv } = {}) {
  const { status, stdout, stderr } = spawnSync(argv[0]!, argv.slice(1), { ...options, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${argv.join(' ')}: ${status}\n${stdout}${stderr}`)
  return stdout
}

/** A folder that is gone when the test file ends. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-packages-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Builds a package into a folder and gives its file name. */
export function buildDeb(folder: string, { name, version, depends, provides, conf, postinst }: Package): string {
  const root = join(folder, `${name}-${version}.build`)
  mkdirSync(join(root, 'DEBIAN'), { recursive: true })
  const control = [`Package: ${name}`, `Version: ${version}`, 'Architecture: all', 'Maintainer: Lab <lab@example.org>']
  if (depends) control.push(`Depends: ${depends}`)
  if (provides) control.push(`Provides: ${provides}`)
  control.push(`Description: made for a test`)
  writeFileSync(join(root, 'DEBIAN/control'), `${control.join('\n')}\n`)
  if (conf !== undefined) {
    mkdirSync(join(root, 'etc'))
    writeFileSync(join(root, `etc/${name}.conf`), conf)
    writeFileSync(join(root, 'DEBIAN/conffiles'), `/etc/${name}.conf\n`)
  }
  if (postinst) writeFileSync(join(root, 'DEBIAN/postinst'), `#!/bin/sh\nset -e\n${postinst}\n`, { mode: 0o755 })
  mkdirSync(join(folder, 'pool'), { recursive: true })
  const file = join(folder, 'pool', `${name}_${version}_all.deb`)
  must(['dpkg-deb', '--root-owner-group', '--build', root, file])
  rmSync(root, { recursive: true })
  return file
}

/** Makes a private key for signing and gives the armoured public one. */
export function makeKey(home: string): string {
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const gpg = ['gpg', '--homedir', home, '--batch', '--quiet', '--passphrase', '']
  must([...gpg, '--quick-generate-key', 'Lab <lab@example.org>', 'rsa2048', 'sign', 'never'])
  return must(['gpg', '--homedir', home, '--batch', '--armor', '--export'])
}

/** Writes the index of all packages that stand in the folder, signed when there is a key. Suite `./` (flat). */
export function indexRepository(folder: string, keyHome?: string): void {
  writeFileSync(join(folder, 'Packages'), must(['dpkg-scanpackages', '--multiversion', 'pool'], { cwd: folder }))
  writeFileSync(join(folder, 'Release'), must(['apt-ftparchive', 'release', '.'], { cwd: folder }))
  if (keyHome === undefined) return
  const gpg = ['gpg', '--homedir', keyHome, '--batch', '--yes']
  must([...gpg, '--clearsign', '-o', join(folder, 'InRelease'), join(folder, 'Release')])
}

/** Program -> Debian package that has it. */
export type Tools = Readonly<Record<string, string>>

export const APT_TOOLS: Tools = { 'dpkg-scanpackages': 'dpkg-dev', 'apt-ftparchive': 'apt-utils', gpg: 'gnupg' }

/** For tap's `skip`: false when all tools are there, installed where that is possible (root on Debian), else the reason. */
export function skipWithoutTools(tools: Tools): string | false {
  const has = (tool: string) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0
  const missing = Object.keys(tools).filter((tool) => !has(tool))
  if (missing.length === 0) return false
  if (process.getuid?.() === 0 && has('apt-get')) {
    const argv = ['install', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300']
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const install = () => spawnSync('apt-get', [...argv, ...missing.map((tool) => tools[tool]!)], { env }).status === 0
    if (install() || (spawnSync('apt-get', ['update'], { env }).status === 0 && install())) return false
  }
  const reason = `needs ${missing.join(', ')}`
  if (process.env.RUNBOOK_REQUIRE_LAB === '1') throw new Error(`RUNBOOK_REQUIRE_LAB=1, but it ${reason}`)
  return reason
}
