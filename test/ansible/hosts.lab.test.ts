/** Our own Ansible playbook (fixtures/), applied by ansible-playbook and by runbook: both hosts must be the same afterwards. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { bootLab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { ansibleFolder, skipWithoutPython } from './ansible.ts'
import { inventoryOf, runAnsible, runRunbook } from './apply.ts'
import { differences, stateOf } from './state.ts'

t.setTimeout(900_000)

/** What the import does not see: most of it of another type than the defaults of the role. */
const INVENTORY = {
  accounts_proxy: 'http://proxy.example.org:3128',
  accounts_banner: [],
  accounts_logs: ['/var/log/one.log', '/var/log/two.log'],
  accounts_strict: 'false',
  accounts_days: '14',
  accounts_labels: { zone: 'a' },
  accounts_users: [
    { name: 'one', groups: ['adm', 'users'], rotate: 'weekly', keep: 3 },
    { name: 'two', rotate: '', logs: '/var/log/a.log' },
    { name: 'three', groups: ['users'], append: true, logs: ['/var/log/a.log', '/var/log/b.log'], keep: 1 },
  ],
}

t.test(
  'a host that ansible-playbook made, and one of the imported playbook',
  { skip: skipWithoutLab() || skipWithoutPython() },
  async (t) => {
    const ansible = await ansibleFolder({ collections: true })
    const folder = mkdtempSync(join(tmpdir(), 'runbook-import-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const playbook = join(import.meta.dirname, 'fixtures/site.yml')
    const imported = join(folder, 'imported')

    const made = await runRunbook([
      'import',
      'ansible',
      playbook,
      '-o',
      imported,
      '--report',
      join(folder, 'report.json'),
    ])
    const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'))
    t.equal(made.rc, 0, made.out)
    t.same(
      [report.findings.filter((one: { level: string }) => one.level === 'edit'), report.problems],
      [[], []],
      'nothing is left to do by hand',
    )

    await using lab = await bootLab({ hosts: 2, image: 'ansible' })
    const [theirs, ours] = [
      inventoryOf(lab, 'n1', folder, [], INVENTORY),
      inventoryOf(lab, 'n2', folder, [], INVENTORY),
    ]
    // The image's list is empty: Ansible's apt_repository removes such lists, ours leaves them (docs/coming-from-ansible.md).
    for (const host of ['n1', 'n2']) await lab.exec(host, ['rm', '/etc/apt/sources.list'])
    const before = await Promise.all([stateOf(lab, 'n1'), stateOf(lab, 'n2')])
    t.same(differences(...before), [], 'the hosts are alike before')

    const first = await runAnsible(ansible, playbook, theirs)
    t.equal(first.rc, 0, first.out)
    const run = await runRunbook(['apply', join(imported, 'site.yml'), '-i', ours])
    t.equal(run.rc, 0, run.out)

    const after = await Promise.all([stateOf(lab, 'n1'), stateOf(lab, 'n2')])
    t.same(differences(...after), [], 'and after')
    t.ok(differences(before[0], after[0]).length > 60, 'though much was done to them')
  },
)
