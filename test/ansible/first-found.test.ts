/** `with_first_found` and the lookup of that name: which file a host gets is known from the names of the files. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { importAnsible } from '../../src/ansible/index.ts'
import { placeAt } from '../../src/shared/source.ts'
import { compileExpression, makeScope } from '../../src/values/index.ts'

const NOWHERE = placeAt({ path: 'test', text: '' }, 0, 0)

/** Hosts as `runbook modules facts` describes them. */
const HOSTS = {
  bookworm: { id: 'debian', family: 'debian', version: '12', codename: 'bookworm' },
  trixie: { id: 'debian', family: 'debian', version: '13', codename: 'trixie' },
  jammy: { id: 'ubuntu', family: 'debian', version: '22.04', codename: 'jammy' },
  rhel: { id: 'rhel', family: 'redhat', version: '9.4', codename: '' },
  centos: { id: 'centos', family: 'redhat', version: '9', codename: '' },
  alpine: { id: 'alpine', family: 'alpine', version: '3.20', codename: '' },
}

const FILES = ['Debian-12.yml', 'Debian.yml', 'RedHat.yml', 'redhat-9.yml', 'Ubuntu.yml', 'default.yml']

/** A list of names, and the file that each host gets by Ansible's rules: the first in the order of the list. */
const TABLE: readonly (readonly [
  names: readonly string[],
  more: string,
  wanted: Record<string, string | undefined>,
])[] = [
  [
    ['{{ ansible_distribution }}-{{ ansible_distribution_major_version }}.yml', '{{ ansible_os_family }}.yml'],
    'skip: true',
    { bookworm: 'Debian-12.yml', trixie: 'Debian.yml', jammy: 'Debian.yml', rhel: 'RedHat.yml', centos: 'RedHat.yml' },
  ],
  [
    ["{{ ansible_facts['distribution'] + '.yml' }}", '{{ ansible_os_family }}.yml', 'default.yml'],
    'paths: [../vars]',
    {
      bookworm: 'Debian.yml',
      trixie: 'Debian.yml',
      jammy: 'Ubuntu.yml',
      rhel: 'RedHat.yml',
      centos: 'RedHat.yml',
      alpine: 'default.yml',
    },
  ],
  [
    [
      '{{ ansible_os_family | lower }}-{{ ansible_distribution_major_version }}.yml',
      '{{ ansible_distribution }}-{{ ansible_distribution_version }}.missing.yml',
      'default.yml',
    ],
    'skip: false',
    {
      bookworm: 'default.yml',
      trixie: 'default.yml',
      jammy: 'default.yml',
      rhel: 'redhat-9.yml',
      centos: 'redhat-9.yml',
      alpine: 'default.yml',
    },
  ],
]

t.test('each host gets the file that Ansible would take', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-first-found-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const write = (name: string, text: string): void => {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  for (const file of FILES) {
    write(`role/vars/${file}`, `chosen: ${file}\n`)
    write(`role/tasks/${file}`, `- command: echo ${file}\n`)
  }
  for (const [i, [names, more, wanted]] of TABLE.entries()) {
    const first = `\n    - files: ${JSON.stringify(names)}\n      ${more}\n`
    const lookup = `\n    params: {files: ${JSON.stringify(names)}, ${more}}\n`
    const ways = {
      loop: `- include_vars: "{{ item }}"\n  with_first_found:${first}`,
      name: `- include_vars: {file: "{{ one }}"}\n  loop_control: {loop_var: one}\n  with_first_found:${first}`,
      lookup: `- include_vars: "{{ lookup('first_found', params) }}"\n  vars:${lookup}`,
      ...(more.startsWith('paths') ? {} : { tasks: `- include_tasks: "{{ item }}"\n  with_first_found:${first}` }),
    }
    for (const [way, yaml] of Object.entries(ways)) {
      write('role/tasks/main.yml', yaml)
      const out = join(folder, `out-${i}-${way}`)
      const { report } = await importAnsible(join(folder, 'role'), out, async () => [])
      t.same(report.findings, [], `${way} ${i}`)
      const steps = parse(readFileSync(join(out, 'tasks/main.yml'), 'utf8')) as Record<string, unknown>[]
      for (const [host, os] of Object.entries(HOSTS)) {
        const scope = makeScope([{ name: 'test', vars: { facts: { os } } }])
        const done = steps.filter((step) => {
          const all = step.when === undefined ? [] : [step.when].flat()
          return all.every((one) => compileExpression(String(one), NOWHERE).test(scope))
        })
        const got = done.map((step) => (step.set_fact as { chosen?: string })?.chosen ?? step.include_tasks ?? 'fail')
        t.same(got, wanted[host] === undefined ? [] : [wanted[host]], `${way} ${i}: ${host}`)
      }
    }
  }
})

t.test('a name that the files do not settle is left to a person', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-first-found-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'role/vars'), { recursive: true })
  mkdirSync(join(folder, 'role/tasks'))
  writeFileSync(join(folder, 'role/vars/Debian-12.5.yml'), 'a: 1\n')
  writeFileSync(
    join(folder, 'role/tasks/main.yml'),
    '- include_vars: "{{ item }}"\n  with_first_found: ["{{ ansible_distribution }}-{{ ansible_fqdn }}.yml"]\n' +
      '- include_vars: "{{ item }}"\n  with_first_found: ["nothing.yml"]\n' +
      '- include_tasks: "{{ item }}"\n  with_first_found: ["nothing.yml"]\n',
  )
  const { report } = await importAnsible(join(folder, 'role'), join(folder, 'out'), async () => [])
  t.same(
    report.findings.map(({ line, level }) => [line, level]),
    [
      [1, 'edit'],
      [3, 'edit'],
      [5, 'edit'],
    ],
  )
})
