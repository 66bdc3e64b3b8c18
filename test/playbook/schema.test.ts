import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { parse } from 'yaml'
import { inventorySchema, playbookSchema } from '../../src/playbook/index.ts'
import { modules } from './fixture.ts'

const GOOD = `
- import_playbook: base.yml
  tags: base
- name: all of it
  hosts: [web, "{{ more }}"]
  become: true
  serial: [1, 30%]
  vars_prompt: [{name: pin, private: true}]
  roles: [web, {role: db, vars: {port: 1}, when: x == 1}]
  tasks:
    - command: ls
      args: {chdir: /tmp}
      when: [a, true]
      notify: restart
    - copy: {src: a, dest: /b, force: "{{ force }}", owners: [root, "{{ o }}"]}
      loop: {a: 1}
      loop_control: {label: "{{ item.key }}", extended: true}
    - copy: "{{ args }}"
    - ansible.builtin.ping:
    - block: [{ping: }]
      rescue: [{include_tasks: {file: x.yml, apply: {become: true}}, loop: [1]}]
    - include_role: {name: web, tasks_from: x}
      environment: {A: 1}
  handlers:
    - name: restart
      listen: [a, b]
      ping:
`

const BAD = [
  '- tasks: []',
  '- {hosts: all, taks: []}',
  '- {hosts: all, become: "yes"}',
  '- {hosts: all, tasks: [{comand: ls}]}',
  '- {hosts: all, tasks: [{copy: {dst: /b}}]}',
  '- {hosts: all, tasks: [{copy: {src: a, dest: /b, force: "yes"}}]}',
  '- {hosts: all, tasks: [{ping: , loop_control: {x: 1}}]}',
  '- {hosts: all, tasks: [{block: [{nope: }]}]}',
  '- {hosts: all, tasks: [{import_tasks: a.yml, loop: [1]}]}',
]

t.test('playbooks', async (t) => {
  const validate = new Ajv2020({ allowUnionTypes: true }).compile(await playbookSchema(modules))
  t.ok(validate(parse(GOOD)), JSON.stringify(validate.errors, null, 1))
  for (const text of BAD) t.notOk(validate(parse(text)), text)
})

t.test('inventories', async (t) => {
  const validate = new Ajv2020({ allowUnionTypes: true }).compile(inventorySchema())
  t.ok(validate(parse('all: {vars: {a: 1}, hosts: {a: , "w[1:3]": {b: 1}}, children: {x: {hosts: {a: }}, y: }}')))
  t.notOk(validate(parse('all: {hots: {a: }}')))
  t.notOk(validate(parse('all: {hosts: [a]}')))
})
