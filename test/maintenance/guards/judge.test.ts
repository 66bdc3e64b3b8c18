import t from 'tap'
import { judge } from '../../../src/maintenance/guards/judge.ts'
import { lockLine, lockViews } from '../../../src/maintenance/guards/locks.ts'
import type { NodeView } from '../../../src/maintenance/guards/nodes.ts'
import { isKnownDead, thisProcess } from '../../../src/maintenance/guards/process.ts'
import { type Entry, type Pulse, parseLedger, type Snapshot } from '../../../src/maintenance/guards/store.ts'
import { type Liveness, Watch } from '../../../src/maintenance/guards/watch.ts'
import { ago } from '../../../src/maintenance/guards/words.ts'
import fc from '../../property.ts'

const NOW = Date.parse('2026-11-21T03:00:00Z')

const view = (name: string, down?: string): NodeView => ({
  name,
  labels: {},
  controlPlane: false,
  down,
  ready: !down?.startsWith('NotReady'),
  addresses: [],
  machineId: undefined,
})
const entry = (node: string, more: Partial<Entry> = {}): Entry => ({
  id: `id-${node}`,
  node,
  token: 1,
  run: 'r1',
  actor: 'alice',
  machine: 'ctl-1',
  process: 'p',
  since: NOW - 60_000,
  ...more,
})
const pulse = (node: string, version: string, more: Partial<Pulse> = {}): Pulse => ({
  node,
  id: `id-${node}`,
  version,
  validMs: 60_000,
  at: NOW - 5000,
  ...more,
})
const snapshot = (entries: Entry[], pulses: Pulse[] = []): Snapshot => ({
  version: '1',
  ledger: { last: 5, entries, broken: [] },
  pulses: new Map(pulses.map((one) => [one.node, one])),
})

t.test('the lock of the node, and of others', async (t) => {
  const all = [view('n1'), view('n2'), view('n3', 'cordoned, not by runbook')]
  const ask = (entries: Entry[], liveness: Liveness, { nodes = all, watched = true, limit = 9 } = {}) =>
    judge({
      node: 'n1',
      snapshot: snapshot(entries),
      nodes,
      budgets: [{ name: 'all', limit, members: nodes.map(({ name }) => name) }],
      watched,
      liveness: () => liveness,
      diesIn: () => 30_000,
      isOurs: ({ run }) => run === 'ours',
      now: NOW,
    })
  t.match(ask([], 'dead'), { reasons: [], takeOver: undefined, keep: [] })
  for (const liveness of ['alive', 'unknown'] as const) {
    t.match(ask([entry('n1')], liveness).reasons, [/^locked by run r1 of alice on ctl-1 since 2026-11-21T02:59:00Z/])
    t.match(ask([entry('n2')], liveness), { reasons: [], keep: [{ node: 'n2' }], obsolete: [] })
    t.match([...ask([entry('n2')], liveness).down.keys()], ['n3', 'n2'])
  }
  t.match(ask([entry('n1')], 'dead'), { reasons: [], takeOver: { node: 'n1' } })
  t.match(
    ask([entry('n1', { left: 'off' })], 'alive'),
    { reasons: [], takeOver: { left: 'off' } },
    'it ended on purpose',
  )
  t.match(ask([entry('n1', { run: 'ours' })], 'alive'), { reasons: [], takeOver: { run: 'ours' } })
  t.match(ask([entry('n2')], 'dead'), { keep: [], obsolete: [{ node: 'n2' }] }, 'its node is in service')
  t.match(ask([entry('n3')], 'dead'), { keep: [{ node: 'n3' }], obsolete: [] }, 'its node is not')
  t.match(ask([entry('gone')], 'dead'), { keep: [], obsolete: [{ node: 'gone' }] }, 'its node is gone')
  t.match(ask([entry('gone')], 'alive'), { keep: [{ node: 'gone' }], obsolete: [] }, 'its node is being made anew')
  const plain = ask([entry('n2')], 'dead', { nodes: [view('n1'), view('n2')], watched: false, limit: 1 })
  t.match(plain.reasons, [/n2 \(that run died while it worked on the node/], 'of a plain host nobody knows how it is')
})

t.test('who is silent is not dead before it was watched for as long as its lease is', async (t) => {
  let now = 1000
  const watch = new Watch(
    5000,
    (process) => process === 'dead',
    () => now,
  )
  const look = (...pulses: Pulse[]) => watch.look(snapshot([entry('n1'), entry('n2')], pulses))
  look(pulse('n1', '1'))
  t.equal(watch.of(entry('n1')), 'unknown')
  now += 59_999
  look(pulse('n1', '1'))
  t.equal(watch.of(entry('n1')), 'unknown')
  t.equal(watch.of(entry('n2')), 'dead', 'never a sign of life')
  now += 1
  t.equal(watch.of(entry('n1')), 'dead')
  look(pulse('n1', '2'))
  t.equal(watch.of(entry('n1')), 'alive')
  now += 60_000
  t.equal(watch.of(entry('n1')), 'dead')
  look(pulse('n1', '3', { validMs: 1_000_000 }))
  now += 999_999
  t.equal(watch.of(entry('n1')), 'alive', 'it asked for longer')
  t.equal(watch.of(entry('n1', { process: 'dead' })), 'dead')
  t.equal(watch.diesIn('n9'), Number.POSITIVE_INFINITY)
})

t.test('processes', async (t) => {
  t.notOk(isKnownDead(thisProcess()))
  t.ok(
    isKnownDead(thisProcess().replace(/"(\d+)"\]$|\/(\d+)"\]$/, '/1"]')),
    'of the same number, started at another time',
  )
  t.notOk(isKnownDead(thisProcess().replace(/^\S+/, 'pid:[1]')), 'in another PID namespace nobody knows')
  t.notOk(isKnownDead(thisProcess().replace(/\["[^"]*"/, '["elsewhere"')))
  fc.assert(fc.property(fc.string(), (text) => !isKnownDead(text)))
})

t.test('lists', async (t) => {
  const views = lockViews(
    snapshot(
      [
        entry('n10', { reason: 'disk' }),
        entry('n2', { left: 'it is off' }),
        entry('n3'),
        entry('n4', { process: 'dead' }),
      ],
      [pulse('n10', '1'), pulse('n3', '1', { at: NOW - 3_600_000 }), pulse('n4', '1'), pulse('n7', '1')],
    ),
    [view('n2', 'NotReady'), view('n5', 'cordoned, not by runbook'), view('n6', 'NotReady'), view('n10')],
    NOW,
    (process) => process === 'dead',
  )
  t.same(
    views.map(({ node, state }) => [node, state]),
    [
      ['n2', 'left'],
      ['n3', 'silent'],
      ['n4', 'silent'],
      ['n5', 'cordoned'],
      ['n7', 'taking'],
      ['n10', 'held'],
    ],
  )
  t.same(views.map(lockLine), [
    'n2  left for 60 s  run r1 of alice on ctl-1 since 2026-11-21T02:59:00Z; it is off; NotReady',
    'n3  silent for 60 s  run r1 of alice on ctl-1 since 2026-11-21T02:59:00Z; last sign of life 60 min ago; the next run takes it over',
    'n4  silent for 60 s  run r1 of alice on ctl-1 since 2026-11-21T02:59:00Z; its process has ended; the next run takes it over',
    'n5  cordoned  cordoned, not by runbook; nobody has its lock',
    'n7  taking  id-n7, last sign of life 5 s ago',
    'n10  held for 60 s  run r1 of alice on ctl-1 since 2026-11-21T02:59:00Z: disk; last sign of life 5 s ago',
  ])
  t.same([0, 119_000, 120_000, 7_200_000, 200_000_000].map(ago), ['0 s', '119 s', '2 min', '2 h', '2 days'])
})

t.test('a ledger that no runbook wrote', async (t) => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      const text = JSON.stringify(value) ?? ''
      const parsed = parseLedger(text)
      return parsed === undefined || Array.isArray(parsed.entries)
    }),
  )
  const ledger = snapshot([entry('n1', { left: 'x', reason: 'y' })]).ledger
  t.same(parseLedger(JSON.stringify(ledger)), ledger)
})
