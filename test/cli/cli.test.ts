/** The program as a user starts it, on this machine as its own host. */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { parse } from 'yaml'
import { BIN, runbook } from './runbook.ts'

// Some forty starts of the program, on a machine that may be slow.
t.setTimeout(180_000)

const INVENTORY = 'all:\n  hosts:\n    here: {ansible_connection: local}\n'

t.test('init gives a folder that works', async (t) => {
  const folder = t.testdir({})
  const marker = join(folder, 'marker')
  t.match(await runbook(['init', 'x'], folder), { code: 0, out: /wrote x\/site\.yml/ })
  const x = join(folder, 'x')
  writeFileSync(join(x, 'group_vars/all.yml'), `marker: ${marker}\n`)
  for (const [file, schema] of [
    ['site.yml', 'playbook'],
    ['inventory.yml', 'inventory'],
  ] as const) {
    const text = readFileSync(join(x, file), 'utf8')
    const named = /^# yaml-language-server: \$schema=(\S+)/.exec(text)![1]!
    const valid = new Ajv2020({ strict: false }).compile(JSON.parse(readFileSync(join(x, named), 'utf8')))
    t.ok(valid(parse(text)), `${file}: ${JSON.stringify(valid.errors)}`)
    t.ok(named.includes(schema))
  }
  t.match(await runbook(['validate', 'site.yml'], x), { code: 0, out: /valid; plays: 1/ })
  t.match(await runbook(['plan', 'site.yml', '--detailed-exitcode'], x), { code: 8, out: /1 of 1 host would change/ })
  t.notOk(existsSync(marker), 'plan touches nothing')
  t.match(await runbook(['apply', 'site.yml'], x), { code: 0, out: /1 of 1 host changed/ })
  t.ok(existsSync(marker))
  t.match(await runbook(['apply', 'site.yml', '--detailed-exitcode'], x), {
    code: 0,
    out: /nothing to change on 1 host/,
  })
  t.match(await runbook(['init'], x), { code: 3, out: '', err: /site\.yml.*already there/ })

  const { out } = await runbook(['history'], x)
  const runs = out.trimEnd().split('\n')
  t.equal(runs.length, 3)
  t.match(runs[2], /pending .*plan site\.yml/)
  t.match(await runbook(['history', 'show', runs[0]!.split(' ')[0]!], x), {
    code: 0,
    out: /apply site\.yml\nPLAY First play(.|\n)*RECAP/,
  })
  t.match(await runbook(['history', 'show', '1999'], x), { code: 3, err: /there is no run "1999"/ })
})

t.test(
  'json: one object a line and nothing else; the exit code of a failure; secrets stay out of the history',
  async (t) => {
    const folder = t.testdir({
      'inventory.yml': INVENTORY,
      'site.yml': '- hosts: all\n  gather_facts: false\n  tasks:\n    - command: "false"\n',
    })
    const { code, out, err } = await runbook(['apply', 'site.yml', '-e', 'token=hunter22', '--output', 'json'], folder)
    t.equal(code, 2)
    t.equal(err, '')
    const objects = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    t.match(objects, [
      { type: 'task_result', host: 'here', status: 'failed', rc: 1, place: 'site.yml:4:7' },
      { type: 'recap', hosts: { here: { failed: 1 } } },
    ])
    t.match((await runbook(['history'], folder)).out, /failed .*apply site\.yml -e 'token=…'/)
    const journal = readdirSync(join(folder, '.runbook')).map((f) =>
      readFileSync(join(folder, '.runbook', f), 'latin1'),
    )
    t.notMatch(journal.join(''), /hunter22/)
  },
)

t.test('wrong input: exit 3, on stderr, with the right word', async (t) => {
  const folder = t.testdir({
    'inventory.yml': INVENTORY,
    'bad.yml': '- hosts: all\n  tasks:\n    - comand: ls\n    - command: ls\n      wehn: true\n',
  })
  for (const [args, err] of [
    [['aply'], /unknown command 'aply'\n\(Did you mean apply\?\)/],
    [['apply', '--chekc', 'x.yml'], /unknown option '--chekc'\n\(Did you mean --check\?\)/],
    [['apply'], /missing required argument 'playbook'/],
    [['apply', 'x.yml'], /x\.yml/],
    [['apply', 'bad.yml', '--forks', '0'], /whole number above 0/],
    [['apply', 'bad.yml', '--output', 'tre'], /tree, plain, json/],
    [['apply', 'bad.yml'], /bad\.yml:3:7(.|\n)*"command"(.|\n)*bad\.yml:5:7(.|\n)*"when"/],
    [['validate', 'bad.yml'], /bad\.yml:3:7/],
    [['run', 'all', 'comand', 'ls'], /there is no module "comand"\n +did you mean "command"/],
    [['modules', 'sysctll'], /did you mean "sysctl"/],
    [['inventory', 'list', 'nothere'], /nothere/],
    [['apply', 'bad.yml', '-i', 'nowhere.yml'], /nowhere\.yml does not exist|bad\.yml:3/],
    [['completion', 'tcsh'], /bash, zsh, fish/],
  ] as const) {
    const ended = await runbook([...args], folder)
    t.equal(ended.code, 3, args.join(' '))
    t.equal(ended.out, '')
    t.match(ended.err, err)
    t.notMatch(ended.err, /\bat .*\.ts:\d+/, 'no stack')
  }
  t.notOk(existsSync(join(folder, '.runbook')), 'nothing was begun')
})

t.test('help everywhere, with examples', async (t) => {
  t.match(await runbook(['--version']), { code: 0, out: /^\d+\.\d+\.\d+\n$/ })
  const { out } = await runbook(['--help'])
  const names = [...out.matchAll(/^ {2}([a-z]+)(?: \[| <| {2})/gm)]
    .map((m) => m[1]!)
    .filter((n) => n !== 'runbook' && n !== 'help')
  const usual = ['apply', 'plan', 'run', 'validate', 'inventory', 'modules', 'schema', 'completion', 'init', 'history']
  t.same(
    usual.filter((name) => !names.includes(name)),
    [],
  )
  for (const name of names)
    t.match(await runbook([name, '--help']), { code: 0, out: /Usage: runbook (.|\n)*Examples:\n {2}/ }, name)
})

t.test('one task from the command line, and the inventory', async (t) => {
  const folder = t.testdir({
    'inventory.yml': INVENTORY,
    group_vars: { 'all.yml': 'port: 22\nurl: "http://h:{{ port }}"\n' },
  })
  t.match(await runbook(['run', 'all', 'command', 'echo', '{{ url }}', '-vv'], folder), {
    code: 0,
    out: /"stdout": "http:\/\/h:22"/,
  })
  t.match(await runbook(['run', 'all', 'command', 'true', '--folder', 'elsewhere'], folder), {
    code: 3,
    err: /journal elsewhere\/\.runbook\/journal\.db cannot be written/,
  })
  t.match(await runbook(['run', 'all', 'command', '--check', 'touch x'], folder), { code: 0, out: /would change/ })
  t.notOk(existsSync(join(folder, 'x')))
  t.match(await runbook(['inventory', 'list'], folder), { code: 0, out: 'here\n' })
  t.match(JSON.parse((await runbook(['inventory', 'list', '--json'], folder)).out), {
    _meta: { hostvars: { here: { port: 22, url: 'http://h:22' } } },
    all: { hosts: ['here'] },
  })
  t.match(await runbook(['inventory', 'host', 'here'], folder), {
    code: 0,
    out: /# group_vars\/all\.yml:2:\d+\nurl: http:\/\/h:22/,
  })
  t.match(await runbook(['inventory', 'graph'], folder), { code: 0, out: '@all\n  @ungrouped\n    here\n' })
})

const SLOW = `- hosts: all
  gather_facts: false
  tasks:
    - name: first
      command: touch first
    - name: slow
      shell: sleep 2; touch slow
    - name: never
      command: touch never
`

t.test('Ctrl-C once finishes the step; twice stops now', async (t) => {
  for (const times of [1, 2]) {
    const folder = t.testdir({ 'inventory.yml': INVENTORY })
    writeFileSync(join(folder, 'site.yml'), SLOW.replaceAll('touch ', `touch ${folder}/`))
    let sent = 0
    const started = performance.now()
    const { code, out, err } = await runbook(['apply', 'site.yml', '-vvv'], folder, ({ kill, out }) => {
      if (sent > 0 || !/slow is started/.test(out())) return
      sent++
      kill('SIGINT')
      if (times === 2) setTimeout(() => kill('SIGINT'), 200)
    })
    t.equal(code, 130, `${out}\n${err}`)
    t.match(err, /Ctrl-C: each host finishes the step it is at/)
    t.match(out, /interrupted; the same command with --resume/)
    t.equal(existsSync(join(folder, 'slow')), times === 1, 'the step came to its end the first time only')
    t.notOk(existsSync(join(folder, 'never')))
    if (times === 2) t.ok(performance.now() - started < 10_000)
    t.match((await runbook(['history'], folder)).out, /interrupted/)
  }
})

t.test('a reader that goes away does not end the run', async (t) => {
  const folder = t.testdir({ 'inventory.yml': INVENTORY })
  writeFileSync(join(folder, 'site.yml'), SLOW.replace('sleep 2', 'sleep 0.3').replaceAll('touch ', `touch ${folder}/`))
  const script = `"$0" "$1" apply site.yml -v | head -n 1; echo "status \${PIPESTATUS[0]}"`
  const child = spawn('bash', ['-c', script, process.execPath, BIN], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk
  })
  await new Promise((resolve) => child.on('close', resolve))
  t.match(out, /^PLAY .*\nstatus 0\n$/)
  t.ok(existsSync(join(folder, 'never')), 'the last task ran')
})

t.test('completion in a real bash', async (t) => {
  const complete = async (line: string): Promise<string[]> => {
    const words = line.split(' ')
    const script = `source <("$0" "$1" completion bash); COMP_WORDS=(${words.map((w) => `'${w}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _runbook; printf '%s\\n' "\${COMPREPLY[@]}"`
    const child = spawn('bash', ['-c', script, process.execPath, BIN], { stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      out += chunk
    })
    await new Promise((resolve) => child.on('close', resolve))
    return out.trimEnd().split('\n')
  }
  t.same(await complete('runbook hi'), ['history'])
  t.same(await complete('runbook inventory g'), ['graph'])
  t.same(await complete('runbook apply --skip'), ['--skip-tags'])
  t.same(await complete('runbook run all sysc'), ['sysctl'])
  t.same(await complete('runbook modules sysc'), ['sysctl'])
  for (const shell of ['zsh', 'fish']) t.match(await runbook(['completion', shell]), { code: 0, out: /inventory/ })
})
