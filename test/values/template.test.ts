import t from 'tap'
import { parseYaml, type YamlMap } from '../../src/shared/yaml.ts'
import { compileNode, compileTemplateFile, PENDING, PendingError } from '../../src/values/index.ts'
import { plain, problem, text } from './support.ts'

const scope = plain({
  name: 'n1',
  port: 6443,
  on: true,
  off: false,
  zero: 0,
  blank: '',
  nothing: null,
  api: { host: 'h', 'x-y': 'dash', nothing: null },
  list: ['a', 'b'],
  none: [],
  nodes: [
    { name: 'a', tags: ['x'] },
    { name: 'b', tags: [] },
  ],
  env: 'prod',
})

t.test('one mustache keeps its type, anything else is text', async (t) => {
  const table: [string, unknown][] = [
    ['{{ port }}', 6443],
    ['{{{port}}}', 6443],
    ['{{ port}} ', '6443 '],
    ['{{ on }}', true],
    ['{{ zero }}{{ off }}', '0false'],
    ['{{ list }}', ['a', 'b']],
    ['{{ api.host }}', 'h'],
    ['{{ api.[x-y] }}', 'dash'],
    ['{{ list.[1] }}{{ list.length }}', 'b2'],
    ['{{ blank }}', ''],
    ['{{ eq port 6443 }}', true],
    ['{{ 5 }}', 5],
    ['{{ "{{" }} {{ "}}" }}', '{{ }}'],
    ['{{! note }}x', 'x'],
    ['{{!-- }} --}}', ''],
    ['\\{{ port }}', '{{ port }}'],
    ['{{{{raw}}}}{{ x }}{{{{/raw}}}}', '{{ x }}'],
    ["a=b & 'c' <{{ name }}>", "a=b & 'c' <n1>"],
    ['{{ env }}', 'prod'],
    ['{{ ./env }}', 'prod'],
    ['{{ env "HOME_OF_NOBODY" "none" }}', 'none'],
    ['{{ default nothing "x" }} {{ default api.nothing 1 }} {{ default a.b.c 2 }} {{ default name 3 }}', 'x 1 2 n1'],
    ['{{ default zero 1 }}{{ default blank 1 }}{{ default off 1 }}', '0false'],
    ['{{ default nix (default nothing null) }}', null],
    ['{{#if (defined nix)}}y{{else}}n{{/if}}', 'n'],
    ['{{#each list}}{{@index}}{{@key}}{{this}}{{#if @first}}F{{/if}}{{#if @last}}L{{/if}} {{/each}}', '00aF 11bL '],
    ['{{#each api}}{{@key}};{{/each}}', 'host;x-y;nothing;'],
    [
      '{{#each nodes}}{{#each tags}}{{../name}}{{@../index}}{{this}}{{@root.name}}{{else}}-{{../name}}{{/each}}{{/each}}',
      'a0xn1-n1',
    ],
    [
      '{{#each nodes as |node i|}}{{i}}{{node.name}}{{#each node.tags as |tag|}}{{node.name}}{{tag}}{{/each}}{{/each}}',
      '0aax1b',
    ],
    ['{{#with api as |a|}}{{host}}{{a.host}}{{../port}}{{/with}}', 'hh6443'],
    ['{{#with none}}x{{else}}y{{/with}}', 'y'],
    ['{{#if zero}}a{{else if on}}b{{else}}c{{/if}}', 'b'],
    ['{{#if zero includeZero=true}}a{{/if}}', 'a'],
    ['{{#unless none}}a{{/unless}}', 'a'],
    ['{{lookup api "host"}}{{lookup list 0}}', 'ha'],
    ['x\n  {{#if on}}\n  y\n  {{/if}}\nz', 'x\n  y\nz'],
    ['a {{~ name ~}} b', 'an1b'],
  ]
  for (const [source, expected] of table) t.same(text(source).evaluate(scope), expected, source)
})

t.test('a text without mustaches is static', async (t) => {
  t.equal(text('plain').static, true)
  t.equal(text('{{ a }}').static, false)
  t.same(
    [
      ...text('{{ a.b }}{{#each c as |d|}}{{d}}{{@root.e}}{{/each}}{{ f g.h }}'.replace('f', 'join')).references(),
    ].sort(),
    ['a', 'c', 'e', 'g'],
  )
})

t.test('what is undefined or null is an error wherever it stands', async (t) => {
  for (const path of [
    'nix',
    'nix.y',
    'api.nix',
    'api.nix.y',
    'nothing',
    'nothing.x',
    'api.nothing',
    'name.x',
    'list.[5]',
    '@root.nix',
  ]) {
    for (const form of [
      '{{ P }}',
      'x{{ P }}',
      '{{{ P }}}',
      '{{#if P}}{{/if}}',
      '{{#unless P}}{{/unless}}',
      '{{#each P}}{{/each}}',
      '{{#with P}}{{/with}}',
      '{{#if zero}}{{else if P}}{{/if}}',
      '{{ upper P }}',
      '{{ eq 1 P }}',
      '{{ default zero P }}',
      '{{ upper (lower P) }}',
      '{{#if (and on P)}}{{/if}}',
      '{{#if on includeZero=P}}{{/if}}',
      '{{lookup P "x"}}',
      '{{lookup api P}}',
      '{{#with api as |a|}}{{ @root.P }}{{/with}}'.replace('@root.P', path.startsWith('@') ? 'P' : '@root.P'),
    ]) {
      const source = form.replace('P', path)
      t.match(
        problem(() => text(source).evaluate(scope)),
        /^t\.yml:1:\d+: .*(is not defined|is null|has no)/,
        source,
      )
    }
  }
  t.match(
    problem(() => text('{{lookup api "nix"}}').evaluate(scope)),
    /there is no entry "nix"/,
  )
  t.match(
    problem(() => text('{{#each nodes}}{{@../index}}{{/each}}').evaluate(scope)),
    /"@\.\.\/index" is not defined here/,
  )
})

t.test('inherited properties do not exist', async (t) => {
  for (const path of [
    'constructor',
    '__proto__',
    'toString',
    'api.constructor',
    'api.__proto__',
    'list.map',
    'name.trim',
    'api.hasOwnProperty',
  ]) {
    t.match(
      problem(() => text(`{{ ${path} }}`).evaluate(scope)),
      /not defined|has no/,
      path,
    )
  }
})

t.test('errors name the nearest known name and the place', async (t) => {
  const table: [string, string | RegExp][] = [
    ['a {{ prot }}', 't.yml:1:6: "prot" is not defined\n1 | a {{ prot }}\n         ^^^^\n  did you mean "port"?'],
    ['{{ api.hots }}', /"api" has no "hots"[\s\S]+did you mean "host"/],
    [
      '{{#each nodes}}{{ port }}{{/each}}',
      /^t\.yml:1:19: the item of this block has no "port"[\s\S]+write @root\.port/,
    ],
    ['{{#each nodes}}{{ nmae }}{{/each}}', /did you mean "name"/],
    ['l {{ list }}', /a list cannot be printed into text[\s\S]+join/],
    ['l {{ api }}', /a map cannot be printed into text[\s\S]+json/],
    ['{{ this }}', /means all variables/],
    ['{{#each name}}{{/each}}', /needs a list or a map, not a string/],
    ['{{ join name }}', /^t\.yml:1:1: join: expected a list, got the string n1[\s\S]+write join list \[separator\]/],
    ['{{ upper list }}', /expected a text, got a list/],
  ]
  for (const [source, expected] of table)
    t.match(
      problem(() => text(source).evaluate(scope)),
      expected,
      source,
    )
})

t.test('what can be known when compiling is', async (t) => {
  const table: [string, RegExp][] = [
    ['{{ uper name }}', /^t\.yml:1:4: template: unknown helper "uper"[\s\S]+did you mean "upper"/],
    ['{{ name.upper 1 }}', /unknown helper "name.upper"/],
    ['{{ if a }}', /unknown helper "if"[\s\S]+\{\{#if …\}\}/],
    ['{{ upper }}{{ upper a b }}', /wrong number of arguments/],
    ['{{ upper a x=1 }}', /takes no named arguments/],
    ['{{#nodes}}{{/nodes}}', /unknown block "nodes"[\s\S]+\{\{#each nodes\}\}/],
    ['{{#iff a}}{{/iff}}', /unknown block "iff"[\s\S]+did you mean "if"/],
    ['{{#if}}{{/if}}', /takes one argument/],
    ['{{#if a b}}{{/if}}', /takes one argument/],
    ['{{#each a x=1}}{{/each}}', /each|does not know/],
    ['{{#if a x=1}}{{/if}}', /does not know "x"/],
    ['{{> part}}', /partials .* are not supported/],
    ['{{#> part}}{{/part}}', /partials .* are not supported/],
    ['{{* deco}}', /decorators/],
    ['{{ @indx }}', /unknown name "@indx"[\s\S]+did you mean "@index"/],
    ['{{ upper undefined }}', /"undefined" cannot be used/],
    ['{{ a | upper }}', /filters/],
    ["{{ a['b'] }}", /write \{\{ a\.b \}\}/],
    ['{{ a + 1 }}', /CEL/],
    ['{{.Names}}', /backslash/],
    ['ab\n{{ a', /^t\.yml:2:1: template: this mustache is not closed/],
    ['{{#if a}}', /a block is not closed/],
    ['a\nb {{#if a}}{{/each}}', /^t\.yml:2:6: template: if doesn't match each/],
    ['{{ a.this }}', /Invalid path/],
  ]
  for (const [source, expected] of table)
    t.match(
      problem(() => text(source)),
      expected,
      source,
    )
  t.equal(problem(() => text('{{ uper a }} {{ lowr a }} {{> p}}')).match(/^t\.yml/gm)?.length, 3, 'all at once')
})

t.test('a value that is not known yet ends the evaluation', async (t) => {
  const waiting = plain({ reg: PENDING, done: { stdout: PENDING } })
  for (const source of [
    '{{ reg }}',
    'x{{ reg.rc }}',
    '{{#if reg.rc}}{{/if}}',
    '{{ default reg.rc 1 }}',
    '{{ defined reg }}',
    '{{ done.stdout }}',
    '{{#with done}}{{ stdout }}{{/with}}',
  ]) {
    t.throws(() => text(source).evaluate(waiting), PendingError, source)
  }
})

t.test('places inside YAML scalars', async (t) => {
  const table: [string, number, number][] = [
    ['a: x {{ nix }}', 1, 9],
    ['a: "x {{ nix }}"', 1, 10],
    ["a: 'it''s {{ nix }}'", 1, 14],
    ['a: "\\t\\"{{ nix }}"', 1, 12],
    ['a: |\n  one\n  {{ nix }}\n', 3, 6],
    ['a: >-\n  one\n  two {{ nix }}\n', 3, 10],
    ['a: one\n   two {{ nix }}\n', 2, 11],
    ['a: "one\n  two {{ nix }}"\n', 2, 10],
    ['a: |2-\n    one\n   {{ nix }}\n', 3, 7],
    ['a: "\\u0041\\n{{ nix }}"\n', 1, 16],
    ['a: !cel nix + 1', 1, 9],
    ['a: !cel |\n  1 +\n   nix', 3, 4],
    ['a: [x, {b: "{{ upper nix }}"}]', 1, 22],
  ]
  for (const [yaml, line, column] of table) {
    const node = (parseYaml({ path: 'v.yml', text: yaml }) as YamlMap).get('a')!
    t.match(
      problem(() => compileNode(node).evaluate(scope)),
      new RegExp(`^v\\.yml:${line}:${column}: "nix" is not defined`),
      yaml,
    )
  }
})

t.test('template files are compiled once and give text', async (t) => {
  const file = { path: 'motd.hbs', text: '{{ port }}' }
  t.equal(compileTemplateFile(file).evaluate(scope), '6443')
  t.equal(compileTemplateFile(file), compileTemplateFile(file))
  t.match(
    problem(() => compileTemplateFile({ path: 'x.hbs', text: 'a\n {{ nix }}' }).evaluate(scope)),
    /^x\.hbs:2:5: "nix"/,
  )
})

t.test('a template that never ends, ends', async (t) => {
  const long = plain({ list: Array(300).fill('x') })
  const source = '{{#each list}}{{#each @root.list}}{{#each @root.list}}{{/each}}{{/each}}{{/each}}'
  t.match(
    problem(() => text(source).evaluate(long)),
    /loops more than 1000000 times/,
  )
})
