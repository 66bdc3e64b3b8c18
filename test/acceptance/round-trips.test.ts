/** Roles, imports and includes are for people: on the way to a host they cost nothing. */
import { join } from 'node:path'
import t from 'tap'
import { bootLab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { apply, folderOf, sh } from './support.ts'

t.setTimeout(200_000)

/** The same tasks in every arrangement, in three parts. */
const PARTS = [
  `
- file: { path: "/srv/rt/{{ item }}", state: directory, mode: '0750' }
  loop: [a, b, c]
- copy: { dest: /srv/rt/a/conf, content: "size {{ size }}\\n", mode: '0644' }
  notify: Count
- lineinfile: { path: /etc/hosts, line: 192.0.2.1 registry }
`,
  `
- sysctl: { values: { net.ipv4.conf.all.log_martians: "1" }, file: /etc/sysctl.d/82-rt.conf }
- service: { name: ssh, state: started, enabled: true }
- command: uname -r
  register: kernel
  changed_when: false
  check_mode: false
- file: { src: /srv/rt/a/conf, dest: /srv/rt/link, state: link }
`,
  `
- stat: { path: /srv/rt/link }
- copy: { dest: "/srv/rt/{{ item }}/file", content: "{{ item }}\\n", mode: '0600' }
  loop: [a, b, c]
  when: size > 1
- blockinfile: { path: /srv/rt/b/block, block: "one", create: true, mode: '0644' }
`,
]
const HANDLER = '- { name: Count, command: touch /srv/rt/counted }\n'
const indented = (text: string, by: number): string => text.replace(/^(?=.)/gm, ' '.repeat(by))
const play = (rest: string): string => `- hosts: all\n${rest}`
const roles = Object.fromEntries(
  PARTS.flatMap((part, i) => [
    [`roles/r${i}/tasks/main.yml`, part],
    [`roles/r${i}/defaults/main.yml`, 'size: 2\n'],
    [`roles/r${i}/handlers/main.yml`, HANDLER],
    [`roles/r${i}/meta/argument_specs.yml`, 'argument_specs: { main: { options: { size: { type: int } } } }\n'],
    [`tasks/p${i}.yml`, part],
  ]),
)

const FILES: Readonly<Record<string, string>> = {
  ...roles,
  'roles/all/meta/main.yml': 'dependencies: [r0, r1, r2]\n',
  'tasks/nested.yml':
    '- include_tasks: p0.yml\n- include_tasks: "{{ second }}.yml"\n- block: [{ include_tasks: p2.yml }]\n',
  'flat.yml': play(`  vars: { size: 2 }\n  tasks:\n${indented(PARTS.join(''), 4)}  handlers:\n${indented(HANDLER, 4)}`),
  'roles.yml': play('  roles: [r0, r1, r2]\n'),
  'dependencies.yml': play('  roles: [all]\n'),
  'import.yml': play(
    `  vars: { size: 2 }\n  tasks:\n${[0, 1, 2].map((i) => `    - import_tasks: tasks/p${i}.yml\n`).join('')}  handlers:\n${indented(HANDLER, 4)}`,
  ),
  'include.yml': play(
    `  vars: { size: 2, second: p1 }\n  tasks:\n    - include_tasks: tasks/nested.yml\n      when: size == 2\n  handlers:\n${indented(HANDLER, 4)}`,
  ),
  'include-role.yml': play(
    '  tasks:\n    - include_role: { name: "r{{ i }}" }\n      loop: [0, 1, 2]\n      loop_control: { loop_var: i }\n',
  ),
  'import-role.yml': play(
    '  tasks: [{ import_role: { name: r0 } }, { import_role: { name: r1 } }, { import_role: { name: r2 } }]\n',
  ),
}

t.test('the same tasks, flat and in roles and includes', { skip: skipWithoutLab() }, async (t) => {
  await using lab = await bootLab({ hosts: 1 })
  const folder = folderOf(t, FILES)
  const run = async (name: string): Promise<{ trips: number; changed: number }> => {
    const { code, hosts, stdout, stderr } = await apply(join(folder, name), lab.inventoryFile)
    t.equal(code, 0, code === 0 ? name : stdout + stderr)
    return { trips: hosts.n1!.round_trips, changed: hosts.n1!.changed }
  }
  const costs: Record<string, { first: number; again: number }> = {}
  for (const name of Object.keys(FILES).filter((one) => /^[\w-]+\.yml$/.test(one))) {
    await sh(
      lab,
      'n1',
      'rm -rf /srv/rt /etc/sysctl.d/82-rt.conf; sed -i /registry/d /etc/hosts; sysctl -q -w net.ipv4.conf.all.log_martians=0',
    )
    const first = await run(name)
    t.ok(first.changed >= 7, `${name} changes something`)
    const again = await run(name)
    t.equal(again.changed, 0, `${name} finds nothing to do`)
    costs[name] = { first: first.trips, again: again.trips }
  }
  t.comment(JSON.stringify(costs))
  const { flat, ...others } = Object.fromEntries(
    Object.entries(costs).map(([name, cost]) => [name.replace('.yml', ''), cost]),
  )
  for (const [name, cost] of Object.entries(others)) t.same(cost, flat, name)
  t.ok(flat!.again <= 4, 'as few as the bench asks for')
})
