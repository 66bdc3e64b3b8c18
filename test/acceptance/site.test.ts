/** The shipped playbook on fresh hosts: check mode says exactly what happens, and a second run has nothing to do. */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bootLab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { apply, folderOf, ROOT, stateOf, story } from './support.ts'

t.setTimeout(300_000)

t.test('site.yml on three fresh hosts', { skip: skipWithoutLab() }, async (t) => {
  await using lab = await bootLab({ hosts: 3 })
  const folder = folderOf(t, {})
  const playbook = join(folder, 'site.yml')
  cpSync(join(ROOT, 'playbooks'), folder, { recursive: true, filter: (path) => !path.includes('.runbook') })
  const names = lab.hosts.map(({ name }) => name)

  const before = await Promise.all(names.map((name) => stateOf(lab, name)))
  const checked = await apply(playbook, lab.inventoryFile, ['--check'])
  const after = await Promise.all(names.map((name) => stateOf(lab, name)))
  t.equal(checked.code, 0, checked.stderr)
  t.strictSame(after, before, 'check mode touches nothing')

  const first = await apply(playbook, lab.inventoryFile)
  t.equal(first.code, 0, first.stderr)
  for (const name of names) {
    t.ok(first.hosts[name]!.changed > 3, `${name} has changed`)
    t.strictSame(story(first.results, name), story(checked.results, name), `${name}: what check mode said`)
  }
  t.ok(
    first.results.some((r) => r.handler && r.status === 'changed'),
    'handlers have run',
  )

  const done = await Promise.all(names.map((name) => stateOf(lab, name)))
  const second = await apply(playbook, lab.inventoryFile)
  t.equal(second.code, 0, second.stderr)
  for (const name of names) {
    t.match(second.hosts[name], { changed: 0, failed: 0, unreachable: 0, skipped: 0 })
    t.ok(second.hosts[name]!.ok > 3)
    t.ok(second.hosts[name]!.round_trips <= 4, `${second.hosts[name]!.round_trips} round trips`)
  }
  t.strictSame(await Promise.all(names.map((name) => stateOf(lab, name))), done, 'the second run touches nothing')

  const pending = await apply(playbook, lab.inventoryFile, ['--check', '--detailed-exitcode'])
  t.equal(pending.code, 0, 'nothing is pending')
  await lab.exec('n2', ['rm', '/etc/runbook/node'])
  const drifted = await apply(playbook, lab.inventoryFile, ['--check', '--detailed-exitcode'])
  t.equal(drifted.code, 8, 'a change is pending')
  t.strictSame(
    Object.entries(drifted.hosts).map(([name, { changed }]) => [name, changed]),
    [
      ['n1', 0],
      ['n2', 1],
      ['n3', 0],
    ],
  )
})
