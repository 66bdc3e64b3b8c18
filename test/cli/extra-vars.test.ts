import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { extraVarsHash } from '../../src/cli/extra-vars.ts'

t.test('a run with other variables is another run', async (t) => {
  const file = join(t.testdir({ 'v.yml': 'v: one\n' }), 'v.yml')
  const hash = extraVarsHash(['v=one', `@${file}`])
  t.equal(extraVarsHash(['v=one', `@${file}`]), hash)
  t.not(extraVarsHash(['v=two', `@${file}`]), hash)
  t.not(extraVarsHash(['v=one']), hash)
  t.not(extraVarsHash(['a=1', 'b=2']), extraVarsHash(['a=1b=2']))
  writeFileSync(file, 'v: two\n')
  t.not(extraVarsHash(['v=one', `@${file}`]), hash, 'files count by what they hold')
})
