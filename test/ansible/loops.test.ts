/** `with_…` over several lists: the items that Ansible's own lookup gives, and those of the loop that the import writes. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { importAnsible } from '../../src/ansible/index.ts'
import { placeAt } from '../../src/shared/source.ts'
import { compileExpression, compileText, makeScope } from '../../src/values/index.ts'
import { ansibleFolder, skipWithoutPython, Templar } from './ansible.ts'

const NOWHERE = placeAt({ path: 'test', text: '' }, 0, 0)

const VARS = {
  words: ['p', 'q'],
  more: ['r'],
  empty: [],
  deep: ['a', ['b', ['c']]],
  numbers: [1, 2],
  users: [
    { name: 'u', groups: ['g', 'h'], ssh: { keys: ['k'] } },
    { name: 'v', groups: [], ssh: { keys: [] } },
  ],
  some: [{ name: 'w', hosts: ['x'] }, { name: 'y' }],
  results: [
    { item: 'a', skipped: false, stdout_lines: ['1', '2'] },
    { item: 'b', skipped: true, stdout_lines: [] },
  ],
}

/** The loop in YAML, and the arguments of the lookup. */
const TABLE: readonly (readonly [loop: string, terms: string, lookup: string])[] = [
  ['nested', '[[a, b], "{{ words }}"]', '["a", "b"], words'],
  ['nested', '["{{ words }}", "{{ numbers }}", [x, y]]', 'words, numbers, ["x", "y"]'],
  ['nested', '["{{ words | difference([\'p\']) }}", [a]]', '["q"], ["a"]'],
  ['nested', '["{{ words }}", "{{ empty }}"]', 'words, empty'],
  ['ansible.builtin.nested', '["{{ words }}", [1]]', 'words, [1]'],
  ['subelements', '["{{ users }}", groups]', 'users, "groups"'],
  ['subelements', '["{{ users }}", ssh.keys]', 'users, "ssh.keys"'],
  ['subelements', '["{{ some }}", hosts, {skip_missing: true}]', 'some, "hosts", {"skip_missing": True}'],
  ['subelements', '["{{ results }}", stdout_lines]', 'results, "stdout_lines"'],
  ['community.general.flattened', '["{{ words }}", c, [d, [e]]]', ''],
  ['flattened', '"{{ deep }}"', ''],
  ['items', '["{{ words }}", "{{ more }}", c]', 'words, more, "c"'],
  ['items', '["{{ words }}", "{{ empty }}"]', 'words, empty'],
  ['items', '["{{ deep }}", x]', 'deep, "x"'],
]

/** `flattened` is no part of ansible-core. */
const FLAT: Readonly<Record<string, unknown[]>> = {
  '["{{ words }}", c, [d, [e]]]': ['p', 'q', 'c', 'd', 'e'],
  '"{{ deep }}"': ['a', 'b', 'c'],
}

t.test('items of loops over several lists, beside the real Ansible', { skip: skipWithoutPython() }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'runbook-loops-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'role/tasks'), { recursive: true })
  mkdirSync(join(folder, 'role/defaults'))
  await using templar = new Templar(await ansibleFolder())
  const scope = makeScope([{ name: 'test', vars: VARS }])
  for (const known of [VARS, {}]) {
    writeFileSync(join(folder, 'role/defaults/main.yml'), JSON.stringify(known))
    for (const [loop, terms, lookup] of TABLE) {
      const where = `with_${loop}: ${terms}`
      writeFileSync(join(folder, 'role/tasks/main.yml'), `- debug: msg="{{ item }}"\n  with_${loop}: ${terms}\n`)
      const out = mkdtempSync(join(folder, 'out-'))
      const { report } = await importAnsible(join(folder, 'role'), out, async () => [])
      const edits = report.findings.filter(({ level }) => level === 'edit')
      // What may be no list is left to a person; with its type known it is not.
      if (edits.length > 0 && Object.keys(known).length === 0) continue
      t.same(edits, [], where)
      const tags = [{ tag: '!cel', resolve: (source: string) => ({ cel: source }) }]
      const [task] = parse(readFileSync(join(out, 'tasks/main.yml'), 'utf8'), { customTags: tags })
      const written = task.loop as { cel?: string } | string
      const mine =
        typeof written === 'object' && written.cel !== undefined
          ? structuredClone(compileExpression(written.cel, NOWHERE).evaluate(scope))
          : compileText(String(written), NOWHERE).evaluate(scope)
      const question = {
        kind: 'text' as const,
        source: `{{ query("${loop.replace('ansible.builtin.', '')}", ${lookup}) }}`,
        vars: VARS,
      }
      const theirs = lookup === '' ? { value: FLAT[terms] } : await templar.ask(question)
      // Ansible takes the list out of the map beside whose items it puts it; here the map stays as it is.
      if (loop === 'subelements') for (const [whole] of mine as [Record<string, unknown>][]) withoutList(whole, lookup)
      t.same({ value: mine }, theirs, `${where} -> ${JSON.stringify(written)}`)
    }
  }
})

function withoutList(whole: Record<string, unknown>, lookup: string): void {
  const path = /"([\w.]+)"/.exec(lookup)![1]!.split('.')
  const last = path.pop()!
  const owner = path.reduce<Record<string, unknown>>((at, key) => at[key] as Record<string, unknown>, whole)
  delete owner[last]
}
