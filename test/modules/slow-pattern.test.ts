/** Wherever a user's pattern meets a text, it cannot block the process; the error says where it stands. */
import t from 'tap'
import blockinfile from '../../modules/blockinfile.ts'
import lineinfile from '../../modules/lineinfile.ts'
import replace from '../../modules/replace.ts'
import type { Module } from '../../src/module/index.ts'
import { placeAt } from '../../src/shared/source.ts'
import { limit } from '../../src/shared/time-limit.ts'
import { compileExpression, compileText, makeScope } from '../../src/values/index.ts'

limit.ms = 200
const text = `${'a'.repeat(60)}!`

t.test('modules', async (t) => {
  const plan = (module: Module, raw: object) => () =>
    module.plan(module.args.parse({ path: '/x', ...raw }), {
      file: { exists: true, text: `${text}\n`, stat: undefined },
    })
  t.throws(plan(lineinfile, { regexp: '^(a+)+$', line: 'x' }), /regular expression \^\(a\+\)\+\$ takes more than/)
  t.throws(plan(replace, { regexp: '^(a+)+$', replace: 'x' }), /search for matches .* takes more than/)
  t.throws(plan(lineinfile, { line: 'x', insertafter: '^(a|a)+$' }), /regular expression \^\(a\|a\)\+\$ takes/)
  t.throws(plan(blockinfile, { block: 'x', insertbefore: '^(a*)*$' }), /regular expression \^\(a\*\)\*\$ takes/)
})

t.test('templates and expressions', async (t) => {
  const scope = makeScope([{ name: 'test', vars: { text } }])
  const at = (source: string) => placeAt({ path: 'site.yml', text: `x: '${source}'\n` }, 4, 4 + source.length)
  const written = '{{ regex_replace text "^(aa?)+$" "x" }}'
  const template = compileText(written, at(written))
  t.throws(() => template.evaluate(scope), /site\.yml:1:.*regex_replace: the regular expression \^\(aa\?\)\+\$ takes/s)
  for (const source of ['text.matches("^(a+a?)+$")', 'regex_match(text, "^(a+b?)+$")'])
    t.throws(() => compileExpression(source, at(source)).test(scope), /site\.yml:1:.*takes more than 0\.2 s/s, source)
})
