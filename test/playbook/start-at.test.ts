import t from 'tap'
import { selectedSteps, selectTags, startAt, writtenName } from '../../src/playbook/index.ts'
import { UserError } from '../../src/shared/errors.ts'
import { load } from './fixture.ts'

const FILES = {
  'site.yml': `
- hosts: a
  vars_prompt: [{name: who}]
  tasks:
    - {name: one, ping: , tags: x}
- hosts: b
  pre_tasks:
    - {name: two, ping: }
  roles: [r]
  tasks:
    - block:
        - {name: b1, ping: }
        - {name: b2, ping: }
      rescue: [{name: saved, ping: }]
      always:
        - {name: a1, ping: }
        - {name: "a2 {{ x }}", ping: , tags: x}
    - include_tasks: inc.yml
    - {name: Looped, include_tasks: loop.yml, loop: [1, 2]}
    - {name: two, ping: }
- hosts: c
  tasks: [{name: last, ping: , tags: x}]
`,
  'roles/r/tasks/main.yml': '- {name: in role, ping: }\n',
  'inc.yml': '- {name: i1, ping: }\n- {name: i2, ping: , tags: x}\n',
  'loop.yml': '- {name: l1, ping: }\n',
}

const REST = ['Looped', 'two', 'last']
/** What to start at, --tags, what is left. */
const table: readonly (readonly [string, string[], string[]])[] = [
  ['two', [], ['two', 'in role', 'b1', 'b2', 'saved', 'a1', 'a2 {{ x }}', 'i1', 'i2', ...REST]],
  ['in role', [], ['in role', 'b1', 'b2', 'saved', 'a1', 'a2 {{ x }}', 'i1', 'i2', ...REST]],
  ['r : in*', [], ['in role', 'b1', 'b2', 'saved', 'a1', 'a2 {{ x }}', 'i1', 'i2', ...REST]],
  ['b2', [], ['b2', 'saved', 'a1', 'a2 {{ x }}', 'i1', 'i2', ...REST]],
  ['a2 {{ x }}', [], ['a2 {{ x }}', 'i1', 'i2', ...REST]],
  ['a[2-9]*', ['x'], ['a2 {{ x }}', 'i2', 'last']],
  ['i2', [], ['i2', ...REST]],
  ['i?', ['x'], ['i2', 'last']],
  ['Looped', [], REST],
  ['last', [], ['last']],
]

t.test('what is left', async (t) => {
  const { plays } = await load(FILES)
  for (const [wanted, tags, left] of table) {
    const selection = { tags, skipTags: [] }
    const begun = startAt(
      plays.map((play) => selectTags(play, selection)),
      wanted,
      selection,
    )
    const names = begun.flatMap(({ sections }) =>
      sections.flatMap(({ steps }) => [...selectedSteps(steps, selection)].map(writtenName)),
    )
    t.same(names, left.includes('Looped') ? left.toSpliced(left.indexOf('Looped'), 1, 'l1') : left, wanted)
    t.equal(begun.length, plays.length)
    t.same(begun[0]!.prompts, [], 'a play that is passed over asks nothing')
  }
})

t.test('what an include brings in the run begins there too', async (t) => {
  const { plays } = await load(FILES)
  const all = { tags: [], skipTags: [] }
  const [, play] = startAt(plays, 'i2', all)
  const include = play!.sections[0]!.steps[0]!
  if (include.kind !== 'include') throw new Error('an include is left')
  const { steps } = await include.load('inc.yml')
  t.same([...selectedSteps(steps, all)].map(writtenName), ['i2'])
})

t.test('names that are not there', async (t) => {
  const { plays } = await load(FILES)
  const fails = (wanted: string, tags: string[] = []): string => {
    const selection = { tags, skipTags: [] }
    try {
      startAt(
        plays.map((play) => selectTags(play, selection)),
        wanted,
        selection,
      )
    } catch (error) {
      if (error instanceof UserError) return `${error.problems[0]!.message} | ${error.problems[0]!.hint}`
      throw error
    }
    return 'nothing wrong'
  }
  t.equal(fails('lasst'), 'no task is named "lasst" | did you mean "last"?')
  t.equal(fails('saved'), 'no task is named "saved" | --list-tasks shows the names', 'in a rescue part')
  t.match(fails('in role', ['x']), /no task is named/, 'left out by --tags')
  t.match(fails('l1'), /in an include with a loop.*'Looped'/)
  t.match(fails('[z-a]'), /no task is named/)
})
