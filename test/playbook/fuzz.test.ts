import t from 'tap'
import { stringify } from 'yaml'
import { BLOCK, HANDLER, LOOP_CONTROL, PLAY, ROLE_ARGS, TASK } from '../../src/playbook/keywords.ts'
import { UserError } from '../../src/shared/errors.ts'
import fc from '../property.ts'
import { load } from './fixture.ts'

const SEED = `
- hosts: all
  become: true
  vars: {a: 1}
  serial: [1, "20%"]
  roles: [{role: r, vars: {x: 1}}]
  tasks:
    - command: ls -l {{ a }}
      when: a == 1
      loop: [1, 2]
      loop_control: {label: x}
      notify: h
    - block: [{copy: {src: a, dest: /b, mode: "0644"}}]
      rescue: [{include_tasks: a.yml}]
    - import_tasks: a.yml
    - include_role: {name: r, tasks_from: main}
  handlers: [{name: h, ping: }]
`
const FILES = { 'a.yml': '- ping:\n', 'roles/r/tasks/main.yml': '- ping:\n' }

async function loads(text: string): Promise<boolean> {
  try {
    await load({ ...FILES, 'site.yml': text })
  } catch (error) {
    if (!(error instanceof UserError)) throw error
  }
  return true
}

t.test('the seed is right', async () => {
  await load({ ...FILES, 'site.yml': SEED })
})

t.test('mutated playbooks load or are a UserError', async () => {
  const piece = fc.constantFrom(
    '',
    ' ',
    '\n',
    '  ',
    ': ',
    '- ',
    '{{',
    '}}',
    '[',
    ']',
    '{',
    '}',
    '"',
    '~',
    '5',
    'x',
    '!cel ',
    '&a ',
    '*a',
    '|\n',
    '#',
    '\0',
  )
  const edit = fc.tuple(fc.nat(SEED.length), fc.nat(12), piece)
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) =>
      loads(edits.reduce((text, [at, length, by]) => text.slice(0, at) + by + text.slice(at + length), SEED)),
    ),
    { numRuns: 300 },
  )
})

t.test('any data under any keyword loads or is a UserError', async () => {
  const keyword = fc.constantFrom(
    ...[PLAY, BLOCK, TASK, HANDLER, LOOP_CONTROL, ROLE_ARGS].flatMap((table) => Object.keys(table)),
    ...[
      'import_tasks',
      'include_tasks',
      'import_role',
      'include_role',
      'import_playbook',
      'copy',
      'command',
      'ping',
      'action',
      'dest',
      'with_items',
    ],
  )
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ depthSize: 'small' }, tie('leaf'), tie('map'), tie('list')),
    leaf: fc.constantFrom<unknown>(
      null,
      true,
      0,
      -1,
      1.5,
      '',
      'x',
      'yes',
      '{{ x }}',
      '{{',
      'a.yml',
      'r',
      'toString',
      '__proto__ ',
      '20%',
      'x is defined',
    ),
    map: fc.dictionary(keyword, tie('tree'), { maxKeys: 5 }),
    list: fc.array(tie('tree'), { maxLength: 3 }),
  }))
  const play = fc.dictionary(keyword, tree, { maxKeys: 6 })
  await fc.assert(
    fc.asyncProperty(fc.array(play, { maxLength: 2 }), fc.array(tree, { maxLength: 3 }), (plays, tasks) =>
      loads(stringify([...plays, { hosts: 'all', tasks }])),
    ),
    { numRuns: 300 },
  )
})
