/** The parts of the engine by themselves. */

import t from 'tap'
import { Cursor, comparePositions } from '../../src/engine/cursor.ts'
import type { HostState } from '../../src/engine/host.ts'
import { isDone, judge, sumUp } from '../../src/engine/judge.ts'
import { Meeting } from '../../src/engine/meeting.ts'
import { batches } from '../../src/engine/order.ts'
import { NOTHING, type Outcome } from '../../src/engine/outcome.ts'
import { EventQueue } from '../../src/engine/queue.ts'
import { Semaphore } from '../../src/engine/semaphore.ts'
import { overlap, Touched } from '../../src/module/resources.ts'
import type { Block, Step, Task } from '../../src/playbook/index.ts'
import { compileExpression, makeScope } from '../../src/values/index.ts'
import fc from '../property.ts'

/** `a` is a task; a map is a block. */
type Tree = string | { block: Tree[]; rescue?: Tree[]; always?: Tree[] }

const toStep = (tree: Tree): Step =>
  typeof tree === 'string'
    ? ({ kind: 'task', id: tree } as Task)
    : ({
        kind: 'block',
        block: tree.block.map(toStep),
        rescue: (tree.rescue ?? []).map(toStep),
        always: (tree.always ?? []).map(toStep),
      } as unknown as Block)

/** The way through the steps when the tasks named fail: `!` marks one that is rescued. */
function walk(trees: readonly Tree[], failing: string, abandonAt?: string): string {
  const cursor = new Cursor(trees.map(toStep))
  const way: string[] = []
  for (let step = cursor.peek(); step; step = cursor.peek()) {
    if (step.id === abandonAt && !cursor.abandoned) {
      cursor.abandon(false)
      way.push('|')
      continue
    }
    way.push(step.id)
    if (failing.includes(step.id)) {
      if (cursor.rescuable) way.push('!')
      cursor.fail()
    } else cursor.advance()
  }
  return way.join('')
}

const nested: Tree[] = [
  'a',
  { block: ['b', { block: ['c'], rescue: ['d'], always: ['e'] }, 'f'], rescue: ['g'], always: ['h', 'i'] },
  'j',
]

for (const [trees, failing, way, abandonAt] of [
  [['a', 'b'], '', 'ab'],
  [['a', 'b'], 'a', 'a'],
  [nested, '', 'abcefhij'],
  [nested, 'c', 'abc!defhij'],
  [nested, 'cd', 'abc!d!eghij'],
  [nested, 'b', 'ab!ghij'],
  [nested, 'e', 'abce!ghij'],
  [nested, 'f', 'abcef!ghij'],
  [nested, 'fg', 'abcef!ghi'],
  [nested, 'cdg', 'abc!d!eghi'],
  [nested, 'h', 'abcefh'],
  [nested, '', 'ab|hi', 'c'],
  [nested, 'c', 'abc!|ehi', 'd'],
  [nested, 'c', 'abc!d|ehi', 'e'],
  [nested, '', 'abcef|hi', 'h'],
  [nested, '', 'a|', 'b'],
  [nested, '', '|', 'a'],
  [[{ block: ['a'], always: [{ block: ['b', 'c'], rescue: ['d'] }, 'e'] }, 'f'], 'c', 'a|bc!de', 'b'],
  [[{ block: [] }, 'a', { block: ['b'], always: [{ block: ['c'], always: ['d'] }] }], 'bc', 'abcd'],
] as [Tree[], string, string, string?][]) {
  t.equal(walk(trees, failing, abandonAt), way, `${JSON.stringify(trees)} failing ${failing} ${abandonAt ?? ''}`)
}

t.test('positions grow on every way', async (t) => {
  const tree: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree; list: Tree[] }>((tie) => ({
    list: fc.array(tie('tree'), { maxLength: 3 }),
    tree: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom(...'abcdefgh'),
      fc.record({ block: tie('list'), rescue: tie('list'), always: tie('list') }),
    ),
  })).tree
  fc.assert(
    fc.property(fc.array(tree, { maxLength: 4 }), fc.string(), (trees, failing) => {
      const cursor = new Cursor(trees.map(toStep))
      let last: readonly number[] = []
      for (let step = cursor.peek(); step; step = cursor.peek()) {
        const { position } = cursor
        if (comparePositions(last, position) >= 0) return false
        last = position
        if (failing.includes(step.id)) cursor.fail()
        else cursor.advance()
      }
      return true
    }),
  )
  t.pass()
})

t.test('includes: positions, variables, keys', async (t) => {
  const cursor = new Cursor([toStep('include'), toStep('z')])
  cursor.peek()
  const item = (name: string, i: number) => ({
    steps: [toStep('x'), toStep('y')],
    vars: new Map([['item', name]]),
    key: `[${i}]`,
  })
  cursor.open([item('one', 0), item('two', 1)])
  const seen: string[] = []
  let last: readonly number[] = []
  for (let step = cursor.peek(); step; step = cursor.peek()) {
    seen.push(`${step.id}${cursor.key} ${cursor.vars?.get('item') ?? ''}`)
    t.ok(comparePositions(last, cursor.position) < 0)
    last = cursor.position
    if (seen.length === 1) {
      // A flush in an include: handlers stand where it is, and know nothing of it.
      const handlers = [toStep('h')]
      cursor.advance()
      cursor.flush(() => {
        const step = handlers.pop()
        return step && { step, rank: 0 }
      })
    } else cursor.advance()
  }
  t.strictSame(seen, ['x[0] one', 'h ', 'y[0] one', 'x[1] two', 'y[1] two', 'z '])
})

t.test('meeting', async (t) => {
  const host = (name: string) => ({ name, vars: new Map(), facts: undefined }) as unknown as HostState
  const [a, b, c] = [host('a'), host('b'), host('c')]
  const meeting = new Meeting([a, b, c])
  meeting.begin([a, b, c])
  const log: string[] = []
  const arrive = (h: HostState, position: number[], key: string) =>
    void meeting.arrive(h, { position, key }).then((met) => {
      log.push(`${h.name} at ${key} with ${met.hosts.map((x) => x.name).join('')}`)
      t.ok(meeting.snapshot(h))
      meeting.depart(h)
      t.notOk(meeting.snapshot(h))
    })
  const settle = () => new Promise((resolve) => setImmediate(resolve))
  arrive(b, [0, 2], 'y')
  arrive(a, [0, 1], 'x')
  await settle()
  t.strictSame(log, [], 'c is waited for')
  arrive(c, [0, 2], 'y')
  await settle()
  t.strictSame(log.splice(0), ['a at x with a'], 'the one that is least far goes on')
  arrive(a, [0, 2], 'y')
  await settle()
  t.strictSame(log.splice(0).sort(), ['a at y with abc', 'b at y with abc', 'c at y with abc'])
  arrive(a, [0, 3, 0], 'p')
  arrive(b, [0, 3, 0], 'q')
  meeting.leave(c)
  await settle()
  t.strictSame(log.splice(0), ['a at p with a'], 'the same place of different includes')
  t.ok(meeting.isWorking(b))
  meeting.leave(a)
  await settle()
  t.strictSame(log, ['b at q with b'])
  t.notOk(meeting.isWorking(a))
})

t.test('batches', async (t) => {
  const hosts = Array.from({ length: 10 }, (_, i) => ({ name: `h${i}` })) as unknown as HostState[]
  for (const [serial, sizes] of [
    [[], [10]],
    [[3], [3, 3, 3, 1]],
    [
      [1, 5],
      [1, 5, 4],
    ],
    [[{ percent: 30 }], [3, 3, 3, 1]],
    [[{ percent: 1 }], Array(10).fill(1)],
    [
      [{ percent: 25 }, 100],
      [2, 8],
    ],
  ] as const) {
    const all = batches({ serial }, hosts)
    t.strictSame(
      all.map((b) => b.length),
      sizes,
    )
    t.strictSame(all.flat(), hosts)
  }
  t.strictSame(batches({ serial: [] }, []), [])
  t.strictSame(batches({ serial: [1] }, []), [])
})

t.test('judge', async (t) => {
  const place = { file: { path: 'x', text: '' }, offset: 0, end: 0, line: 1, column: 1 } as never
  const when = (text?: string) => (text === undefined ? [] : [compileExpression(text, place)])
  const outcome = (status: Outcome['status'], more: Partial<Outcome> = {}): Outcome => ({ ...NOTHING, status, ...more })
  const changes = [{ summary: 's' }]
  for (const [failed, changed, given, expected] of [
    [undefined, undefined, outcome('changed', { changes }), { status: 'changed', changes }],
    ['false', undefined, outcome('failed', { rc: 1, cmd: 'x' }), { status: 'changed', cmd: undefined }],
    ['false', undefined, outcome('failed'), { status: 'ok', msg: '' }],
    [
      'true',
      undefined,
      outcome('changed', { changes, sets: { a: 1 } }),
      { status: 'failed', changes, sets: undefined },
    ],
    ['r.rc == 2', undefined, outcome('failed', { data: { rc: 2 }, msg: 'm' }), { status: 'failed', msg: 'm' }],
    ['r.rc == 2', 'false', outcome('failed', { data: { rc: 1 }, rc: 1 }), { status: 'ok' }],
    [undefined, 'false', outcome('changed', { changes }), { status: 'ok', changes: [] }],
    [undefined, 'true', outcome('ok'), { status: 'changed' }],
    [undefined, 'false', outcome('failed', { changes }), { status: 'failed', changes }],
    ['true', 'true', outcome('skipped'), { status: 'skipped' }],
    ['true', 'true', outcome('unreachable'), { status: 'unreachable' }],
    ['true', 'true', outcome('changed', { unknown: true }), { status: 'changed' }],
  ] as const) {
    const task = { failedWhen: when(failed), changedWhen: when(changed), until: [], register: 'r' } as unknown as Task
    t.match(judge(task, makeScope([]), given), expected, `${failed} ${changed} ${given.status}`)
  }
  const until = { until: when('r.rc == 0'), register: 'r' } as unknown as Task
  t.equal(isDone(until, makeScope([]), outcome('failed', { data: { rc: 0 } })), true)
  t.equal(isDone(until, makeScope([]), outcome('ok', { data: { rc: 1 } })), false)
  t.equal(isDone({ until: [] } as unknown as Task, makeScope([]), outcome('failed')), false)
  t.match(sumUp([outcome('ok'), outcome('failed', { msg: 'm' })], ['x', 'y']), { status: 'failed', msg: 'item y: m' })
  t.match(sumUp([outcome('skipped'), outcome('skipped')], ['x', 'y']), { status: 'skipped' })
  t.match(sumUp([outcome('skipped'), outcome('changed')], ['x', 'y']), { status: 'changed' })
  t.match(sumUp([outcome('failed'), outcome('unreachable', { msg: 'u' })], ['x', 'y']), { status: 'unreachable' })
})

t.test('resources', async (t) => {
  for (const [a, b, expected] of [
    ['file:/a', 'file:/a', true],
    ['file:/a', 'file:/a/b', false],
    ['file:/a/*', 'file:/a/b', true],
    ['file:/a/*', 'file:/a', false],
    ['*', 'unit:x', true],
    ['file:/a*', 'file:/ab/*', true],
    ['file:/b*', 'file:/ab/*', false],
  ] as const) {
    t.equal(overlap(a, b), expected, `${a} ${b}`)
    t.equal(overlap(b, a), expected, `${b} ${a}`)
  }
  const name = fc.stringMatching(/^[ab]{0,3}\*?$/)
  fc.assert(
    fc.property(fc.array(name), fc.array(name), (touched, reads) => {
      const set = new Touched()
      set.add(touched)
      return set.affects(reads) === touched.some((x) => reads.some((y) => overlap(x, y)))
    }),
  )
  const set = new Touched()
  set.add(['*', 'k:a'])
  t.ok(set.affects(['k:b']))
  t.notOk(set.affectsByName(['k:b']))
  t.ok(set.affectsByName(['k:a']))
})

t.test('semaphore and queue', async (t) => {
  const places = new Semaphore(2)
  let most = 0
  let now = 0
  await Promise.all(
    Array.from({ length: 9 }, () =>
      places.use(async () => {
        most = Math.max(most, ++now)
        await new Promise((resolve) => setImmediate(resolve))
        now--
      }),
    ),
  )
  t.equal(most, 2)
  await t.rejects(
    places.use(async () => {
      throw new Error('x')
    }),
  )
  await Promise.all([places.acquire(), places.acquire()])
  const queue = new EventQueue<number>()
  queue.push(1)
  const read = (async () => {
    const seen: number[] = []
    try {
      for await (const n of queue) {
        seen.push(n)
        if (n === 1) queue.push(2)
      }
    } catch (error) {
      return [seen, (error as Error).message]
    }
    return seen
  })()
  await new Promise((resolve) => setImmediate(resolve))
  queue.push(3)
  queue.end(new Error('bug'))
  t.strictSame(await read, [[1, 2, 3], 'bug'])
})
