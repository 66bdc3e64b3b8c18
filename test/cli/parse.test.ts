import t from 'tap'
import { readArguments } from '../../src/cli/commands/run.ts'
import { exitCodeOf } from '../../src/cli/exit.ts'
import { readExtraVars } from '../../src/cli/extra-vars.ts'
import { showError } from '../../src/cli/show-error.ts'
import { UserError } from '../../src/shared/errors.ts'
import type { HostRecap, Recap } from '../../src/shared/events.ts'
import { makeScope } from '../../src/values/index.ts'

const evaluated = async (options: string[]): Promise<Record<string, unknown>> => {
  const vars = await readExtraVars(options)
  const scope = makeScope([{ name: 'extra', vars }])
  return Object.fromEntries([...vars.keys()].map((name) => [name, JSON.parse(JSON.stringify(scope.get(name)))]))
}

t.test('extra vars', async (t) => {
  const folder = t.testdir({ 'vars.yml': 'replicas: 3\nname: "n-{{ replicas }}"\n' })
  for (const [options, vars] of [
    [['a=1'], { a: '1' }],
    [['a=1 b=true'], { a: '1', b: 'true' }],
    [['a="x y" b=\'z "w"\''], { a: 'x y', b: 'z "w"' }],
    [['msg=hello big world n=1'], { msg: 'hello big world', n: '1' }],
    [['url=http://h/?a=b'], { url: 'http://h/?a=b' }],
    [['empty='], { empty: '' }],
    [['{"a": 1, "b": [true]}'], { a: 1, b: [true] }],
    [['{a: 0644}'], { a: 644 }],
    [['a=1', 'a=2'], { a: '2' }],
    [[`@${folder}/vars.yml`], { replicas: 3, name: 'n-3' }],
    [[`@${folder}/vars.yml`, '{"replicas": 5}'], { replicas: 5, name: 'n-5' }],
  ] as const)
    t.same(await evaluated([...options]), vars, options.join(' '))
  for (const [option, message] of [
    ['novalue', /there is no "="/],
    ['a-b=1', /no name of a variable/],
    ['=1', /no name of a variable/],
    ['@/does/not/exist.yml', /exist/],
    ['{a: [}', /extra-vars:1/],
  ] as const)
    await t.rejects(readExtraVars([option]), { name: 'UserError', message }, option)
})

t.test('arguments of a single task', async (t) => {
  const schema = {
    properties: {
      mode: { type: 'string' },
      enabled: { type: 'boolean' },
      names: { anyOf: [{ type: 'string' }, { type: 'array' }] },
      size: { type: 'integer' },
      cmd: { type: 'string' },
    },
  }
  for (const [words, freeForm, args] of [
    [['mode=0644', 'enabled=true', 'size=5'], undefined, { mode: '0644', enabled: true, size: 5 }],
    [['names=[a, b]'], undefined, { names: ['a', 'b'] }],
    [['names=a'], undefined, { names: 'a' }],
    [['enabled=[', 'size='], undefined, { enabled: '[', size: null }],
    [['later=x'], undefined, { later: 'x' }],
    [['ls', '-l', 'a=b'], 'cmd', { cmd: 'ls -l a=b' }],
    [['A=1 env'], 'cmd', { cmd: 'A=1 env' }],
    [['cmd=ls -l', 'mode=1'], 'cmd', { cmd: 'ls -l', mode: '1' }],
    [[], 'cmd', {}],
  ] as const)
    t.same(readArguments(words, schema, freeForm), args, words.join(' '))
  t.throws(() => readArguments(['ls'], schema, undefined), {
    message: /"ls" is no argument\n.*known are mode, enabled/,
  })
})

t.test('exit codes', async (t) => {
  const zero: HostRecap = {
    ok: 1,
    changed: 0,
    skipped: 0,
    failed: 0,
    ignored: 0,
    rescued: 0,
    unreachable: 0,
    round_trips: 1,
  }
  const of = (hosts: Partial<HostRecap>[], detailed = false, interrupted = false): number => {
    const all = Object.fromEntries(hosts.map((h, i) => [`h${i}`, { ...zero, ...h }]))
    const recap: Recap = { type: 'recap', run: 'r', hosts: all, elapsedMs: 1, interrupted, owed: {} }
    return exitCodeOf(recap, { detailed })
  }
  t.equal(of([]), 0)
  t.equal(of([{ changed: 1, ignored: 1, rescued: 1 }]), 0)
  t.equal(of([{ changed: 1 }], true), 8)
  t.equal(of([{}], true), 0)
  t.equal(of([{ failed: 1 }, { unreachable: 1, changed: 1 }], true), 2)
  t.equal(of([{ unreachable: 1, changed: 1 }, {}], true), 4)
  t.equal(of([{ failed: 1 }], false, true), 130)
})

t.test('errors: the user’s without a stack, bugs with one', async (t) => {
  let text = ''
  const write = (more: string): void => {
    text += more
  }
  t.equal(showError(new UserError({ message: 'wrong', hint: 'mend it' }), write), 3)
  t.equal(text, 'wrong\n  mend it\n')
  text = ''
  showError(new UserError('2 |   tsks: \x1b]0;title\x07\n      ^^^^'), write)
  t.equal(text, '2 |   tsks: \n      ^^^^\n', 'what it quotes cannot steer the terminal')
  text = ''
  t.equal(showError(Object.assign(new Error('ENOENT'), { syscall: 'uv_cwd' }), write), 3)
  t.match(text, /^the current folder is gone/)
  text = ''
  t.equal(showError(new TypeError('oops'), write), 1)
  t.match(text, /TypeError: oops\n +at .*\n(.*\n)*This is a bug in runbook/)
})
