import t from 'tap'
import { findHandlers, isSelected, selectTags, tasksOf } from '../../src/playbook/index.ts'
import { load } from './fixture.ts'

/** Own tags, --tags, --skip-tags, selected? As ansible-core's lib/ansible/playbook/taggable.py decides. */
const table: readonly (readonly [string, string, string, boolean])[] = [
  ['', '', '', true],
  ['a', '', '', true],
  ['never', '', '', false],
  ['never,a', '', '', false],
  ['never,a', 'a', '', true],
  ['always', 'b', '', true],
  ['a', 'b', '', false],
  ['', 'b', '', false],
  ['a', 'tagged', '', true],
  ['', 'tagged', '', false],
  ['', 'untagged', '', true],
  ['a', 'untagged', '', false],
  ['never', 'tagged', '', false],
  ['a', '', 'a', false],
  ['always', '', 'always', false],
  ['always', '', 'all', true],
  ['a', '', 'all', false],
  ['a', '', 'tagged', false],
  ['', '', 'untagged', false],
  ['a,b', 'a', 'b', false],
]

t.test('selection', async (t) => {
  const words = (text: string): string[] => (text === '' ? [] : text.split(','))
  for (const [own, tags, skip, selected] of table) {
    const is = isSelected(words(own), { tags: words(tags), skipTags: words(skip) })
    t.equal(is, selected, `[${own}] --tags ${tags} --skip-tags ${skip}`)
  }
})

t.test('plays keep what is selected', async (t) => {
  const playbook = await load({
    'site.yml': `
- hosts: a
  tasks:
    - {name: one, ping: , tags: x}
    - block: [{name: two, ping: , tags: y}]
    - block: [{name: three, ping: }]
      tags: x
    - include_tasks: a.yml
`,
    'a.yml': '- {name: four, ping: , tags: x}\n- {name: five, ping: }\n',
  })
  const { sections } = selectTags(playbook.plays[0]!, { tags: ['x'], skipTags: [] })
  t.same(
    sections[0]!.steps.map(({ kind }) => kind),
    ['task', 'block', 'include'],
  )
  t.equal(
    [...tasksOf(sections[0]!.steps)].length,
    4,
    'an include keeps its contents: the engine selects when it opens it',
  )
  t.same(selectTags(playbook.plays[0]!, { tags: ['z'], skipTags: [] }).sections, [])
})

t.test('handlers: own role, then the play, then other roles; listeners all', async (t) => {
  const playbook = await load({
    'site.yml':
      '- hosts: a\n  roles: [a, b]\n  handlers:\n    - {name: h, ping: }\n    - {name: other, listen: h2, ping: }\n',
    'roles/a/handlers/main.yml': '- {name: h, ping: }\n- {name: only a, ping: , listen: h2}\n',
    'roles/b/handlers/main.yml': '- {name: h, ping: }\n',
  })
  const { handlers } = playbook.plays[0]!
  const ids = (name: string, role?: string) => findHandlers(handlers, name, role).map(({ id }) => id)
  t.same(ids('h', 'a'), ['0.handlers.a.0'])
  t.same(ids('h', 'b'), ['0.handlers.b.0'])
  t.same(ids('h'), ['0.handlers.0'])
  t.same(ids('a : h'), ['0.handlers.a.0'])
  t.same(ids('only a', 'b'), ['0.handlers.a.1'])
  t.same(ids('h2'), ['0.handlers.a.1', '0.handlers.1'])
  t.same(ids('nobody'), [])
})
