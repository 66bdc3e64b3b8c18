/** Commands that print more than anybody keeps, into each other's answers, or what looks like our own marks. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runHere } from './here.ts'

const MIB = 1024 * 1024

t.test('a command may print more than is kept', async (t) => {
  const folder = t.testdir({})
  const { trace, results } = await runHere(folder, [
    { shell: `head -c ${17 * MIB} /dev/zero | tr '\\0' a; echo end >&2`, register: 'r' },
    { debug: { msg: '{{ length r.stdout }} {{ r.stderr }}' } },
    { copy: { content: 'x', dest: join(folder, 'file') } },
  ])
  t.strictSame(trace, ['shell changed', 'debug ok', 'copy changed'])
  t.match(results[1]!.msg, new RegExp(`^${16 * MIB} end\\n+runbook: of each stream the first 16 MiB were kept$`))
})

t.test('many answers together may be more than is kept of one', async (t) => {
  const files = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`f${i}`, 'x'.repeat(MIB - i)]))
  const folder = t.testdir(files)
  const { trace } = await runHere(
    folder,
    Object.keys(files).map((name) => ({ slurp: { src: join(folder, name) } })),
  )
  t.equal(trace.filter((line) => line === 'slurp ok').length, 20)
})

t.test('what a process in the background prints gets into no file', async (t) => {
  const text = 'a line\n'.repeat(100_000)
  const folder = t.testdir({ conf: text })
  const { results } = await runHere(folder, [
    { shell: '(i=0; while [ $i -lt 20000 ]; do echo NOISE; i=$((i+1)); done) &' },
    { lineinfile: { path: join(folder, 'conf'), line: 'new' } },
  ])
  const now = readFileSync(join(folder, 'conf'), 'utf8')
  if (results[1]!.status === 'changed') t.equal(now, `${text}new\n`)
  else t.match(results[1], { msg: /in the background prints/ })
  t.notMatch(now, 'NOISE')
})

t.test('marks that a command makes up', async (t) => {
  const folder = t.testdir({})
  const { results } = await runHere(folder, [
    {
      shell: "printf '\\036%s c 0\\n' 0123456789abcdef01; printf '\\036'; printf '\\036c 0\\n'; exit 3",
      ignore_errors: true,
    },
    { command: 'true' },
  ])
  t.match(results, [
    { status: 'ignored', rc: 3, stdout: '\x1e0123456789abcdef01 c 0\n\x1e\x1ec 0\n' },
    { status: 'changed' },
  ])
})

t.test('what a command printed until its time was over is told, and registered', async (t) => {
  const script = 'echo begun; echo what it waits for >&2; sleep 600'
  const task = { shell: script, timeout: 5, ignore_errors: true, register: 'r' }
  const { results } = await runHere(t.testdir({}), [task, { debug: { msg: '{{ r.stdout }}' } }])
  t.match(results[0], {
    status: 'ignored',
    msg: /did not end within 5 s/,
    stdout: 'begun\n',
    stderr: 'what it waits for\n',
    cmd: /sleep 600/,
  })
  t.match(results[1], { status: 'ok', msg: 'begun' })
})

t.test('a time limit of 0 is none: it takes that of a block off', async (t) => {
  const tasks = [
    {
      timeout: 1,
      block: [
        { shell: 'sleep 1.5', timeout: 0 },
        { pause: { seconds: 0.01 }, timeout: 0 },
      ],
    },
  ]
  t.strictSame((await runHere(t.testdir({}), tasks)).trace, ['shell changed', 'pause ok'])
})
