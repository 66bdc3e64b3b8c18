/** `--facts-max-age`: facts of an earlier run. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bootLab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { apply, folderOf } from './support.ts'

t.setTimeout(200_000)

t.test('facts are kept, and used as long as they are young', { skip: skipWithoutLab() }, async (t) => {
  await using lab = await bootLab({ hosts: 2 })
  const folder = folderOf(t, {
    'site.yml': `
- hosts: all
  tasks:
    - debug: { msg: "{{ facts.hostname }} knows {{ default hostvars.n2.facts.hostname 'nobody' }}" }
`,
    'clear.yml': '- hosts: n1\n  tasks: [{ meta: clear_facts }]\n',
  })
  const kept = join(folder, '.runbook/facts')
  const run = async (...args: string[]) => {
    const { code, results, stdout } = await apply(join(folder, 'site.yml'), lab.inventoryFile, args)
    t.equal(code, 0, stdout)
    const of = (task: string) => results.filter((r) => r.task === task && r.host === 'n1')[0]
    return { gathered: of('Gather facts')?.status, said: of('debug')?.msg }
  }
  t.same(await run('--limit', 'n1'), { gathered: 'ok', said: 'n1 knows nobody' })
  t.throws(() => statSync(kept), 'nothing is kept without being asked for')
  t.match(await run('--facts-max-age', '3600'), { gathered: 'ok' })
  t.same(readdirSync(kept).sort(), ['n1.json', 'n2.json'])
  t.equal(statSync(kept).mode & 0o777, 0o700)
  t.equal(statSync(join(kept, 'n1.json')).mode & 0o777, 0o600)
  const age = ['--facts-max-age', '3600', '--limit', 'n1']
  t.same(await run(...age), { gathered: 'skipped', said: 'n1 knows n2' }, 'also those of a host that is left out')
  const file = join(kept, 'n1.json')
  const content = JSON.parse(readFileSync(file, 'utf8'))
  const becomes = async (change: object) => {
    writeFileSync(file, JSON.stringify({ ...content, ...change }))
    return (await run(...age)).gathered
  }
  t.equal(await becomes({}), 'skipped')
  t.equal(await becomes({ at: Date.now() - 3_601_000 }), 'ok', 'too old')
  t.equal(await becomes({ at: Date.now() + 3_600_000 }), 'ok', 'of the future')
  t.equal(await becomes({ address: '10.0.0.1' }), 'ok', 'of another host')
  t.equal(await becomes({ facts: [] }), 'ok', 'not facts')
  writeFileSync(file, '{"at":')
  t.equal((await run(...age)).gathered, 'ok', 'cut off')
  t.equal((await apply(join(folder, 'clear.yml'), lab.inventoryFile, age)).code, 0)
  t.same(readdirSync(kept), ['n2.json'])
})

t.test('the age as a variable of some hosts', { skip: skipWithoutLab() }, async (t) => {
  await using lab = await bootLab({ hosts: 2 })
  const play = '- hosts: all\n  tasks: [{ debug: { msg: "{{ facts.hostname }}" } }]\n'
  const folder = folderOf(t, { 'site.yml': play + play, 'host_vars/n1.yml': 'runbook_facts_max_age: 3600\n' })
  const playbook = join(folder, 'site.yml')
  const gathered = async (...args: string[]) => {
    const { code, results, stdout } = await apply(playbook, lab.inventoryFile, args)
    t.equal(code, 0, stdout)
    return results.flatMap((r) => (r.task === 'Gather facts' ? `${r.host} ${r.status}` : [])).sort()
  }
  t.same(await gathered(), ['n1 ok', 'n1 skipped', 'n2 ok', 'n2 ok'])
  t.same(readdirSync(join(folder, '.runbook/facts')), ['n1.json'])
  t.same(await gathered(), ['n1 skipped', 'n1 skipped', 'n2 ok', 'n2 ok'])
  t.same(
    await gathered('--facts-max-age', '0'),
    ['n1 ok', 'n1 skipped', 'n2 ok', 'n2 skipped'],
    'the option stands above it',
  )
  const { code, stderr } = await apply(playbook, lab.inventoryFile, ['-e', 'runbook_facts_max_age=1h'])
  t.equal(code, 3)
  t.match(stderr, /runbook_facts_max_age must be a number of seconds/)
})
