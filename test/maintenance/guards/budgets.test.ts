import t from 'tap'
import { type Budget, budgetsOf, limitOf, refusals } from '../../../src/maintenance/guards/budgets.ts'
import type { NodeView } from '../../../src/maintenance/guards/nodes.ts'
import { parseSelector } from '../../../src/maintenance/guards/selector.ts'
import fc from '../../property.ts'

const view = (name: string, labels: Record<string, string> = {}, controlPlane = false): NodeView => ({
  name,
  labels,
  controlPlane,
  down: undefined,
  ready: true,
  addresses: [],
  machineId: undefined,
})

t.test('how many', async (t) => {
  const table: [number | string, number, number][] = [
    [0, 10, 0],
    [1, 10, 1],
    [3, 2, 3],
    ['0%', 10, 0],
    ['10%', 9, 1],
    ['10%', 10, 1],
    ['10%', 19, 1],
    ['10%', 20, 2],
    ['33%', 100, 33],
    ['100%', 7, 7],
    ['50%', 0, 1],
  ]
  for (const [given, size, expected] of table) t.equal(limitOf(given, size), expected, `${given} of ${size}`)
})

t.test('selectors', async (t) => {
  const labels = { pool: 'db', tier: 'a', 'example.org/x': '' }
  const table: [string, boolean | undefined][] = [
    ['pool=db', true],
    ['pool==db', true],
    ['pool = web', false],
    ['pool!=web', true],
    ['gone!=web', true],
    ['pool', true],
    ['!pool', false],
    ['!spot', true],
    ['example.org/x=', true],
    ['tier in (a,b), pool=db', true],
    ['tier in ( b , c )', false],
    ['tier notin (b)', true],
    ['gone notin (b)', true],
    ['gone in (b)', false],
    ['pool=db,tier=b', false],
    ['', undefined],
    ['pool=', false],
    ['pool=db,', undefined],
    ['pool in a', undefined],
    ['pool = d b', undefined],
    ['-x', undefined],
    ['a>1', undefined],
  ]
  for (const [text, expected] of table) t.equal(parseSelector(text)?.(labels), expected, text)
  fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => void parseSelector(text)))
})

t.test('which budgets there are', async (t) => {
  const zone = (name: string) => ({ 'topology.kubernetes.io/zone': name })
  const nodes = [
    view('c1', {}, true),
    view('c2', {}, true),
    view('w1', { pool: 'db', ...zone('a') }),
    view('w2', { pool: 'db', ...zone('a') }),
    view('w3', { pool: 'web', ...zone('b') }),
    view('w4', { pool: 'web' }),
  ]
  const settings = {
    max_unavailable: '50%',
    budgets: [
      { label: 'pool=db', max_unavailable: 1 },
      { per: 'zone', max_unavailable: '50%' },
      { group: 'rack1', name: 'the first rack', max_unavailable: 2 },
      { label: 'pool', per: 'pool', max_unavailable: 1 },
    ],
  }
  const budgets = budgetsOf(settings, nodes, { hosts: [], groups: { rack1: ['w1', 'w4', 'gone'] } }, { watched: true })
  const none = { max_unavailable: undefined, budgets: [] }
  const plain = { hosts: [], groups: {} }
  t.match(budgetsOf(none, nodes, plain, { watched: true }), [{ limit: 1 }, {}])
  t.match(budgetsOf(none, nodes, plain, { watched: false }), [{ limit: 6 }, {}])
  t.same(budgets, [
    { name: 'all nodes', limit: 3, members: ['c1', 'c2', 'w1', 'w2', 'w3', 'w4'] },
    { name: 'control planes', limit: 1, members: ['c1', 'c2'] },
    { name: 'label pool=db', limit: 1, members: ['w1', 'w2'] },
    { name: 'zone a', limit: 1, members: ['w1', 'w2'] },
    { name: 'zone b', limit: 1, members: ['w3'] },
    { name: 'the first rack', limit: 2, members: ['w1', 'w4'] },
    { name: 'label pool, pool db', limit: 1, members: ['w1', 'w2'] },
    { name: 'label pool, pool web', limit: 1, members: ['w3', 'w4'] },
  ] satisfies Budget[])
})

t.test('who is in the way', async (t) => {
  const budgets: Budget[] = [{ name: 'b', limit: 1, members: ['n1', 'n2', 'n3'] }]
  const none = new Map<string, string>()
  const usage = (held: string[], down: string[], targetIsDown = false) => ({
    held: new Map(held.map((name) => [name, 'run x'])),
    down: new Map(down.map((name) => [name, 'NotReady'])),
    targetIsDown,
  })
  t.same(refusals(budgets, 'n1', { held: none, down: none, targetIsDown: false }), [])
  t.same(refusals(budgets, 'n1', usage([], ['n9'])), [], 'of another group')
  t.same(refusals(budgets, 'n9', usage(['n1'], ['n2'])), [], 'not of this group')
  t.same(refusals(budgets, 'n1', usage([], ['n1'])), [], 'the node itself')
  t.match(refusals(budgets, 'n1', usage([], ['n2'])), [/1 of 3 .* 1 are: n2 \(NotReady\)/])
  t.match(refusals(budgets, 'n1', usage(['n2'], ['n2', 'n3'])), [/2 are: n2 \(run x\), n3 \(NotReady\)/])
  t.same(refusals(budgets, 'n1', usage([], ['n2'], true)), [], 'a repair while another is down')
  t.match(refusals(budgets, 'n1', usage(['n2'], [], true)), [/n2 \(run x\)/], 'no two repairs')
})

t.test('operations never exceed any budget, nor does what is out of service grow beyond it', async (t) => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  const subset = fc.subarray(names)
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          members: subset,
          max: fc.oneof(
            fc.nat(8),
            fc.nat(100).map((n) => `${n}%`),
          ),
        }),
        { minLength: 1, maxLength: 4 },
      ),
      subset,
      fc.array(fc.record({ node: fc.constantFrom(...names), enter: fc.boolean() }), { maxLength: 40 }),
      (groups, notReady, steps) => {
        const budgets = groups.map(({ members, max }, i) => ({
          name: `${i}`,
          members,
          limit: limitOf(max, members.length),
        }))
        const down = new Map(notReady.map((name) => [name, 'NotReady']))
        const held = new Map<string, string>()
        for (const { node, enter } of steps) {
          if (!enter) {
            held.delete(node)
            continue
          }
          if (held.has(node) || refusals(budgets, node, { held, down, targetIsDown: down.has(node) }).length > 0)
            continue
          const before = budgets.map(({ members }) => members.filter((name) => held.has(name) || down.has(name)).length)
          held.set(node, 'x')
          for (const [i, { members, limit }] of budgets.entries()) {
            if (!members.includes(node)) continue
            if (members.filter((name) => held.has(name)).length > limit) return false
            const out = members.filter((name) => held.has(name) || down.has(name)).length
            if (out > Math.max(limit, before[i]!)) return false
          }
        }
        return true
      },
    ),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('a node that is alone can be taken, whatever the percentage', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 100 }), (size, percent) => {
      const limit = limitOf(`${percent}%`, size)
      return limit >= 1 && limit <= Math.max(1, size) && (limit === 1 || limit * 100 <= size * percent)
    }),
  )
  t.pass()
})
