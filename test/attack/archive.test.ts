/** An archive from somebody else, and disks without room. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import copy from '../../modules/copy.ts'
import unarchive from '../../modules/unarchive.ts'
import { apply, inEachShell } from '../modules/drive.ts'

const MALLORY = 54_321
const skip = process.getuid?.() !== 0

inEachShell('an archive gives away nothing outside its folder', async (t, bench) => {
  if (skip) return void t.comment('skipped: needs root')
  const victim = join(bench.host, 'victim')
  const dest = join(bench.host, 'dest')
  mkdirSync(dest)
  writeFileSync(victim, 'precious')
  const above = '../'.repeat(3) + victim.slice(1)
  for (const [name, member] of [
    ['absolute', victim],
    ['above', above],
  ] as const) {
    const archive = join(bench.controller, `${name}.tar`)
    // As an attacker makes it: GNU tar stores such names with -P.
    execFileSync('tar', ['-cPf', archive, `--transform=s:^.*:${member}:`, victim])
    await apply(bench, unarchive, { src: archive, dest, owner: String(MALLORY) }).catch(() => {})
    t.match(statSync(victim), { uid: 0 }, name)
    t.equal(readFileSync(victim, 'utf8'), 'precious')
  }
})

inEachShell('a full disk leaves the old file and says why', async (t, bench) => {
  const small = mkdtempSync('/tmp/runbook-attack-small-')
  t.teardown(() => rmSync(small, { recursive: true, force: true }))
  if (skip || spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', small]).status !== 0)
    return void t.comment('skipped: this machine may not mount')
  t.teardown(() => spawnSync('umount', [small]))
  const dest = join(small, 'conf')
  writeFileSync(dest, 'old')
  writeFileSync(join(small, 'fill'), Buffer.alloc(45_000))
  const content = 'x'.repeat(30_000)
  await t.rejects(apply(bench, copy, { dest, content }), /is the file system full, or over a quota/)
  t.equal(readFileSync(dest, 'utf8'), 'old')
  t.strictSame(
    execFileSync('ls', ['-A', small], { encoding: 'utf8' }).split('\n').filter(Boolean),
    ['conf', 'fill'],
    'nothing is left behind',
  )
  t.ok(existsSync(dest))
})
