/** What is secret shows nowhere: in no event, and so in no report and no journal. */
import { join } from 'node:path'
import t from 'tap'
import { Redactor } from '../../src/shared/redact.ts'
import { runHere } from './here.ts'

const SECRET = 'correct-horse-battery'

t.test('a secret that comes in pieces', async (t) => {
  const redactor = new Redactor()
  redactor.add(SECRET)
  const half = SECRET.slice(0, 9)
  // Each piece is printed, and so arrives, by itself.
  const shell = `printf ${half}; sleep 0.3; printf '${SECRET.slice(9)}\\nö'; sleep 0.3; printf ' end corr'`
  const { events, trace } = await runHere(t.testdir({}), [{ shell }], { redactor })
  t.strictSame(trace, ['shell changed'])
  const seen = events.flatMap((e) => (e.type === 'task_output' ? [e.text] : [])).join('')
  t.equal(seen, '********\nö end corr', 'nothing is lost either')
  t.notMatch(JSON.stringify(events.filter((e) => e.type === 'task_output')), half)
})

t.test('what a task with no_log gives, wherever it is used later', async (t) => {
  const folder = t.testdir({ file: SECRET })
  const no_log = true
  const { events, trace } = await runHere(folder, [
    { shell: `echo ${SECRET}-{{ item }}`, loop: ['one', 'two'], register: 'r', no_log },
    { debug: { msg: '{{ r.results.[0].stdout }} {{ r.results.[1].stdout }}' } },
    { set_fact: { token: `${SECRET}-three`, deep: { list: [`${SECRET}-four`] } }, no_log },
    { debug: { msg: '{{ token }} {{ deep.list.[0] }}' } },
    { slurp: { src: join(folder, 'file') }, register: 'f', no_log },
    { debug: { msg: '{{ f.content }} {{ b64decode f.content }}' } },
    { shell: `echo ${SECRET}-five; exit 1`, register: 'g', no_log, ignore_errors: true },
    { debug: { msg: '{{ g.stdout }} {{ json g }}' } },
    {
      shell: `echo ${SECRET}-six`,
      register: 'h',
      no_log,
      until: 'h.stdout == "x"',
      retries: 1,
      delay: 0,
      ignore_errors: true,
    },
    { fail: { msg: '{{ h.stdout }}' } },
  ])
  t.equal(trace.length, 10)
  // The lines of the playbook itself stand in the frame of a failure.
  const said = events.map((e) => JSON.stringify(e.type === 'task_result' ? { ...e, frame: undefined } : e))
  for (const text of said) t.notMatch(text, SECRET)
})
