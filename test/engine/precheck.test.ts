/** What is sure to fail is found before the first connection; what a run may still bring is not taken for a mistake. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { runPlaybooks } from '../../src/engine/run.ts'
import { loadInventory } from '../../src/inventory/index.ts'
import { memoryJournal } from '../../src/journal/open.ts'
import { loadPlaybooks } from '../../src/playbook/index.ts'
import { UserError } from '../../src/shared/errors.ts'
import { Redactor } from '../../src/shared/redact.ts'

const NEVER = new AbortController().signal

/** Runs a playbook on h1 and h2 whose connections are counted and refused. */
async function attempt(t: Test, site: string, files: Record<string, string> = {}) {
  const folder = t.testdir({})
  for (const [name, text] of Object.entries({ ...files, 'site.yml': site })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  let connections = 0
  let problems: readonly string[] = []
  try {
    const playbooks = await loadPlaybooks([join(folder, 'site.yml')])
    const events = runPlaybooks({
      playbooks,
      inventory: await loadInventory(['h1,h2,']),
      tags: { tags: [], skipTags: [] },
      extraVars: {},
      check: false,
      diff: false,
      forks: 5,
      journal: memoryJournal(),
      connect: () => {
        connections++
        return Promise.reject(new UserError('no connection in this test'))
      },
      redactor: new Redactor(),
      baseDir: folder,
      stop: NEVER,
      abort: NEVER,
    })
    for await (const _ of events);
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    problems = error.problems.map((p) => `${p.place?.line}: ${p.message.split('\n')[0]}`)
  }
  return { connections, problems }
}

const wrong: readonly (readonly [string, string, readonly RegExp[]])[] = [
  ['an undefined variable', 'debug: { msg: "{{ nobody }}" }', [/^4: "nobody" is not defined/]],
  [
    'on one host alone',
    'debug: { msg: "{{ nobody }}" }\n      when: inventory_hostname == "h2"',
    [/not defined.*host h2/],
  ],
  ['behind another variable', 'debug: { msg: "{{ a }}" }\n      vars: { a: "{{ b }}" }', [/"b" is not defined/]],
  ['a missing file', 'copy: { src: nofile, dest: /x }', [/no file "nofile"/]],
  ['a value of the wrong type', 'file: { path: /x, mode: "{{ 0 }}", state: "{{ inventory_hostname }}" }', [/./]],
]

for (const [name, task, expected] of wrong) {
  t.test(name, async (t) => {
    const { connections, problems } = await attempt(t, `- hosts: all\n  tasks:\n    - command: "true"\n    - ${task}\n`)
    t.equal(connections, 0)
    t.ok(problems.length > 0)
    for (const [i, pattern] of expected.entries()) t.match(problems[i], pattern)
  })
}

const fine: readonly (readonly [string, string])[] = [
  ['a register', '- command: id\n      register: r\n    - debug: { msg: "{{ r.stdout }}" }'],
  [
    'facts of one’s own and of others',
    '- debug: { msg: "{{ facts.os.id }} {{ hostvars.h2.facts.os.id }} {{ hostvars.h1.facts.os.id }}" }',
  ],
  ['set_fact, also of another host', '- set_fact: { a: 1 }\n    - debug: { msg: "{{ a }} {{ hostvars.h2.a }}" }'],
  ['what a condition asks for', '- debug: { msg: "{{ maybe }}" }\n      when: defined(maybe)'],
  ['a condition that only the run can tell', '- debug: { msg: "{{ maybe }}" }\n      when: facts.os.id == "plan9"'],
  [
    'a failure that is rescued',
    '- block:\n        - debug: { msg: "{{ nobody }}" }\n      rescue:\n        - debug: { msg: "{{ failed_task.name }}" }',
  ],
  ['a failure that is ignored', '- debug: { msg: "{{ nobody }}" }\n      ignore_errors: true'],
  [
    'a file that the run brings',
    '- fetch: { src: /etc/hostname, dest: files/name }\n    - copy: { src: name, dest: /x }',
  ],
  [
    'items of a loop',
    '- debug: { msg: "{{ item.a }} {{ i }}" }\n      loop: [{ a: 1 }]\n      loop_control: { index_var: i }',
  ],
]

for (const [name, tasks] of fine) {
  t.test(name, async (t) => {
    const { connections, problems } = await attempt(t, `- hosts: all\n  tasks:\n    ${tasks}\n`)
    t.same(problems, [])
    t.equal(connections, 2)
  })
}

t.test('what an earlier play sets', async (t) => {
  const site = `- hosts: h1\n  tasks:\n    - set_fact: { token: x }\n- hosts: h2\n  tasks:\n    - debug: { msg: "{{ hostvars.h1.token }}" }\n`
  t.same((await attempt(t, site)).problems, [])
})

t.test('all mistakes of all tasks at once, each once', async (t) => {
  const site = `- hosts: all\n  tasks:\n    - debug: { msg: "{{ one }}" }\n    - debug: { msg: "{{ two }}" }\n`
  t.equal((await attempt(t, site)).problems.length, 2)
})
