import t from 'tap'
import { problemsOf } from './fixture.ts'

/** Tasks of a play, at line 3; what is wrong with them. */
const tasks: readonly (readonly [string, ...string[]])[] = [
  ['- comand: ls', '3:5: unknown keyword or module "comand" | did you mean "command"?'],
  ['- ping:\n  wen: true', '4:5: unknown keyword or module "wen" | did you mean "when"?'],
  ['- ping:\n  tasks: []', '4:5: "tasks" cannot stand on a task, only on a play'],
  [
    '- ping:\n  copy: {src: a, dest: /b}',
    '4:5: a task runs one module: it has "ping" and "copy" | start a new task with "- "',
  ],
  ['- name: x', '3:5: this task has no module to run | e.g. command: uptime'],
  ['- just text', '3:5: a task must be a map, not a string | e.g. "- name: …" or "- command: …"'],
  [
    '- ping:\n  with_items: [1]',
    '4:5: "with_items" is a keyword of Ansible that does not exist here | write loop: [a, b] or loop: "{{ list }}"',
  ],
  ['- ping:\n  async: 10', '4:5: "async" needs a command, shell or script task'],
  ['- ping:\n  poll: 10', '4:5: "poll" needs "detach" or "async" | e.g. detach: true'],
  ['- command: x\n  detach: true\n  until: true', '5:5: "until" cannot stand beside "detach"'],
  [
    '- ping:\n  become: yes',
    '4:13: "become" must be true or false, or a template, not a string | write true: in YAML 1.2 yes is a string',
  ],
  [
    '- ping:\n  run_once: "{{ x }}"',
    '4:15: "run_once" must be true or false, not a string | a template cannot stand here: it is needed before any host is known',
  ],
  ['- ping:\n  timeout: "10"', '4:14: "timeout" must be a number, 0 or more, not a string | take off the quotes'],
  ['- ping:\n  timeout: -1', '4:14: "timeout" must be a number, 0 or more, not the number -1'],
  ['- ping:\n  register: a-b', '4:15: "register" must be a variable name: letters, digits and _, not a string'],
  [
    '- ping:\n  vars: {a-b: 1}',
    '4:12: "a-b" in "vars" cannot be the name of a variable: only letters, digits and _ | write a_b',
  ],
  [
    '- ping:\n  vars: {ansible_user: x, ansible_become_user: y}',
    `4:26: "ansible_user" has no effect here: how a host is reached is the play's or the inventory's to say | put it into the vars of a play of its own, or use delegate_to (delegate_to: localhost runs here)`,
    `4:50: "ansible_become_user" has no effect here: how a host is reached is the play's or the inventory's to say | use become, become_user or become_method`,
  ],
  ['- ping:\n  when: "{{ x }}"', '4:11: a condition is an expression already and takes no "{{ }}" | write x'],
  [
    '- ping:\n  when: x is defined and not y',
    '4:11: this looks like Jinja: conditions are CEL expressions | write defined(x) && !y',
  ],
  [
    "- ping:\n  when: x | default('a') == 'b'",
    "4:11: this looks like Jinja: conditions are CEL expressions | write default(x, 'a') == 'b'",
  ],
  ['- ping:\n  when: out is failed', '4:11: this looks like Jinja: conditions are CEL expressions | write out.failed'],
  [
    '- ping:\n  when: "\'a\' not in b"',
    `4:11: this looks like Jinja: conditions are CEL expressions | write !('a' in b)`,
  ],
  ['- ping:\n  when: 5', '4:11: "when" must be an expression or a list of them, not the number 5'],
  ['- ping:\n  when:', '4:10: "when" has no value'],
  ['- ping:\n  loop: 3', '4:11: "loop" must be a list or a map, not the number 3'],
  [
    '- ping:\n  loop: [1]\n  loop_control: {label: x, lop_var: y}',
    '5:30: unknown keyword of loop_control "lop_var" | did you mean "loop_var"?',
  ],
  ['- ping:\n  loop_control: {label: x}', '4:5: loop_control without a loop'],
  ['- ping:\n  retries: 3', '4:5: "retries" needs "until" | e.g. until: result.rc == 0 with register: result'],
  ['- ping:\n  notify: nobody', '4:13: no handler has the name or topic "nobody"'],
  [
    '- block: []\n  loop: [1]',
    '4:5: "loop" cannot stand on a block, only on a task or a handler or an include | put the tasks into a file and use include_tasks',
  ],
  ['- rescue: []', '3:5: "rescue" needs a "block" beside it'],
  [
    '- import_playbook: x.yml',
    '3:5: "import_playbook" cannot stand in a list of tasks | it stands beside the plays; for tasks use import_tasks',
  ],
  ['- import_tasks: none.yml', '3:19: no file "none.yml" | looked for none.yml'],
  [
    '- import_tasks: "{{ x }}.yml"',
    '3:19: "import_tasks" is needed before any host is known: "x" is not defined | it can use extra vars (-e) and variables of the play',
  ],
  ['- import_role: x', '3:18: "import_role" must be a map, not a string | write import_role: {name: ROLE}'],
  [
    '- include_role: {nam: x}',
    '3:5: "include_role" needs "name"',
    '3:20: unknown keyword of an include_role "nam" | did you mean "name"?',
  ],
  [
    '- copy: {dest: /a, src: b, when: x}',
    '3:30: "when" is a keyword of the task, not an argument of copy | indent it like "copy"',
  ],
  [
    '- copy: {src: b}\n  dest: /a',
    '3:5: copy needs the argument "dest"',
    '4:5: "dest" is an argument of copy, not a keyword of the task | indent it under "copy:"',
  ],
  [
    '- copy: {src: a, dst: /b}',
    '3:5: copy needs the argument "dest"',
    '3:20: copy has no argument "dst" | did you mean "dest"?',
  ],
  [
    '- copy: {src: a, dest: /b, mode: 0644}',
    `3:36: "mode" must be a quoted string: without quotes YAML 1.2 reads 0644 as the number 644. Write mode: '0644'`,
  ],
  ['- copy: {src: a, dest: b}', '3:26: "dest" must be an absolute path'],
  [
    '- copy: {src: 1, dest: /b, force: yes}',
    '3:17: "src" must be a string, not a number | put it in quotes',
    '3:37: "force" must be true or false, not a string | write true or false: in YAML 1.2 yes and no are strings',
  ],
  ['- copy: {src: a, dest: /b, state: absnt}', '3:37: "state" must be present or absent | did you mean "absent"?'],
  ['- copy: {src: a, dest: /b, owners: [a, {}]}', '3:42: "owners.1" must be a string or a number, not a map'],
  [
    '- copy: {src: a, dest: /b, limits: {sise: 1}}',
    '3:38: copy needs the argument "limits.size"',
    '3:39: "limits" of copy has no "sise"',
  ],
  [
    '- copy: {src: "{{ a }}", dest: /b, mode: "{{ m }}", limits: {size: x}}',
    '3:70: "limits.size" must be a number, not a string',
  ],
  ['- copy: {dest: /b}', '3:5: copy: give either `src` or `content`'],
  ['- copy: src=a dest=/b', '3:11: the arguments of copy must be a map, not a string | write copy: {src: a, dest: /b}'],
  [
    '- command: ls chdir=/tmp',
    '3:14: "chdir=" inside the string of command would be part of the command | write it beside the command: args: {chdir: …}',
  ],
  ['- command: ls\n  args: {cmd: x}', '4:12: "cmd" is given twice: under "command" and under "args"'],
  ['- command: [ls]', '3:14: the arguments of command must be a string or a map, not a list'],
  ['- action: {src: a}', '3:13: "action" must name a module | write the module as the key: copy: {src: a, dest: b}'],
  [
    '- ping: {{ x }}',
    '3:11: a value that starts with "{{" must stand in quotes | write "{{ name }}": without quotes YAML reads a map',
  ],
  ['- ping:\n  ping:', '4:5: this key stands twice in the same map'],
  ['- ping:\n  name: "{{ upperr x }}"', '4:15: template: unknown helper "upperr" | did you mean "upper"?'],
  [
    '- ping:\n  module_defaults: {cop: {}, copy: {dst: 1}}',
    '4:23: unknown module "cop" in module_defaults | did you mean "copy"?',
    '4:39: copy has no argument "dst" | did you mean "dest"?',
  ],
]

t.test('tasks', async (t) => {
  for (const [text, ...expected] of tasks) {
    const indented = text.replace(/^/gm, '  ')
    const got = await problemsOf({ 'site.yml': `- hosts: all\n  tasks:\n${indented}\n` })
    t.same(
      got,
      expected.map((one) => `site.yml:${one}`),
      text,
    )
  }
})

t.test('plays', async (t) => {
  const table: readonly (readonly [string | Buffer, ...RegExp[]])[] = [
    ['', /^site\.yml:1:1: site\.yml is empty/],
    ['hosts: all', /^site\.yml:1:1: a playbook is a list of plays, not a map \| start the play with "- "/],
    ['- just text', /a play must be a map, not a string/],
    ['- name: x\n  command: ls\n  when: true', /^site\.yml:1:3: this looks like a task/],
    ['- tasks: []', /^site\.yml:1:3: a play needs "hosts"/],
    ['- hosts: all\n  copy: {}', /^site\.yml:2:3: "copy" is a module/],
    ['- hosts: all\n  taskss: []', /^site\.yml:2:3: unknown keyword of a play "taskss" \| did you mean "tasks"\?/],
    ['- hosts: all\n  when: x', /^site\.yml:2:3: "when" cannot stand on a play/],
    ['- hosts: all\n  tasks: {command: ls}', /^site\.yml:2:10: "tasks" must be a list, not a map/],
    ['- hosts: all\n  serial: 0', /^site\.yml:2:11: "serial" must be a number of hosts or a share/],
    [
      '- hosts: all\n  serial: "{{ n }}"',
      /^site\.yml:2:11: "serial" is needed before any host is known: "n" is not defined/,
    ],
    ['- hosts: all\n  order: sortd', /^site\.yml:2:10: "order" must be .* \| did you mean "sorted"\?/],
    ['- hosts: all\n  strategy: host_pinned', /write free/],
    ['- hosts: all\n  vars_files: [none.yml]', /^site\.yml:2:16: cannot read none\.yml: it does not exist/],
    ['- hosts: all\n  roles: [none]', /^site\.yml:2:11: no role "none" \| looked for roles\/none, none/],
    ['- hosts: all\n  vars_prompt: [{prompt: x}]', /an entry of vars_prompt needs "name"/],
    ['- import_playbook: site.yml', /^site\.yml:1:20: this goes round in a circle: site\.yml -> site\.yml/],
    ['- hosts: all\r\n  bogus: 1\r\n', /^site\.yml:2:3: unknown keyword of a play "bogus"/],
    ['\uFEFF- hosts: all\n  bogus: 1\n', /^site\.yml:2:3: unknown keyword of a play "bogus"/],
    [Buffer.from('- hosts: "\xff\xfe"', 'latin1'), /not UTF-8/],
  ]
  for (const [text, ...expected] of table) {
    const got = await problemsOf({ 'site.yml': text })
    t.equal(got.length, expected.length, `${text}: ${got.join(' ## ')}`)
    for (const [i, pattern] of expected.entries()) t.match(got[i], pattern)
  }
})

t.test('files around a playbook', async (t) => {
  const play = '- hosts: all\n  roles: [a]\n'
  const table: readonly (readonly [Record<string, string>, ...string[]])[] = [
    [
      {
        'site.yml': '- hosts: all\n  tasks: [{import_tasks: a.yml}]',
        'a.yml': '- import_tasks: b.yml',
        'b.yml': '- import_tasks: a.yml',
      },
      'b.yml:1:17: this goes round in a circle: a.yml -> b.yml -> a.yml',
    ],
    [
      { 'site.yml': '- hosts: all\n  tasks: [{include_tasks: a.yml}]', 'a.yml': '- comand: x' },
      'a.yml:1:3: unknown keyword or module "comand" | did you mean "command"?',
    ],
    [
      { 'site.yml': '- hosts: all\n  tasks: [{import_tasks: a.yml}]', 'a.yml': '- hosts: all' },
      'a.yml:1:3: a file of tasks cannot hold plays | write its tasks without a play around them, or use import_playbook beside the plays',
    ],
    [
      {
        'site.yml': play,
        'roles/a/meta/main.yml': 'dependencies: [b]',
        'roles/b/meta/main.yml': 'dependencies: [{role: a}]',
      },
      'roles/b/meta/main.yml:1:23: this goes round in a circle: role a -> role b -> role a',
    ],
    [
      {
        'site.yml': play,
        'roles/a/tasks/main.yml': '- ping:\n  notify: restrt',
        'roles/a/handlers/main.yml': '- name: restart\n  ping:',
      },
      'roles/a/tasks/main.yml:2:11: no handler has the name or topic "restrt" | did you mean "restart"?',
    ],
    [
      {
        'site.yml': '- hosts: all\n  roles: [{role: a, vars: {prot: 1, port: "x"}}]\n',
        'roles/a/meta/argument_specs.yml': 'argument_specs: {main: {options: {port: {type: int}}}}',
      },
      'site.yml:2:28: the role a has no argument "prot" | did you mean "port"?',
      'site.yml:2:43: "port" must be a number, not a string',
    ],
    [
      { 'site.yml': '- hosts: all\n  roles: [{role: a, port: 1}]\n', 'roles/a/tasks/main.yml': '[]' },
      'site.yml:2:21: "port" cannot stand on a role, only on a play | if "port" is a variable, write it under vars:',
    ],
    [
      {
        'site.yml': '- hosts: all\n  tasks: [{import_role: {name: a, tasks_from: x}}]',
        'roles/a/tasks/main.yml': '[]',
      },
      'site.yml:2:25: the role a has no tasks/x | looked in roles/a/tasks',
    ],
  ]
  for (const [files, ...expected] of table) t.same(await problemsOf(files), expected)
})

t.test('all problems of all files at once, in order', async (t) => {
  const got = await problemsOf({
    'site.yml': '- hosts: all\n  becom: true\n  tasks:\n    - import_tasks: a.yml\n    - comand: x\n',
    'a.yml': '- coppy: {}\n- ping:\n  wen: 1\n',
  })
  t.same(
    got.map((one) => one.split(': ')[0]),
    ['site.yml:2:3', 'site.yml:5:7', 'a.yml:1:3', 'a.yml:3:3'],
  )
})
