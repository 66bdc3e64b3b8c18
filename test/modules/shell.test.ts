import fs from 'node:fs'
import { join } from 'node:path'
import command from '../../modules/command.ts'
import script from '../../modules/script.ts'
import shell from '../../modules/shell.ts'
import { apply, check, converge, inEachShell } from './drive.ts'
import { table } from './table.ts'

table(shell, [
  { name: 'runs', args: { cmd: 'true && echo' }, state: {}, changes: ['run true && echo'] },
  { name: 'creates', args: { cmd: 'true', creates: '/a' }, state: { creates: {} }, changes: [] },
  { name: 'removes', args: { cmd: 'true', removes: '/a' }, state: {}, changes: [] },
])
table(command, [
  { name: 'an open quote', args: { cmd: `echo "x` }, state: {}, invalid: /quote that is not closed/ },
  { name: 'nothing', args: { cmd: ' ' }, state: {}, invalid: /is empty/ },
])

inEachShell('shell', async (t, bench) => {
  const marker = join(bench.host, 'a b')
  const odd = await apply(bench, shell, { cmd: `printf '%s\\n' "it's" '$x' && exit 0`, creates: marker })
  t.same(odd.result.stdout_lines, [`it's`, '$x'])
  const piped = await apply(bench, shell, { cmd: 'cat | tr a-z A-Z', stdin: 'in put', chdir: bench.host })
  t.equal(piped.result.stdout, 'IN PUT')
  t.equal((await apply(bench, shell, { cmd: 'pwd', chdir: bench.host })).result.stdout, bench.host)
  await t.rejects(apply(bench, shell, { cmd: `echo 'open` }), 'a syntax error fails this task alone')
  await t.rejects(apply(bench, shell, { cmd: 'echo out; echo err >&2; exit 7' }), /: 7: out\nerr/)
  const bash = { cmd: 'a=(1 2); echo ${#a[@]}', executable: '/bin/bash' }
  t.equal((await apply(bench, shell, bash)).result.stdout, '2')
  const { changes } = await apply(bench, shell, { cmd: `: > '${marker}'`, creates: marker })
  t.equal(changes.length, 1)
  t.same(await check(bench, shell, { cmd: 'x', creates: marker }), [])
})

inEachShell('script', async (t, bench) => {
  const write = (name: string, text: string | Buffer) => fs.writeFileSync(join(bench.controller, name), text)
  write('my script.sh', `#!/bin/bash -e\na=(x "$@")\necho "\${#a[@]} $2"; pwd`)
  const { result } = await converge(t, bench, script, { cmd: `'my script.sh' one 'two  words'`, chdir: bench.host })
  t.same(result.stdout_lines, ['3 two  words', bench.host])
  write('plain', `echo "$1"; rm -f "$0"; exit 3`)
  await t.rejects(apply(bench, script, { cmd: 'plain arg' }), /: 3: arg/)
  write('big', `#!/bin/sh\n#${'x'.repeat(70_000)}\necho big`)
  t.equal((await converge(t, bench, script, { cmd: 'big' })).result.stdout, 'big')
  write('program', fs.readFileSync('/bin/true'))
  t.equal((await apply(bench, script, { cmd: 'program' })).result.rc, 0)
  t.notOk(fs.readdirSync('/tmp').some((f) => f.startsWith('.rb-')))
  await t.rejects(apply(bench, script, { cmd: 'plain', executable: 'no-such-interpreter' }), /not found/)
})
