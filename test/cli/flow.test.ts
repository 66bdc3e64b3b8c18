/** Options that look at a run beforehand or steer its way, as a user gives them. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runbook } from './runbook.ts'

t.setTimeout(180_000)

const FILES = {
  'inventory.yml': `all:
  hosts:
    one: {ansible_host: 192.0.2.1}
    two: {ansible_host: 192.0.2.2, mtu: 9000}
  vars: {mtu: 1500, doubled: "{{ mtu }}{{ mtu }}"}
`,
  group_vars: { 'all.yml': 'mtu: 1400\n' },
  'site.yml': `
- name: First
  hosts: all
  tags: base
  tasks:
    - {name: "Kernel {{ inventory_hostname }}", command: uname -r, tags: kernel}
    - block:
        - {name: Inside, debug: {msg: a}, tags: [debug, never]}
      rescue:
        - {name: Rescue, debug: {msg: b}}
    - include_tasks: more.yml
- name: Second
  hosts: two
  tasks:
    - {name: Last, debug: {msg: c}}
    - {name: Some, include_tasks: "{{ which }}.yml"}
`,
  'more.yml': '- {name: In the file, debug: {msg: d}, tags: file}\n',
}

t.test('--list-hosts, --list-tasks, --list-tags connect to nothing', async (t) => {
  const folder = t.testdir(FILES)
  t.same(await runbook(['apply', 'site.yml', '--list-hosts', '--list-tasks', '--list-tags'], folder), {
    code: 0,
    err: '',
    out: `PLAY First
  hosts (2):
    one
    two
  tasks (2):
    Kernel {{ inventory_hostname }}  [tags: base, kernel]
    In the file  [tags: base, file]
  tags: base, file, kernel

PLAY Second
  hosts (1):
    two
  tasks (2):
    Last
    Some  [more at run time]
  tags: none
`,
  })
  const { out } = await runbook(
    ['apply', 'site.yml', '--list-hosts', '--list-tasks', '--limit', 'one', '--tags', 'file,debug', '-o', 'json'],
    folder,
  )
  t.match(
    out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object),
    [
      { play: 'First', hosts: ['one'], tasks: [{ name: 'Inside', place: 'site.yml:8:11' }, { name: 'In the file' }] },
      { play: 'Second', hosts: [], tasks: [{ name: 'Some', at_run_time: true }] },
    ],
  )
  t.match(await runbook(['apply', 'site.yml', '--list-tasks', '--limit', 'thre'], folder), { code: 3, out: '' })
})

t.test('inventory host --explain', async (t) => {
  const folder = t.testdir(FILES)
  t.same(await runbook(['inventory', 'host', 'two', '--explain', 'mtu'], folder), {
    code: 0,
    err: '',
    out: `mtu: 9000
# from inventory.yml:4:41
# over group_vars/all.yml:1:6: 1400
# over inventory.yml:5:15: 1500
`,
  })
  const json = await runbook(['inventory', 'host', 'one', '--explain', 'doubled', '--json', '-e', 'mtu=7'], folder)
  t.match(JSON.parse(json.out), {
    host: 'one',
    variable: 'doubled',
    value: '77',
    from: { place: /^inventory.yml:5:/ },
    overrode: [],
  })
  t.match(
    (await runbook(['inventory', 'host', 'one', '--explain', 'mtu', '-e', 'mtu=7'], folder)).out,
    /^mtu: "7"\n# from command line\n# over group_vars/,
  )
  t.match(await runbook(['inventory', 'host', 'two', '--explain', 'mut'], folder), {
    code: 3,
    out: '',
    err: /host two has no variable "mut"(.|\n)*did you mean "mtu"/,
  })
})

t.test('--start-at-task', async (t) => {
  const folder = t.testdir({
    'inventory.yml': 'all:\n  hosts:\n    here: {ansible_connection: local}\n',
    'site.yml': `
- hosts: all
  tasks: [{name: Other play, command: "false"}]
- hosts: all
  tasks:
    - {name: Before, command: "false", register: before}
    - {name: From here, command: "echo {{ facts.hostname }}", notify: Told}
    - {name: And on, debug: {msg: x}}
    - {name: Needs, debug: {msg: "{{ before.rc }}"}, tags: [never, needs]}
  handlers:
    - {name: Told, debug: {msg: y}}
`,
  })
  const start = (...args: string[]) => runbook(['apply', 'site.yml', '-o', 'json', '--start-at-task', ...args], folder)
  const { out, code } = await start('From*')
  const done = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { task?: string; status?: string })
  t.equal(code, 0)
  t.same(
    // Of a task that takes long there is also a line that it began.
    done.flatMap(({ task, status }) => (task && !status ? [] : `${task} ${status}`)),
    ['Gather facts ok', 'From here changed', 'And on ok', 'Told ok', 'undefined undefined'],
  )
  t.match(await start('From hree'), { code: 3, out: '', err: /did you mean "From here"/ })
  t.match(await start('From here', '--tags', 'needs,all'), { code: 3, out: '', err: /before/ })
  t.match(await start('From here', '--resume'), { code: 3, out: '', err: /cannot be used with/ })
})

t.test('--resume after --start-at-task leaves out what was left out', async (t) => {
  const folder = t.testdir({
    'inventory.yml': 'all:\n  hosts:\n    here: {ansible_connection: local}\n',
    'site.yml': `
- hosts: all
  gather_facts: false
  tasks:
    - {name: Before, command: "touch {{ playbook_dir }}/before"}
    - {name: From here, command: "true"}
    - {name: Waits, command: "test -e {{ playbook_dir }}/go"}
    - {name: Waits too, command: "test -e {{ playbook_dir }}/go2"}
`,
  })
  const apply = async (...args: string[]) => {
    const { out, code } = await runbook(['apply', 'site.yml', '-o', 'json', ...args], folder)
    const lines = out.trimEnd().split('\n')
    const tasks = lines.map((line) => JSON.parse(line) as { task?: string; status?: string })
    return { code, tasks: tasks.flatMap(({ task, status }) => (task && status ? `${task} ${status}` : [])) }
  }
  t.same(await apply('--start-at-task', 'From*'), { code: 2, tasks: ['From here changed', 'Waits failed'] })
  writeFileSync(join(folder, 'go'), '')
  const second = await apply('--resume')
  t.match(second, { code: 2, tasks: ['From here ok', 'Waits changed', 'Waits too failed'] })
  writeFileSync(join(folder, 'go2'), '')
  t.match(await apply('--resume'), { code: 0, tasks: ['From here ok', 'Waits ok', 'Waits too changed'] })
  t.notOk(existsSync(join(folder, 'before')))
  t.match((await runbook(['history'], folder)).out, /--resume --start-at-task From|--start-at-task 'From/)
})

t.test('--retry-failed', async (t) => {
  const folder = t.testdir({
    'inventory.yml': 'all:\n  hosts: {a: , b: , c: }\n  vars: {ansible_connection: local}\n',
    'site.yml': `
- hosts: all
  gather_facts: false
  tasks:
    - {name: Mark, debug: {msg: x}}
    - block: [{name: Rescued, fail: {msg: no}, when: inventory_hostname == 'a'}]
      rescue: [{debug: {msg: saved}}]
    - {name: Breaks, fail: {msg: broken}, when: inventory_hostname != 'a'}
`,
    'other.yml': '- hosts: c\n  gather_facts: false\n  tasks: [{fail: {msg: no}}]\n',
  })
  // Three names of one machine, which has one run lock: nothing here needs a connection.
  const hosts = async (...args: string[]): Promise<string[]> =>
    Object.keys(
      JSON.parse((await runbook(['apply', '-o', 'json', ...args], folder)).out.trimEnd().split('\n').at(-1)!).hosts,
    )
  const retry = ['site.yml', '--retry-failed']
  t.match(await runbook(['apply', ...retry], folder), { code: 3, err: /no earlier run of site\.yml/ })
  t.same(await hosts('site.yml'), ['a', 'b', 'c'])
  await runbook(['plan', 'site.yml'], folder)
  await hosts('other.yml')
  t.same(await hosts('site.yml', '--start-at-task', 'nobody').catch(() => 'refused'), 'refused')
  t.match((await runbook(['apply', ...retry, '--list-hosts'], folder)).out, /hosts \(2\):\n {4}b\n {4}c\n/)
  writeFileSync(join(folder, 'site.yml'), readFileSync(join(folder, 'site.yml'), 'utf8').replace("!= 'a'", "== 'c'"))
  t.same(await hosts('./site.yml', '--retry-failed'), ['b', 'c'], 'mended since, named otherwise')
  t.same(await hosts(...retry), ['c'], 'of the newest run')
  t.match(await runbook(['apply', ...retry, '-i', 'x,'], folder), { code: 3, err: /none is in the inventory: c/ })
  writeFileSync(
    join(folder, 'site.yml'),
    readFileSync(join(folder, 'site.yml'), 'utf8').replace('fail: {msg: broken}', 'debug: {msg: mended}'),
  )
  t.same(await hosts(...retry), ['c'])
  t.match(await runbook(['apply', ...retry], folder), { code: 0, out: '', err: /nothing to retry/ })
})

t.test('--junit beside another output', async (t) => {
  const folder = t.testdir({
    'inventory.yml': 'all:\n  hosts:\n    here: {ansible_connection: local}\n',
    'site.yml': `
- hosts: all
  gather_facts: false
  tasks:
    - name: Breaks
      shell: "echo 'no <b>' >&2; exit 7"
`,
  })
  const { code, out } = await runbook(['apply', 'site.yml', '--junit', 'r.xml', '-o', 'json'], folder)
  t.equal(code, 2)
  t.match(out, /"rc":7/)
  t.match(
    readFileSync(join(folder, 'r.xml'), 'utf8'),
    /<testsuite name="all \[here\]"(.|\n)*<testcase name="Breaks"(.|\n)*<failure (.|\n)*rc: 7(.|\n)*no &lt;b&gt;/,
  )
  t.match(await runbook(['apply', 'site.yml', '--junit', 'no/r.xml'], folder), {
    code: 3,
    out: '',
    err: /--junit no\/r/,
  })
})

t.test('--step needs a terminal', async (t) => {
  const folder = t.testdir({
    'inventory.yml': 'all:\n  hosts:\n    here: {ansible_connection: local}\n',
    'site.yml':
      '- hosts: all\n  gather_facts: false\n  tasks: [{command: touch there, name: Touch}, {debug: {msg: x}}]\n',
  })
  t.match(await runbook(['apply', 'site.yml', '--step'], folder), { code: 3, out: '', err: /--step needs a terminal/ })
  t.notOk(existsSync(join(folder, 'there')))
})

t.test('a run without a host says that nothing was done', async (t) => {
  const site = '- {hosts: two, gather_facts: false, tasks: [{debug: {msg: x}}]}\n'
  const folder = t.testdir({ ...FILES, 'site.yml': site })
  const limited = await runbook(['apply', 'site.yml', '--limit', 'one'], folder)
  t.match(limited, { code: 0, err: /warning: nothing was done: no play has a host that --limit leaves/ })
  t.match(await runbook(['apply', 'site.yml', '--limit', 'two'], folder), { code: 0, err: /^$/ })
})
