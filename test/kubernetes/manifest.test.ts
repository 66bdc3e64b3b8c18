import t from 'tap'
import { equalitySelector, inOrder, inStages, parseManifest } from '../../src/kubernetes/manifest.ts'
import { UserError } from '../../src/shared/errors.ts'
import fc from '../property.ts'

t.test('documents, lists, and the YAML that kubectl reads', (t) => {
  const objects = parseManifest(
    `# a comment
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: &data
  mode: 0644
  on: yes
  text: "yes"
---
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, metadata: {name: b}}
- {apiVersion: v1, kind: Namespace, metadata: {name: c}}
`,
    'web.yml',
  )
  t.same(
    objects.map((o) => `${o.kind} ${o.metadata.name}`),
    ['ConfigMap a', 'Service b', 'Namespace c'],
  )
  t.same(objects[0]!.data, { mode: 0o644, true: true, text: 'yes' }, 'octal and yes as in YAML 1.1')
  t.same(
    inOrder(objects).map((o) => o.kind),
    ['Namespace', 'ConfigMap', 'Service'],
  )
  t.same(parseManifest('', 'x'), [])
  t.same(parseManifest('{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}}', 'x').length, 1)
  t.end()
})

t.test('what may be applied at once', (t) => {
  const rows: readonly (readonly [objects: string, stages: string])[] = [
    ['', ''],
    ['Role/a Role/b RoleBinding/a Pod/a Pod/b', 'Role/a Role/b | RoleBinding/a | Pod/a Pod/b'],
    // What others stand in, and are kinds of, goes first.
    [
      'Thing/a CustomResourceDefinition/b Namespace/c CustomResourceDefinition/d',
      'Namespace/c | CustomResourceDefinition/b CustomResourceDefinition/d | Thing/a',
    ],
    // A class, pods that have it, another class: as they stand.
    ['PriorityClass/a Pod/a PriorityClass/b', 'PriorityClass/a | Pod/a | PriorityClass/b'],
    // The last one counts, as when they went one after the other.
    ['ConfigMap/a ConfigMap/b ConfigMap/a', 'ConfigMap/a ConfigMap/b | ConfigMap/a'],
  ]
  for (const [objects, stages] of rows) {
    const parsed = objects
      .split(' ')
      .filter(Boolean)
      .map((word) => {
        const [kind, name] = word.split('/') as [string, string]
        return { apiVersion: 'v1', kind, metadata: { name } }
      })
    const made = inStages(parsed).map((stage) => stage.map((o) => `${o.kind}/${o.metadata.name}`).join(' '))
    t.equal(made.join(' | '), stages)
  }
  t.end()
})

t.test('what is no manifest', (t) => {
  const rows: readonly (readonly [text: string, says: RegExp])[] = [
    ['kind: Pod\nmetadata: {name: a}\n', /web\.yml:1:1: the Pod has no apiVersion/],
    ['apiVersion: v1\nmetadata: {name: a}\n', /the object has no kind/],
    ['apiVersion: v1\nkind: Pod\n', /the Pod has no metadata\.name/],
    ['apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n', /the Pod has no metadata\.name/],
    ['just text', /not an object/],
    ['a: 1\n---\na: [1, 2\n', /web\.yml:[34]/],
    ['a: 1\na: 2\n', /unique/i],
  ]
  for (const [text, says] of rows) t.throws(() => parseManifest(text, 'web.yml'), { message: says }, text)
  t.end()
})

t.test('nothing but a UserError comes of any text', (t) => {
  const piece = fc.constantFrom(
    '---\n',
    'apiVersion: v1\n',
    'kind: List\n',
    'items:\n',
    '- &a {x: *a}\n',
    '<<: *b\n',
    '0644',
    '? ',
    '!!binary x\n',
  )
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.oneof(piece, fc.string())).map((all) => all.join('')),
  )
  fc.assert(
    fc.property(text, (source) => {
      try {
        parseManifest(source, 'x')
      } catch (error) {
        if (!(error instanceof UserError)) throw error
      }
    }),
    { numRuns: 500 },
  )
  t.end()
})

t.test('selectors that objects can be checked against', (t) => {
  t.same(equalitySelector('app=web, tier==front'), { app: 'web', tier: 'front' })
  t.equal(equalitySelector('app in (a, b)'), undefined)
  t.equal(equalitySelector('!app'), undefined)
  t.end()
})
