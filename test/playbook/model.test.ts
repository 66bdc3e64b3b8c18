import t from 'tap'
import { parseArgs, playbookHash, type Step, type Task, tasksOf } from '../../src/playbook/index.ts'
import { UserError } from '../../src/shared/errors.ts'
import { makeScope, type Value } from '../../src/values/index.ts'
import { load } from './fixture.ts'

const NONE = makeScope([])
const plain = (value: Value | undefined): unknown => value?.evaluate(NONE)
const stepsOf = (playbook: Awaited<ReturnType<typeof load>>, play = 0): readonly Step[] =>
  playbook.plays[play]!.sections.flatMap(({ steps }) => steps)
const tasksIn = (playbook: Awaited<ReturnType<typeof load>>, play = 0): Task[] => [...tasksOf(stepsOf(playbook, play))]

t.test('a play and its defaults', async (t) => {
  const { plays } = await load({ 'site.yml': '- hosts: [a, b]\n  gather_facts: false\n- hosts: c\n  name: second\n' })
  t.equal(plays.length, 2)
  t.equal(plain(plays[0]!.hosts), 'a,b')
  t.match(plays[0], { id: '0', name: 'a', gatherFacts: false, serial: [], order: 'inventory', strategy: 'free' })
  t.match(plays[1], { id: '1', name: 'second', gatherFacts: true, forceHandlers: false, anyErrorsFatal: false })
})

t.test('serial and settings may use extra vars and play vars', async (t) => {
  const text =
    '- hosts: a\n  vars: {share: "30%"}\n  serial: [1, "{{ share }}", "{{ n }}"]\n  any_errors_fatal: "{{ fatal }}"\n'
  const { plays } = await load({ 'site.yml': text }, { extraVars: { n: 4, fatal: true } })
  t.same(plays[0]!.serial, [1, { percent: 30 }, 4])
  t.equal(plays[0]!.anyErrorsFatal, true)
})

t.test('tasks inherit: the closest wins, conditions, tags, variables and environment add up', async (t) => {
  const playbook = await load({
    'site.yml': `
- hosts: all
  become: true
  become_user: one
  tags: p
  environment: {A: 1}
  module_defaults: {copy: {dest: /x, src: play}}
  tasks:
    - block:
        - copy: {src: own}
          become_user: three
          when: c
          tags: [t, p]
          vars: {v: 3}
          no_log: false
          module_defaults: {copy: {mode: "0600"}}
      become_user: two
      when: a && b
      tags: [x, y]
      vars: {v: 2}
      no_log: true
      environment: {B: 1}
      notify: h
    - ping:
  handlers: [{name: h, ping: }]
`,
  })
  const [task, ping] = tasksIn(playbook)
  t.equal(task!.id, '0.tasks.0.block.0')
  t.same([plain(task!.become.become), plain(task!.become.user)], [true, 'three'])
  t.same(
    task!.when.map(({ source }) => source),
    ['a && b', 'c'],
  )
  t.same(task!.tags, ['p', 'x', 'y', 't'])
  t.same(
    task!.vars.map(({ vars }) => plain(vars.get('v'))),
    [2, 3],
  )
  t.same(task!.environment.map(plain), [{ A: 1 }, { B: 1 }])
  t.equal(plain(task!.noLog), false)
  t.same(task!.notify.map(plain), ['h'])
  t.match(task!.parsedArgs, { dest: '/x', src: 'own', mode: '0600' })
  t.equal(plain(ping!.become.user), 'one')
  t.same(ping!.parsedArgs, {})
})

t.test('forms of a module call', async (t) => {
  const table: readonly (readonly [string, string, unknown])[] = [
    ['command: ls -l', 'command', { cmd: 'ls -l' }],
    ['command: ls\nargs: {chdir: /tmp}', 'command', { cmd: 'ls', chdir: '/tmp' }],
    ['ansible.builtin.command: {cmd: ls}', 'command', { cmd: 'ls' }],
    ['action: command ls -l', 'command', { cmd: 'ls -l' }],
    ['action: {module: command, cmd: ls}', 'command', { cmd: 'ls' }],
    ['local_action: ping', 'ping', {}],
    ['ping:', 'ping', {}],
  ]
  for (const [text, name, args] of table) {
    const playbook = await load({ 'site.yml': `- hosts: a\n  tasks:\n    - ${text.replaceAll('\n', '\n      ')}\n` })
    const [task] = tasksIn(playbook)
    t.equal(task!.moduleName, name)
    t.same(task!.parsedArgs, args, text)
    t.equal(plain(task!.delegateTo), text.startsWith('local') ? 'localhost' : undefined)
  }
})

t.test('arguments: once without templates, else for each host, errors at their place', async (t) => {
  const text = '- hosts: a\n  tasks:\n    - copy: {src: x, dest: "{{ d }}"}\n    - copy: {src: x, dest: /b}\n'
  const [late, now] = tasksIn(await load({ 'site.yml': text }))
  const scope = (d: unknown) => makeScope([{ name: 'test', vars: { d } }])
  t.equal(parseArgs(now!, scope(1)), parseArgs(now!, scope(2)))
  t.match(parseArgs(late!, scope('/a/')), { src: 'x', dest: '/a', force: true })
  t.throws(() => parseArgs(late!, scope('a')), { message: /:3:28: "dest" must be an absolute path/ })
  t.throws(() => parseArgs(late!, scope(1)), UserError)
  t.throws(() => parseArgs(late!, makeScope([])), { message: /"d" is not defined/ })
})

t.test('variables of a role in several files, and roles beside the playbook that imports another', async (t) => {
  const playbook = await load({
    'site.yml': '- import_playbook: sub/play.yml\n',
    'sub/play.yml': '- hosts: a\n  roles: [a]\n',
    'roles/a/tasks/main.yml': '- ping:',
    'roles/a/defaults/main/00-first.yml': 'x: first\ny: first\n',
    'roles/a/defaults/main/more/last.yaml': 'y: last\n',
    'roles/a/defaults/main/README.md': 'no variables',
    'roles/a/vars/main/all.yml': 'z: 1\n',
  })
  const [task] = tasksIn(playbook)
  const [layer] = task!.defaultVars
  t.same(
    ['x', 'y'].map((name) => plain(layer!.vars.get(name))),
    ['first', 'last'],
  )
  t.equal(plain(playbook.plays[0]!.vars.find(({ vars }) => vars.has('z'))?.vars.get('z')), 1)
})

t.test('a role that others depend on, too, runs once for the same parameters', async (t) => {
  const files = {
    'site.yml': `
- hosts: a
  roles:
    - common
    - { role: web, vars: { port: 80 } }
    - role: dup
      vars: { x: 1 }
    - { role: dup, vars: { x: 2 } }
    - { role: late, when: x == 1 }
`,
    'roles/web/meta/main.yml': 'dependencies: [common, {role: dup, vars: {x: 1}}]',
    'roles/web/tasks/main.yml': '- ping:',
    'roles/common/tasks/main.yml': '- ping:',
    'roles/dup/tasks/main.yml': '- ping:',
    'roles/late/meta/main.yml': 'dependencies: [common]',
    'roles/late/tasks/main.yml': '- ping:',
  }
  const [play] = (await load(files)).plays
  const roles = play!.sections.flatMap(({ steps }) => [...tasksOf(steps)]).map(({ role }) => role)
  t.strictSame(roles, ['common', 'dup', 'web', 'dup', 'common', 'late'], 'again where a condition may leave it out')
})

t.test('handlers of roles and tasks are flushed together', async (t) => {
  const files = {
    'site.yml': '- hosts: a\n  pre_tasks: [{ping: }]\n  roles: [a]\n  tasks: [{ping: }]\n  post_tasks: [{ping: }]\n',
    'roles/a/tasks/main.yml': '- ping:',
  }
  const [play] = (await load(files)).plays
  t.strictSame(
    play!.sections.map(({ name, steps }) => [name, steps.length]),
    [
      ['pre_tasks', 1],
      ['tasks', 2],
      ['post_tasks', 1],
    ],
  )
})

t.test('roles: order, variables, search path, once', async (t) => {
  const playbook = await load({
    'site.yml': '- hosts: a\n  roles: [a, {role: b, vars: {x: given}, tags: r}, a]\n  tasks: [{ping: }]\n',
    'roles/a/tasks/main.yml': '- import_tasks: more.yml\n  tags: m\n- ping:',
    'roles/a/tasks/more.yml': '- ping:',
    'roles/a/defaults/main.yml': 'x: default of a\n',
    'roles/a/vars/main.yml': 'y: 1\n',
    'roles/b/meta/main.yml': 'dependencies: [a, c]\n',
    'roles/b/tasks/main.yml': '- ping:',
    'roles/b/defaults/main.yml': 'x: default of b\n',
    'roles/c/tasks/main.yml': '- ping:',
    'roles/a/handlers/main.yml': '- name: h\n  ping:\n',
  })
  const [play] = playbook.plays
  const tasks = tasksIn(playbook)
  t.same(
    tasks.map(({ role, id }) => [role, id]),
    [
      ['a', '0.roles.0.0.0'],
      ['a', '0.roles.0.1'],
      ['a', '0.roles.1.dependencies.0.0.0'],
      ['a', '0.roles.1.dependencies.0.1'],
      ['c', '0.roles.1.dependencies.1.0'],
      ['b', '0.roles.1.0'],
      [undefined, '0.tasks.0'],
    ],
  )
  t.same(tasks[0]!.tags, ['m'])
  t.same(tasks[5]!.tags, ['r'])
  const xs = (task: Task) => task.defaultVars.map(({ vars }) => plain(vars.get('x')))
  t.same(xs(tasks[0]!), ['default of b', 'default of a'])
  t.same(xs(tasks[5]!), ['default of a', 'default of b'])
  t.same(xs(tasks[6]!), ['default of a', 'default of b'])
  t.same(
    tasks[5]!.vars.map(({ vars }) => plain(vars.get('x'))),
    ['given'],
  )
  t.match(tasks[0]!.searchPath, [/roles\/a$/, /roles\/a\/tasks$/, /playbook-test/])
  t.same(
    play!.vars.map(({ vars }) => [...vars.keys()]),
    [['y']],
  )
  t.same(
    play!.handlers.map(({ role, id }) => [role, id]),
    [['a', '0.handlers.a.0']],
  )
  t.equal(new Set(tasks.map(({ id }) => id)).size, tasks.length, 'ids are unique')
})

t.test('role arguments are checked by a task in front, without a round trip', async (t) => {
  const playbook = await load({
    'site.yml': '- hosts: a\n  roles: [a]\n',
    'roles/a/tasks/main.yml': '- ping:',
    'roles/a/meta/argument_specs.yml':
      'argument_specs: {main: {options: {port: {type: int, required: true}, mode: {choices: [x, y]}, o: {type: dict, options: {k: {}}}}}}',
  })
  const [check] = tasksIn(playbook)
  const scope = (vars: Record<string, unknown>) => makeScope([{ name: 'test', vars }])
  t.match(parseArgs(check!, scope({ port: 1, other: 2 })), { port: 1 })
  t.throws(() => parseArgs(check!, scope({})), { message: /site\.yml:2:11: role a needs the argument "port"/ })
  t.throws(() => parseArgs(check!, scope({ port: '1' })), { message: /"port" must be a number, not a string/ })
  t.throws(() => parseArgs(check!, scope({ port: 1, mode: 'z' })), { message: /"mode" must be x or y/ })
  t.throws(() => parseArgs(check!, scope({ port: 1, o: { j: 1 } })), { message: /"o" of role a has no "j"/ })
  t.same(check!.tags, ['always'])
})

t.test('includes: known when the name is static, else loaded by name', async (t) => {
  const playbook = await load({
    'site.yml': `
- hosts: a
  tasks:
    - include_tasks: a.yml
      when: yes_please
      vars: {v: 1}
      loop: [1, 2]
    - include_tasks: "{{ f }}.yml"
`,
    'a.yml': '- ping:\n- include_tasks: a.yml\n',
  })
  const [known, late] = stepsOf(playbook)
  if (known?.kind !== 'include' || late?.kind !== 'include') throw new Error('not includes')
  t.same(
    known.when.map(({ source }) => source),
    ['yes_please'],
  )
  t.same(plain(known.loop!.items), [1, 2])
  const [inner, again] = known.known!.steps as [Task, Step]
  t.same([inner.when, inner.vars.length], [[], 1])
  t.match(again, { kind: 'include', known: undefined }, 'an include of itself waits')
  t.equal(await known.load('a.yml'), known.known)
  t.equal(late.known, undefined)
  await t.rejects(late.load('gone.yml'), { message: /no file "gone\.yml"/ })
})

t.test('import_playbook gives its tags, conditions and variables on', async (t) => {
  const playbook = await load({
    'site.yml': '- hosts: a\n- import_playbook: sub/b.yml\n  tags: i\n  when: c\n  vars: {v: 1}\n',
    'sub/b.yml': '- hosts: b\n  tasks: [{ping: }]\n',
  })
  const [task] = tasksIn(playbook, 1)
  t.same(task!.tags, ['i'])
  t.same(
    task!.when.map(({ source }) => source),
    ['c'],
  )
  t.same(
    playbook.plays[1]!.vars.map(({ vars }) => plain(vars.get('v'))),
    [1],
  )
  t.equal(playbook.files.length, 2)
  t.equal(task!.id, '1.tasks.0')
})

t.test('the hash is that of every file that was read', async (t) => {
  const files = (name: string) => ({
    'site.yml': '- hosts: a\n  tasks: [{import_tasks: b.yml}]\n',
    'b.yml': `- name: ${name}\n  ping:\n`,
  })
  const [one, two] = [await load(files('x')), await load(files('y'))]
  const strip = (playbook: typeof one) => ({
    ...playbook,
    files: playbook.files.map((file) => ({ ...file, path: '' })),
  })
  t.equal(playbookHash([strip(one)]), playbookHash([strip(await load(files('x')))]))
  t.not(playbookHash([strip(one)]), playbookHash([strip(two)]))
})
