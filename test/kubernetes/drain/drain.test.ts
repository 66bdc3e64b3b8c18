/** Drains of a cluster that runs in this process, in virtual time. */

import t from 'tap'
import { CORDON_ANNOTATION, cordonNodes, uncordonNodes } from '../../../src/kubernetes/drain/cordon.ts'
import { drainNodes } from '../../../src/kubernetes/drain/drain.ts'
import { openNodesApi } from '../../../src/kubernetes/drain/nodes-api.ts'
import { type DrainEvent, type DrainOptions, drainLine, type NodeReport } from '../../../src/shared/drain.ts'
import fc from '../../property.ts'
import { failure, VirtualClock, World } from './world.ts'

function setUp(): { world: World; clock: VirtualClock } {
  const clock = new VirtualClock()
  return { clock, world: new World(clock.now).node('n1').node('n2').node('n3') }
}

async function drain(world: World, clock: VirtualClock, options: Partial<DrainOptions> = {}, names = ['n1']) {
  const events: DrainEvent[] = []
  const api = openNodesApi(world.transport(clock))
  const started = clock.now()
  for await (const event of drainNodes(api, names, { run: 'r1', ...options }, clock)) events.push(event)
  const end = events.at(-1)!
  if (end.type !== 'end') throw new Error('no end')
  const reports: readonly NodeReport[] = end.nodes
  return {
    events,
    reports,
    message: end.message,
    lines: events.flatMap((e) => drainLine(e) ?? []),
    seconds: (clock.now() - started) / 1000,
  }
}

const cordoned = (world: World, name = 'n1'): boolean => world.nodes.get(name)!.spec.unschedulable === true

t.test('a node with a few pods', async (t) => {
  const { world, clock } = setUp()
  world
    .pod({ name: 'web', endsIn: 3000 })
    .pod({ name: 'db', endsIn: 10_000, owner: 'StatefulSet', anewOn: 'n2' })
    .pod({ name: 'ds', owner: 'DaemonSet', namespace: 'kube-system' })
    .pod({ name: 'etcd', mirror: true, owner: 'Node', namespace: 'kube-system' })
    .pod({ name: 'elsewhere', node: 'n2' })
  const { reports, lines, seconds } = await drain(world, clock, { ignoreDaemonsets: true, reason: 'disk' })
  t.same(reports, [{ node: 'n1', state: 'drained', gone: 2, left: [] }])
  t.same(lines, [
    'node/n1: 2 pods to evict, 2 stay',
    'node/n1: pod kube-system/ds stays: DaemonSet-managed',
    'node/n1: pod kube-system/etcd stays: static pod of kubelet',
    'node/n1: warning: ignoring DaemonSet-managed Pods: kube-system/ds',
    'node/n1 cordoned',
    'evicting pod default/web',
    'evicting pod default/db',
    'pod default/web evicted (3.0 s)',
    'pod default/db evicted, and made anew (10.0 s)',
  ])
  t.ok(cordoned(world))
  t.match(JSON.parse(world.nodes.get('n1')!.metadata.annotations![CORDON_ANNOTATION]!), {
    run: 'r1',
    reason: 'disk',
    before: false,
  })
  t.ok(seconds < 11, `${seconds}`)
})

t.test('what stands in the way is said before anything is touched', async (t) => {
  const cases: [name: string, build: (world: World) => void, options: Partial<DrainOptions>, said: RegExp][] = [
    [
      'no controller',
      (w) => w.pod({ name: 'p', owner: null }),
      {},
      /default\/p: cannot delete Pods that declare no controller/,
    ],
    ['a volume', (w) => w.pod({ name: 'p', emptyDir: true }), {}, /local storage/],
    ['a DaemonSet', (w) => w.pod({ name: 'p', owner: 'DaemonSet' }), {}, /DaemonSet-managed/],
    [
      'a budget that is never met',
      (w) =>
        w.pod({ name: 'p', labels: { app: 'x' } }).budget({ name: 'b', selector: { app: 'x' }, maxUnavailable: 0 }),
      {},
      /PodDisruptionBudget default\/b \(maxUnavailable 0\) needs 1 healthy pods and has 1, of 1 in all: it never/,
    ],
    [
      'two budgets',
      (w) =>
        w
          .pod({ name: 'p', labels: { app: 'x' } })
          .pod({ name: 'q', node: 'n2', labels: { app: 'x' } })
          .budget({ name: 'b', selector: { app: 'x' }, maxUnavailable: 1 })
          .budget({ name: 'c', selector: { app: 'x' }, maxUnavailable: 1 }),
      {},
      /2 PodDisruptionBudgets select it, default\/b and default\/c/,
    ],
    [
      'the last node',
      (w) => w.node('n2', { unschedulable: true }).node('n3', { ready: false }).pod({ name: 'p' }),
      {},
      /it is the last node/,
    ],
    [
      'a webhook',
      (w) => {
        w.pod({ name: 'p' })
        w.script = ({ path }) => (path.endsWith('/eviction') ? failure(403, 'Forbidden', 'storage says no') : undefined)
      },
      {},
      /the API answers 403: storage says no/,
    ],
  ]
  for (const [name, build, options, said] of cases) {
    const { world, clock } = setUp()
    build(world)
    const { events, reports, message } = await drain(world, clock, options)
    t.match(
      events.find(({ type }) => type === 'blocked'),
      { message: said },
      name,
    )
    t.equal(reports[0]!.state, 'blocked')
    t.equal(message, 'nothing was touched')
    t.notOk(cordoned(world), `${name}: not cordoned`)
    t.same(world.removals, [])
  }
})

t.test('an unknown node, an API that is not there: an error', async (t) => {
  const { world, clock } = setUp()
  await t.rejects(drain(world, clock, {}, ['n1', 'n22']), { message: /there is no node n22[\s\S]*did you mean "n2"/ })
  world.script = () => 'cut'
  await t.rejects(drain(world, clock), { message: /cut/ })
})

t.test('pods of a budget go in turns, with the words of the budget', async (t) => {
  const { world, clock } = setUp()
  for (const name of ['a', 'b', 'c'])
    world.pod({ name, labels: { app: 'x' }, owner: 'StatefulSet', anewOn: 'n2', endsIn: 2000 })
  world.budget({ name: 'x', selector: { app: 'x' }, minAvailable: 2 })
  const { events, lines, reports } = await drain(world, clock)
  t.equal(reports[0]!.state, 'drained')
  t.match(
    lines.find((l) => l.includes('warning')),
    /needs 2 healthy pods and has 3, so 1 of its pods here may go at once, not 3 \(a, b, c\): they go in turns/,
  )
  const waiting = events.flatMap((e) => (e.type === 'waiting' ? [e.message] : []))
  t.ok(waiting.length >= 2)
  for (const message of waiting) t.match(message, /The disruption budget x needs 2 healthy pods and has \d currently/)
})

t.test('a budget that lets nothing go for now is waited for before the node is cordoned', async (t) => {
  const { world, clock } = setUp()
  world
    .pod({ name: 'a', labels: { app: 'x' } })
    .pod({ name: 'b', labels: { app: 'x' }, node: 'n2', ready: false })
    .budget({ name: 'x', selector: { app: 'x' }, minAvailable: 1 })
  const { reports, message, seconds, events } = await drain(world, clock, { timeoutMs: 60_000 })
  t.same(reports, [{ node: 'n1', state: 'blocked', gone: 0, left: [] }])
  t.equal(message, 'the time limit of 60 s is over')
  t.equal(seconds, 60)
  t.match(
    events.find(({ type }) => type === 'blocked'),
    { message: /default\/a: The disruption budget x needs 1 .* has 1/ },
  )
  t.notOk(cordoned(world))

  // It recovers meanwhile.
  const second = setUp()
  second.world
    .pod({ name: 'a', labels: { app: 'x' } })
    .budget({ name: 'x', selector: { app: 'x' }, minAvailable: 1 })
    .pod({ name: 'b', labels: { app: 'x' }, node: 'n2', ready: false })
  const begun = second.clock.now()
  second.world.script = () => {
    if (second.clock.now() - begun >= 20_000 && second.world.pods.size === 2)
      second.world.pod({ name: 'c', labels: { app: 'x' }, node: 'n3' })
    return undefined
  }
  t.equal((await drain(second.world, second.clock)).reports[0]!.state, 'drained')
})

t.test('a pod that was made anew on another node under the same name is let alone', async (t) => {
  const { world, clock } = setUp()
  world.pod({ name: 'db-0', owner: 'StatefulSet', anewOn: 'n2' })
  world.script = ({ path, body }) => {
    const dry = (body as { deleteOptions?: { dryRun?: unknown } })?.deleteOptions?.dryRun !== undefined
    if (path.endsWith('/eviction') && !dry) world.swap('default/db-0')
    return undefined
  }
  const { lines, reports } = await drain(world, clock)
  t.same(world.removals, [])
  t.equal(reports[0]!.state, 'drained')
  t.match(lines.at(-1), 'was gone already; a new one has its name')
})

t.test('answers on the way', async (t) => {
  const first = (world: World, reply: ReturnType<World['script']>): void => {
    let n = 0
    world.script = ({ path, body }) => {
      const dry = (body as { deleteOptions?: { dryRun?: unknown } })?.deleteOptions?.dryRun !== undefined
      return path.endsWith('/eviction') && !dry && n++ === 0 ? reply : undefined
    }
  }
  const cases: [ReturnType<World['script']>, RegExp | undefined, seconds: number][] = [
    [{ ...failure(429, 'TooManyRequests', 'busy'), retryAfter: 17 }, /busy/, 18],
    [failure(429, 'TooManyRequests', 'busy'), /busy/, 6],
    [failure(500, 'InternalError', 'etcdserver: leader changed'), /leader changed/, 6],
    [failure(403, 'Forbidden', 'no', [{ reason: 'NamespaceTerminating' }]), /namespace is being deleted/, 6],
    [failure(409, 'Conflict', 'modified'), undefined, 1.5],
    ['cut', /cut/, 6],
    ['hang', /does not answer/, 16],
  ]
  for (const [reply, said, seconds] of cases) {
    const { world, clock } = setUp()
    world.pod({ name: 'p' })
    first(world, reply)
    const outcome = await drain(world, clock)
    t.equal(outcome.reports[0]!.state, 'drained')
    const waiting = outcome.events.find(({ type }) => type === 'waiting')
    if (said) t.match(waiting, { message: said })
    else t.equal(waiting, undefined)
    t.ok(Math.abs(outcome.seconds - seconds) <= 0.5, `${outcome.seconds} s, not ${seconds}`)
  }
  const { world, clock } = setUp()
  world.pod({ name: 'p' }).pod({ name: 'q' })
  first(world, failure(403, 'Forbidden', 'pods "p" is forbidden'))
  const { reports } = await drain(world, clock)
  t.match(reports, [{ state: 'cordoned', gone: 1, left: [/^default\/p: the API answers 403/] }])
})

t.test('the deadline', async (t) => {
  const { world, clock } = setUp()
  world.pod({ name: 'stuck', endsIn: Number.POSITIVE_INFINITY }).pod({ name: 'quick' })
  const { reports, message, seconds } = await drain(world, clock, { timeoutMs: 30_000 })
  t.equal(seconds, 30)
  t.equal(message, 'the time limit of 30 s is over')
  t.same(reports, [
    { node: 'n1', state: 'cordoned', gone: 1, left: ['default/stuck: it was told to end and has not yet'] },
  ])
})

t.test('a dry run touches nothing', async (t) => {
  const { world, clock } = setUp()
  world.pod({ name: 'p' })
  const { reports, message } = await drain(world, clock, { dryRun: true })
  t.match([reports, message], [[{ state: 'untouched' }], 'dry run: nothing was touched'])
  t.notOk(cordoned(world))
  t.same(world.removals, [])
})

t.test('deletion instead of eviction asks no budget', async (t) => {
  const { world, clock } = setUp()
  world.pod({ name: 'p', labels: { a: 'b' } }).budget({ name: 'b', selector: { a: 'b' }, maxUnavailable: 0 })
  const { reports, lines } = await drain(world, clock, { disableEviction: true })
  t.equal(reports[0]!.state, 'drained')
  t.match(lines.at(-1), 'deleted')
})

t.test('a reader that goes away stops the drain', async (t) => {
  const { world, clock } = setUp()
  world.pod({ name: 'p', endsIn: Number.POSITIVE_INFINITY })
  for await (const event of drainNodes(openNodesApi(world.transport(clock)), ['n1'], { run: 'r' }, clock))
    if (event.type === 'cordoned') break
  const asked = world.asked.length
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.equal(world.asked.length, asked)
})

t.test('cordon remembers, uncordon gives back', async (t) => {
  const { world, clock } = setUp()
  world.node('by-hand', { unschedulable: true })
  const api = openNodesApi(world.transport(clock))
  const options = { run: 'r1' }
  const said = async (work: Promise<readonly { message: string }[]>) => (await work).map(({ message }) => message)
  t.match(await said(uncordonNodes(api, ['n1', 'by-hand'], options)), [
    'already uncordoned',
    /^stays cordoned: it was not/,
  ])
  t.match(await said(cordonNodes(api, ['n1', 'by-hand'], options)), ['cordoned', /^already cordoned, not by runbook/])
  t.match(await said(cordonNodes(api, ['n1'], { run: 'r2' })), [/already cordoned, by runbook \(run r1/])
  t.match(await said(uncordonNodes(api, ['n1', 'by-hand'], { ...options, dryRun: true })), [/^uncordoned/, /^stays/])
  t.ok(cordoned(world))
  t.match(await said(uncordonNodes(api, ['n1', 'by-hand'], options)), [
    'uncordoned',
    'stays cordoned: it was so before run r1',
  ])
  t.same([cordoned(world), cordoned(world, 'by-hand')], [false, true])
  t.same(world.nodes.get('n1')!.metadata.annotations, {})

  // Uncordoned by hand between: what counts is how it was at the next cordon.
  await cordonNodes(api, ['by-hand'], options)
  const node = world.nodes.get('by-hand')!
  world.nodes.set('by-hand', { ...node, spec: {} })
  await cordonNodes(api, ['by-hand'], options)
  t.match(await said(uncordonNodes(api, ['by-hand'], options)), ['uncordoned'])

  // Somebody else changes the node between our look and our patch.
  let conflicts = 0
  world.script = ({ method }) =>
    method === 'PATCH' && conflicts++ < 2 ? failure(409, 'Conflict', 'modified') : undefined
  t.match(await said(cordonNodes(api, ['n1'], options)), ['cordoned'])
})

const podArbitrary = fc.record({
  name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
  node: fc.constantFrom('n1', 'n1', 'n2'),
  labels: fc.constantFrom({}, { app: 'x' }, { app: 'x', tier: 'y' }),
  owner: fc.constantFrom('ReplicaSet', 'StatefulSet', 'DaemonSet', null),
  ready: fc.boolean(),
  phase: fc.constantFrom('Running', 'Running', 'Running', 'Pending', 'Succeeded'),
  emptyDir: fc.constantFrom(false, false, true),
  endsIn: fc.constantFrom(0, 1000, 30_000, Number.POSITIVE_INFINITY),
  anewOn: fc.constantFrom('n2', 'n3'),
})
const budgetArbitrary = fc.record({
  name: fc.constantFrom('b1', 'b2'),
  selector: fc.constantFrom({ app: 'x' }, { tier: 'y' }),
  minAvailable: fc.nat(3),
  unhealthyPodEvictionPolicy: fc.constantFrom('IfHealthyBudget', 'AlwaysAllow'),
})
const trouble = fc.constantFrom('none', 'none', 'none', 'none', 'none', 'none', 'cut', 'hang', 'busy', 'broken', 'swap')

t.test('property: by UID only, never past a block, never past the deadline', async (t) => {
  const seen = { drained: 0, blocked: 0, cordoned: 0, swapped: 0 }
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(podArbitrary, { selector: ({ name }) => name, maxLength: 6 }),
      fc.uniqueArray(budgetArbitrary, { selector: ({ name }) => name, maxLength: 2 }),
      fc.array(trouble, { minLength: 1, maxLength: 40 }),
      fc.record({
        force: fc.boolean(),
        ignoreDaemonsets: fc.boolean(),
        deleteEmptydirData: fc.boolean(),
        disableEviction: fc.constantFrom(false, false, true),
        timeoutMs: fc.constantFrom(1000, 20_000, 200_000),
      }),
      fc.array(fc.nat(2000), { minLength: 1, maxLength: 10 }),
      async (pods, budgets, troubles, options, latencies) => {
        const { world, clock } = setUp()
        for (const pod of pods) world.pod(pod)
        for (const budget of budgets) world.budget(budget)
        const first = new Set([...world.pods.values()].map(({ pod }) => pod.metadata.uid))
        world.script = ({ path }, n) => {
          // What is asked first must come through, or there is no drain to look at.
          const kind = n <= 4 ? 'none' : troubles[n % troubles.length]
          if (kind === 'cut' || kind === 'hang') return kind
          if (kind === 'busy') return { ...failure(429, 'TooManyRequests', 'busy'), retryAfter: 1 }
          if (kind === 'broken') return failure(500, 'InternalError', 'etcdserver: timeout')
          const key = /namespaces\/([^/]+\/)pods\/([^/]+)/.exec(path)
          if (kind === 'swap' && key) {
            world.swap(key[1]! + key[2]!)
            seen.swapped++
          }
          return undefined
        }
        let n = 0
        const api = openNodesApi(world.transport(clock, () => latencies[n++ % latencies.length]!))
        const started = clock.now()
        const events: DrainEvent[] = []
        try {
          for await (const event of drainNodes(api, ['n1'], { run: 'r', ...options }, clock)) events.push(event)
        } catch (error) {
          // Only before anything was touched.
          if (cordoned(world) || world.removals.length > 0) throw error
          if (clock.now() - started > options.timeoutMs) throw error
          return
        }
        const spent = clock.now() - started
        if (spent > options.timeoutMs) throw new Error(`${spent} ms`)
        const end = events.at(-1)!
        if (end.type !== 'end') throw new Error('no end')
        const { state } = end.nodes[0]!
        if (state !== 'untouched') seen[state]++
        for (const { uid, node, name } of world.removals) {
          if (node !== 'n1') throw new Error(`${name} was evicted from ${node}`)
          if (!first.has(uid)) throw new Error(`${name} is not the pod that was planned`)
        }
        if (events.some(({ type }) => type === 'blocked') && (world.removals.length > 0 || cordoned(world)))
          throw new Error('touched although blocked')
        world.tick()
        const left = [...world.pods.values()].filter(
          ({ pod, spec }) =>
            pod.spec.nodeName === 'n1' &&
            first.has(pod.metadata.uid) &&
            !(spec.owner === 'DaemonSet' && spec.phase !== 'Succeeded'),
        )
        if (state === 'drained' && left.length > 0) throw new Error(`drained, but ${left[0]!.spec.name} is there`)
      },
    ),
    { numRuns: 300 },
  )
  for (const [what, times] of Object.entries(seen)) t.ok(times > 0, `${what}: ${times} times`)
})

t.test('a budget that cannot be computed is waited for, and not for ever', async (t) => {
  for (const seconds of [20, 600]) {
    const { world, clock } = setUp()
    world
      .node('n4')
      .pod({ name: 'web', labels: { app: 'web' }, endsIn: 1000 })
      .pod({ name: 'web-2', labels: { app: 'web' }, node: 'n2' })
      .budget({ name: 'web', selector: { app: 'web' }, minAvailable: 1 })
    const [budget] = world.budgets
    const until = clock.now() + seconds * 1000
    const message = 'found no controllers for pod "web"'
    const conditions = [{ type: 'DisruptionAllowed', status: 'False', reason: 'SyncFailed', message }]
    world.script = ({ path, method }) => {
      if (clock.now() >= until) return undefined
      // As the server does it: nothing is allowed while nothing is known.
      if (method === 'POST' && path.endsWith('/eviction')) return failure(429, 'TooManyRequests', 'not computed')
      if (path !== '/apis/policy/v1/poddisruptionbudgets') return undefined
      const items = [{ ...budget, status: { observedGeneration: 1, disruptionsAllowed: 0, conditions } }]
      return { status: 200, body: { items, metadata: {} } }
    }
    const { reports, lines, seconds: took } = await drain(world, clock)
    const words =
      'PodDisruptionBudget default/web (minAvailable 1) cannot be computed by the cluster, so it allows nothing'
    t.match(lines[0], words)
    t.equal(lines.filter((line) => line.includes('cannot be computed')).length, seconds === 20 ? 1 : 2, 'said once')
    if (seconds === 20) {
      t.match(reports, [{ node: 'n1', state: 'drained', gone: 1 }])
      t.ok(took >= 20 && took < 35, `${took} s`)
    } else {
      t.match(reports, [{ node: 'n1', state: 'blocked', gone: 0 }])
      t.match(lines.at(-1), /blocked: .*found no controllers.* \(for 120 s\)/)
      t.notOk(cordoned(world))
      t.same(
        world.removals.filter(({ name }) => name === 'web'),
        [],
      )
      t.ok(took >= 120 && took < 135, `${took} s`)
    }
  }
})

t.test('a dry run says that a budget cannot be computed, and waits for nothing', async (t) => {
  const { world, clock } = setUp()
  world.pod({ name: 'web', labels: { app: 'web' } }).budget({ name: 'web', selector: { app: 'web' }, minAvailable: 1 })
  const [budget] = world.budgets
  const conditions = [{ type: 'DisruptionAllowed', status: 'False', reason: 'SyncFailed' }]
  world.script = ({ path }) =>
    path === '/apis/policy/v1/poddisruptionbudgets'
      ? { status: 200, body: { items: [{ ...budget, status: { observedGeneration: 1, conditions } }], metadata: {} } }
      : undefined
  const { lines, seconds } = await drain(world, clock, { dryRun: true })
  t.match(lines.at(-1), /blocked: at the moment, default\/web: PodDisruptionBudget .* cannot be computed/)
  t.equal(seconds, 0)
})
