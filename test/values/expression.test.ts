import t from 'tap'
import { PENDING, PendingError } from '../../src/values/index.ts'
import { expression, plain, problem, scopeOf } from './support.ts'

const scope = plain({
  port: 6443,
  half: 0.5,
  two: 2,
  name: 'n1',
  on: true,
  nothing: null,
  facts: { cpu: 4, mounts: [{ path: '/', size: 10 }], none: null },
  list: [1, 2, 3],
  names: ['a', 'b'],
  big: 2 ** 53,
  nodes: [{ name: 'a', up: true }, { name: 'b' }],
  groups: { workers: ['w1', 'w2'] },
})

t.test('results', async (t) => {
  const table: [string, unknown][] = [
    ['port == 6443 && port > 1 && port != 1', true],
    ['port + 1', 6444],
    ['facts.cpu * 2 - 1', 7],
    ['two / 4', 0],
    ['7 / two', 3],
    ['7 % two', 1],
    ['-port', -6443],
    ['half + 1', 1.5],
    ['half * two', 1],
    ['two * 1.5', 3],
    ['two < 2.5 && half < 1', true],
    ['list[two]', 3],
    ['list[0] + list[1]', 3],
    ['2 in list && !(9 in list)', true],
    ['list == [1, 2, 3]', true],
    ['list + [4]', [1, 2, 3, 4]],
    ['list.map(x, x * 2)', [2, 4, 6]],
    ['list.filter(x, x > 1)', [2, 3]],
    ['list.all(x, x > 0) && list.exists(x, x == 2) && list.exists_one(x, x == 2)', true],
    ['nodes.filter(n, has(n.up) && n.up).map(n, n.name)', ['a']],
    ['nodes[0]', { name: 'a', up: true }],
    ['facts.mounts[0].size + 1', 11],
    ['facts.mounts', [{ path: '/', size: 10 }]],
    ['size(groups.workers) + size(name) + size(facts)', 7],
    ['"cpu" in facts', true],
    ['facts["cpu"]', 4],
    ['{"a": port, "b": [half]}', { a: 6443, b: [0.5] }],
    ['[1, "a", true]', [1, 'a', true]],
    ['name + "x"', 'n1x'],
    ['name.startsWith("n") && name.matches("^n\\\\d$")', true],
    ['string(port) + "/" + string(half)', '6443/0.5'],
    ['int("5") + port', 6448],
    ['on ? port : 0', 6443],
    ['nothing == null && name != null', true],
    ['type(port) == int', true],
    ['has(facts.cpu) && !has(facts.gpu)', true],
    ['defined(port) && !defined(nix) && !defined(nix.x.y) && !defined(facts.gpu) && !defined(nothing)', true],
    ['default(facts.gpu, 0) + default(nix, 1) + default(port, 0)', 6444],
    ['default(list[7], 9)', 9],
    ['default(nothing, "d")', 'd'],
    ['timestamp("2024-01-01T00:00:00Z") + duration("1h")', '2024-01-01T01:00:00.000Z'],
    ['duration("90s")', '90s'],
    ['timestamp("2024-01-02T00:00:00Z") > timestamp("2024-01-01T00:00:00Z")', true],
    ['lower("AB") == "ab" && cidr_ip("10.0.0.0/8", two) == "10.0.0.2"', true],
    ['version_compare("1.31.0", ">=", "1.30")', true],
    ['cel.bind(x, port, x + x)', 12886],
    ['b"hi".base64()', 'aGk='],
  ]
  for (const [source, expected] of table) t.same(expression(source).evaluate(scope), expected, source)
  t.type(expression('big + 0.0').evaluate(scope), 'number')
})

t.test('templates in variables are rendered when they are touched', async (t) => {
  const vars = scopeOf(
    'n: 3\nport: "{{ n }}"\nm: {ok: "{{ n }}", bad: "{{ nix }}"}\nq: !cel n / 2 + 1\nlist: [{v: "{{ n }}"}]\n',
  )
  t.equal(expression('port + m.ok + q + list[0].v').evaluate(vars), 11)
  t.match(
    problem(() => expression('m.bad == 1').evaluate(vars)),
    /^vars\.yml:3:\d+: "nix" is not defined/,
  )
})

t.test('conditions must be true or false', async (t) => {
  t.equal(expression('on').test(scope), true)
  const table: [string, string][] = [
    ['name', 'string'],
    ['port', 'number'],
    ['list', 'list'],
    ['nothing', 'null'],
    ['facts', 'map'],
  ]
  for (const [source, kind] of table) {
    t.match(
      problem(() => expression(source).test(scope)),
      new RegExp(`^t\\.yml:1:1: this condition gives .*${kind}, neither true nor false`),
      source,
    )
  }
})

t.test('errors have a place and a hint', async (t) => {
  const table: [string, RegExp][] = [
    ['on && prot == 1', /^t\.yml:1:7: "prot" is not defined[\s\S]+did you mean "port"/],
    ['facts.gpu > 1', /^t\.yml:1:7: "facts" has no "gpu"/],
    ['facts.none.x == 1', /"facts\.none" has no "x"/],
    ['list[7] == 1', /index out of bounds/],
    ['nothing.x', /"nothing" has no "x"/],
    ['prot == 1 || true', /"prot" is not defined/],
    ['prot == 1 && false', /"prot" is not defined/],
    ['facts.gpu == 1 || true', /has no "gpu"/],
    ['name || true', /neither true nor false/],
    ['true && name', /neither true nor false|requires bool/],
    ['nodes.exists(n, n.up)', /no error but true/],
    ['nodes.exists(n, n.name == "b" && n.up)', /"n" has no "up"/],
    ['nodes.all(n, n.up)', /"n" has no "up"/],
    ['has(nix.x)', /"nix" is not defined/],
    ['port + name', /the types do not fit: int \+ string/],
    ['port ? 1 : 2', /must be bool/],
    ['port / 0', /division by zero/],
    ['cidr_ip("x", 1)', /^t\.yml:1:1: cidr_ip: "x" is not an address/],
    ['9223372036854775807 + port', /overflow/],
  ]
  for (const [source, expected] of table)
    t.match(
      problem(() => expression(source).evaluate(scope)),
      expected,
      source,
    )
})

t.test('what can be known when compiling is', async (t) => {
  const table: [string, RegExp][] = [
    ['lowr(name)', /unknown function "lowr"[\s\S]+did you mean "lower"/],
    ['1 + "a"', /the types do not fit: int \+ string/],
    ['a and b', /&&, \|\| and !/],
    ['not a', /&&, \|\| and !/],
    ['a is defined', /write defined\(name\)/],
    ['a not in b', /write !\(a in b\)/],
    ['a | bool', /filters/],
    ['a = 1', /compare with ==/],
    ['"{{ a }}" == 1', /no braces/],
    ['{{ a }} == 1', /no braces/],
    ['(1', /t\.yml:1:\d/],
    ['', /t\.yml:1:1/],
    ['loop == 1', /reserved/i],
    [`${'('.repeat(1000)}1`, /t\.yml/],
  ]
  for (const [source, expected] of table)
    t.match(
      problem(() => expression(source)),
      expected,
      source.slice(0, 30),
    )
})

t.test('variables may have the names of types', async (t) => {
  const vars = plain({ type: 'x', list: [1], map: { a: 1 } })
  t.equal(expression('type == "x" && list[0] == 1 && map.a == 1 && type(list) != type(map)').evaluate(vars), true)
  t.equal(expression('type(1) == int && type("") == string && type([]) == list').evaluate(plain({})), true)
  t.same([...expression('[1].map(list, list + 1)').references()], [])
  t.same(expression('[1].map(list, list + 1)').evaluate(vars), [2])
})

t.test('pending values', async (t) => {
  const waiting = scope.with({ reg: PENDING, done: { rc: PENDING, out: 'x' } })
  for (const source of [
    'reg.rc == 0',
    'has(reg.rc)',
    'defined(reg)',
    'default(reg.x, 1)',
    'done.rc == 0',
    'reg.rc == 0 || true',
    'nodes.exists(n, reg.rc == 0)',
  ]) {
    t.throws(() => expression(source).evaluate(waiting), PendingError, source)
  }
  t.equal(expression('done.out').evaluate(waiting), 'x')
  t.equal(expression('on || reg.rc == 0').evaluate(waiting), true)
})

t.test('the names that it reads', async (t) => {
  t.same([...expression('a.b == c && d.map(x, x + e).size() > 0 && has(f.g)').references()].sort(), [
    'a',
    'c',
    'd',
    'e',
    'f',
  ])
})
