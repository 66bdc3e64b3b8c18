/** Handlers of roles: which variables they see. */
import t, { type Test } from 'tap'
import { runHere } from '../attack/here.ts'

const role = {
  tasks: {
    'main.yml': `
- { name: change, command: "true", notify: H }
- { meta: flush_handlers, when: flush }
`,
  },
  handlers: { 'main.yml': '- { name: H, debug: { msg: "{{ port }}" } }' },
  defaults: { 'main.yml': 'flush: false' },
}

async function said(t: Test, tasks: readonly unknown[]): Promise<(string | undefined)[]> {
  const { results } = await runHere(t.testdir({ roles: { r: role } }), tasks)
  return results.flatMap(({ task, msg, status }) => (task === 'H' ? [status === 'ok' ? msg : `${status}: ${msg}`] : []))
}
const name = { name: 'r' }

t.test('the item of the include', async (t) => {
  const loop = { include_role: name, vars: { port: '{{ item }}' }, loop: [80, 81] }
  t.strictSame(await said(t, [loop]), ['81'], 'of the last one')
  t.strictSame(await said(t, [{ ...loop, vars: { ...loop.vars, flush: true } }]), ['80', '81'], 'of each')
})

t.test('used twice', async (t) => {
  for (const word of ['import_role', 'include_role'])
    t.strictSame(
      await said(
        t,
        [80, 81].map((port) => ({ [word]: name, vars: { port } })),
      ),
      ['81'],
      word,
    )
})
