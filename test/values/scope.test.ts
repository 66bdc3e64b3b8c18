import t from 'tap'
import { Redactor } from '../../src/shared/redact.ts'
import { parseYaml } from '../../src/shared/yaml.ts'
import { compileNode, makeScope, PENDING, PendingError } from '../../src/values/index.ts'
import { expression, plain, problem, scopeOf, text } from './support.ts'

t.test('later layers win, plain data is never a template', async (t) => {
  const scope = makeScope([
    { name: 'group', vars: { a: 1, b: 2 } },
    { name: 'host', vars: new Map<string, unknown>([['b', 3]]) },
    { name: 'facts', vars: { evil: '{{ a }}', nested: ['{{ a }}'] } },
  ])
  t.same([scope.get('a'), scope.get('b'), scope.get('nix')], [1, 3, undefined])
  t.equal(scope.get('evil'), '{{ a }}')
  t.equal(text('x{{ evil }}').evaluate(scope), 'x{{ a }}')
  t.same(text('{{ nested }}').evaluate(scope), ['{{ a }}'])
  t.ok(scope.has('a'))
  t.notOk(scope.has('toString'))
  t.same([...scope.names()], ['a', 'b', 'evil', 'nested'])
})

t.test('variables refer to variables, and maps to their own entries', async (t) => {
  const scope = scopeOf(
    'a: "{{ b }}!"\nb: "{{ c.d }}"\nc: {d: x, e: "{{ c.d }}{{ c.d }}", f: {g: "{{ c.e }}"}, l: ["{{ c.d }}"], bad: "{{ nix }}"}\n',
  )
  t.equal(scope.get('a'), 'x!')
  t.equal(text('{{ c.f.g }}').evaluate(scope), 'xx')
  t.equal(expression('c.f.g + c.l[0]').evaluate(scope), 'xxx')
  t.equal(expression('size(c)').evaluate(scope), 5)
  t.match(
    problem(() => text('{{ c }}').evaluate(scope)),
    /^vars\.yml:3:\d+: "nix" is not defined/,
    'the whole map needs all of it',
  )
  t.match(
    problem(() => text('{{ json c }}').evaluate(scope)),
    /"nix" is not defined/,
  )
})

t.test('a child scope overrides what nested templates see', async (t) => {
  const scope = scopeOf('path: "/srv/{{ item }}"\nitem: none\n')
  t.equal(scope.get('path'), '/srv/none')
  const child = scope.with({ item: 'x' }, 'loop')
  t.equal(child.get('path'), '/srv/x')
  t.equal(scope.get('path'), '/srv/none')
})

t.test('cycles are shown with their path', async (t) => {
  const scope = scopeOf(
    'a: "{{ b }}"\nb: !cel c.x + "1"\nc: {x: "{{ upper a }}", y: 1}\nself: "{{ self }}"\nm: {p: "{{ m.q }}", q: "{{ m.p }}"}\nok: "{{ c.y }}"\n',
  )
  t.match(
    problem(() => scope.get('a')),
    /the variable "a" refers to itself: a -> b -> c\.x -> a/,
  )
  t.match(
    problem(() => scope.get('self')),
    /^vars\.yml:4:7: the variable "self" refers to itself: self -> self/,
  )
  t.match(
    problem(() => text('{{ m.p }}').evaluate(scope)),
    /m\.p -> m\.q -> m\.p/,
  )
  t.equal(scope.get('ok'), 1, 'no cycle where only the map is shared')
  let chain = 'v0: end\n'
  for (let i = 1; i <= 2000; i++) chain += `v${i}: "{{ v${i - 1} }}"\n`
  t.match(
    problem(() => scopeOf(chain).get('v2000')),
    /more than 100 levels deep/,
  )
  t.equal(scopeOf(chain).get('v99'), 'end')
})

t.test('an error does not poison the scope', async (t) => {
  const scope = scopeOf('a: "{{ nix }}"\nb: 1\n')
  for (let i = 0; i < 3; i++)
    t.match(
      problem(() => scope.get('a')),
      /"nix" is not defined/,
    )
  t.equal(scope.get('b'), 1)
})

t.test('pending', async (t) => {
  const scope = scopeOf('a: "{{ reg.stdout }}"\nm: {x: "{{ reg }}", y: 1}\n').with({ reg: PENDING })
  t.throws(() => scope.get('reg'), new PendingError('reg'))
  t.throws(() => scope.get('a'), PendingError)
  t.throws(() => text('{{ m }}').evaluate(scope), PendingError)
  t.equal(text('{{ m.y }}').evaluate(scope), 1)
  t.ok(scope.has('reg'), 'it is defined')
  t.equal(scope.with({ reg: { stdout: 'o' } }).get('a'), 'o')
})

t.test('what is static is shared and frozen', async (t) => {
  const value = compileNode(parseYaml({ path: 'v.yml', text: 'a: {b: [1, {c: d}]}\ne: "{{ x }}"\n' }))
  const [one, two] = ['1', '2'].map((x) => value.evaluate(plain({ x })) as Record<string, Record<string, unknown>>)
  t.equal(one!.a, two!.a)
  t.ok(Object.isFrozen(one!.a) && Object.isFrozen(one!.a!.b))
  t.same(two!.e, '2')
  t.same([...value.references()], ['x'])
})

t.test('all errors of a node at once', async (t) => {
  const node = parseYaml({
    path: 'v.yml',
    text: 'a: "{{ uper x }}"\nb: [!cel "1 +", "{{#if}}{{/if}}"]\nc: !unsafe "{{ whatever"\n',
  })
  t.equal(problem(() => compileNode(node)).match(/^v\.yml:/gm)?.length, 3)
})

t.test('what a helper makes of a secret is redacted', async (t) => {
  const redactor = new Redactor()
  redactor.add('hunter22')
  const scope = plain(
    { password: 'hunter22', user: 'admin', both: { user: 'admin', password: 'hunter22' } },
    { redactor },
  )
  const shown = (source: string) => redactor.redact(String(text(source).evaluate(scope)))
  for (const source of [
    '{{ password }}',
    '{{ b64encode password }}',
    '{{ b64encode (join (split "admin hunter22" " ") ":") }}',
    '{{ hash password "sha1" }}',
    '{{ upper password }}',
    '{{ json both }}',
    '{{ b64encode (json both) }}',
    '{{ replace password "hunter" "gatherer" }}',
  ]) {
    t.notMatch(shown(source), /hunter22|HUNTER22|gatherer22|aHVudGVyMjI|[0-9a-f]{40}/, source)
  }
  redactor.redact(String(expression('b64encode("x:" + password)').evaluate(scope)))
  t.equal(redactor.redact(Buffer.from('x:hunter22').toString('base64')), '********')
  t.equal(shown('{{ first (values both) }}'), 'admin', 'what stood beside it is no secret')
})
