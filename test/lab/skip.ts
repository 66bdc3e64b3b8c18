import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { UserError } from '../../src/shared/errors.ts'
import { cgroupMounts } from './cgroups.ts'
import { missingPackages } from './packages.ts'

/** Why the lab cannot run on this machine; undefined when it can (installing Debian packages where it has to). */
export function labMissing(): string | undefined {
  if (process.platform !== 'linux') return 'the lab needs Linux (namespaces, overlayfs, cgroups)'
  if (process.getuid?.() !== 0) return 'the lab needs root: it mounts file systems and makes network namespaces'
  if (cgroupMounts().length === 0) return 'the lab needs cgroups mounted at /sys/fs/cgroup'
  const missing = missingPackages()
  if (missing.length > 0 && !existsSync('/usr/bin/apt-get'))
    return `the lab needs ${missing.join(', ')}, and there is no apt-get`
  const mayUnshare = spawnSync('unshare', ['--mount', '--net', 'true'], { encoding: 'utf8' })
  if (mayUnshare.status !== 0)
    return `the lab needs new namespaces, which are forbidden here: ${mayUnshare.stderr?.trim()}`
  return undefined
}

/** Throws the reason when the lab cannot run. */
export function requireLab(): void {
  const reason = labMissing()
  if (reason) throw new UserError(reason)
}

/**
 * For tap's `skip`: false where the lab runs, else the reason. With RUNBOOK_REQUIRE_LAB=1 (set where the whole suite has
 * to run) the reason is thrown, so that the test fails instead.
 */
export function skipWithoutLab(): string | false {
  const reason = labMissing()
  if (reason && process.env.RUNBOOK_REQUIRE_LAB === '1') throw new Error(`RUNBOOK_REQUIRE_LAB=1, but ${reason}`)
  return reason ? `no lab: ${reason}` : false
}
