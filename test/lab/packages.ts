import { existsSync } from 'node:fs'
import { attempt, run } from './run.ts'

/** Program that the lab runs on the machine -> Debian package that has it. */
const TOOLS: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  flock: 'util-linux',
  nsenter: 'util-linux',
  mmdebstrap: 'mmdebstrap',
  'systemd-nspawn': 'systemd-container',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  strace: 'strace', // what hosts execute
}

/** Debian packages of the lab that this machine lacks. */
export function missingPackages(): string[] {
  const folders = (process.env.PATH ?? '').split(':').concat('/usr/sbin', '/usr/bin', '/sbin', '/bin')
  const has = (tool: string) => folders.some((folder) => existsSync(`${folder}/${tool}`))
  return [
    ...new Set(
      Object.keys(TOOLS)
        .filter((tool) => !has(tool))
        .map((tool) => TOOLS[tool]!),
    ),
  ]
}

/** Installs what is missing. Needs root and apt. */
export async function installPackages(progress: (line: string) => void): Promise<void> {
  const missing = missingPackages()
  if (missing.length === 0) return
  progress(`installing ${missing.join(', ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  // Several processes may find the same package missing; apt then waits for the other one.
  const install = ['apt-get', 'install', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', ...missing]
  if ((await attempt(install, { env })).rc === 0) return
  progress('the package lists are missing or old: apt-get update')
  await run(['apt-get', 'update', '-o', 'DPkg::Lock::Timeout=300'], { env })
  await run(install, { env })
}
