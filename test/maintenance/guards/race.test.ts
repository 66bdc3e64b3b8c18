/** Two real processes race for the same nodes of one API, 50 times; some of them are killed. */
import t from 'tap'
import { type Served, serve } from '../../kubernetes/drain/server.ts'
import { mostTogether, Runner, spansOf } from './racers.ts'
import { Site, settings } from './setting.ts'

t.setTimeout(280_000)

const ROUNDS = 50
/** Every so many rounds one of the two is killed while it holds a lock. */
const KILL_EVERY = 10
/** Fewer: nothing but the place of the locks is another one. */
const PLAIN_ROUNDS = 5
const NODES = ['n1', 'n2', 'n3', 'n4']

const start = ({ kubeconfig }: Pick<Served, 'kubeconfig'>): Promise<Runner> => Runner.start(kubeconfig)

t.test(`${ROUNDS} races never exceed the budget`, async (t) => {
  const site = new Site(t, NODES)
  const server = await serve(site.world, site.folder)
  if (!server) return void t.comment('no openssl')
  t.teardown(() => server.close())
  let mostInLedger = 0
  const others = site.world.script
  site.world.script = (asked, n) => {
    const reply = others(asked, n)
    mostInLedger = Math.max(mostInLedger, site.ledger.entries.length)
    return reply
  }
  const runners = [await start(server), await start(server)] as [Runner, Runner]
  t.teardown(() => kill(...runners))
  let [killed, failed, worked, most] = [0, 0, 0, 0]
  const tokens: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const limit = round % 2 === 0 ? 1 : '50%'
    const from = runners.map(({ said }) => said.length)
    const chosen = { settings: settings({ max_unavailable: limit }, 2000), all: NODES, holdMs: 40 }
    mostInLedger = 0
    for (const [i, runner] of runners.entries())
      runner.order({ ...chosen, run: `round-${round}-${i}`, nodes: pick(round, i) })
    if (round % KILL_EVERY === KILL_EVERY - 1) {
      await runners[0].hears(({ type }) => type === 'in', from[0])
      runners[0].child.kill('SIGKILL')
      killed++
    }
    await Promise.all(runners.map((runner, i) => runner.hears(({ type }) => type === 'done', from[i])))
    const spans = runners.flatMap(({ said }, i) => spansOf(said.slice(from[i])))
    const together = mostTogether(spans)
    most = Math.max(most, together)
    worked += spans.length
    tokens.push(...spans.map(({ token }) => token))
    failed += runners.flatMap(({ said }, i) => said.slice(from[i])).filter(({ type }) => type === 'failed').length
    if (together > (limit === 1 ? 1 : 2)) t.fail(`round ${round}: ${together} nodes at the same time`)
    if (mostInLedger > (limit === 1 ? 1 : 2)) t.fail(`round ${round}: ${mostInLedger} locks at the same time`)
    if (runners[0].child.signalCode !== null) runners[0] = await start(server)
  }
  t.equal(most, 2, 'the larger budget was used')
  t.equal(killed, ROUNDS / KILL_EVERY)
  t.equal(new Set(tokens).size, tokens.length, 'no token was given out twice')
  t.ok(worked > ROUNDS * 3, `${worked} locks were held, ${failed} attempts failed`)
  const tookOver = runners
    .flatMap(({ said }) => said)
    .some((said) => said.type === 'event' && /died|removed the lock/.test(said.message))
  // What the one that was killed last held goes away with the next lock, whichever node that is of.
  const from = runners[1].said.length
  runners[1].order({ settings: settings({}, 2000), all: NODES, holdMs: 40, run: 'last', nodes: ['n1'] })
  await runners[1].hears(({ type }) => type === 'done', from)
  t.ok(tookOver, 'what the killed ones held was taken over, and it is said')
  t.same(site.ledger.entries, [])
})

t.test('plain hosts: the same in a file', async (t) => {
  const site = new Site(t)
  const place = { kubeconfig: site.folder }
  const runners = [await start(place), await start(place)] as [Runner, Runner]
  t.teardown(() => kill(...runners))
  const chosen = { settings: settings({ max_unavailable: 1 }, 2000), all: NODES, holdMs: 40 }
  for (let round = 0; round < PLAIN_ROUNDS; round++) {
    const from = runners.map(({ said }) => said.length)
    for (const [i, runner] of runners.entries())
      runner.order({ ...chosen, run: `round-${round}-${i}`, nodes: pick(round, i) })
    await Promise.all(runners.map((runner, i) => runner.hears(({ type }) => type === 'done', from[i])))
    const failed = runners.flatMap(({ said }, i) => said.slice(from[i])).filter(({ type }) => type === 'failed')
    t.same(failed, [])
    const spans = runners.flatMap(({ said }, i) => spansOf(said.slice(from[i])))
    t.equal(spans.length, 4)
    t.equal(mostTogether(spans), 1)
  }
  // Nobody can tell how the host of a dead run is: it is down until it is worked on again.
  runners[0].order({ ...chosen, run: 'dies', nodes: ['n1'], holdMs: 600_000 })
  await runners[0].hears((said) => said.type === 'in' && said.node === 'n1', runners[0].said.length)
  kill(runners[0])
  await runners[0].hears(() => false)
  await t.rejects(
    site.enter('n2', { settings: chosen.settings, inventory: { hosts: NODES, groups: {} } }, { transport: undefined }),
    {
      message: /n1 \(that run died while it worked on the node \(run dies/,
    },
  )
  const from = runners[1].said.length
  runners[1].order({ ...chosen, run: 'next', nodes: ['n1', 'n2'] })
  await runners[1].hears(({ type }) => type === 'done', from)
  t.equal(spansOf(runners[1].said.slice(from)).length, 2, 'taken over, and then the next')
})

t.test('a killed holder on another machine: the next one takes over after the lease', async (t) => {
  const site = new Site(t, ['n1'])
  const server = await serve(site.world, site.folder)
  if (!server) return void t.comment('no openssl')
  t.teardown(() => server.close())
  const [first, second] = [await start(server), await start(server)]
  t.teardown(() => kill(first, second))
  const order = { nodes: ['n1'], all: ['n1'], settings: settings({}, 2000), holdMs: 100 }
  first.order({ ...order, run: 'first', holdMs: 600_000 })
  await first.hears(({ type }) => type === 'in')
  first.child.kill('SIGKILL')
  await first.hears(() => false)
  site.elsewhere('n1')
  const started = performance.now()
  second.order({ ...order, run: 'second' })
  await second.hears(({ type }) => type === 'in')
  t.ok(performance.now() - started >= 2000, 'not before')
  const words = second.said.flatMap((said) => (said.type === 'event' ? [said.message] : [])).join('\n')
  t.match(words, /locked by run first of test on ctl-2/)
  t.match(words, /took over the lock of run first of test on ctl-2 .*it died/)
  await second.hears(({ type }) => type === 'done')
})

t.test('the API goes away in the middle: safe stop', async (t) => {
  const site = new Site(t, ['n1'])
  const server = await serve(site.world, site.folder)
  if (!server) return void t.comment('no openssl')
  const runner = await start(server)
  t.teardown(() => kill(runner))
  runner.order({ run: 'r', nodes: ['n1'], all: ['n1'], settings: settings({}, 2000), holdMs: 600_000 })
  await runner.hears(({ type }) => type === 'in')
  server.close()
  const failed = await runner.hears(({ type }) => type === 'failed')
  t.match(failed, {
    node: 'n1',
    message:
      /node n1: (it cannot be said whether its lock is still ours|its lock could not be renewed)[\s\S]*nothing more was begun/,
  })
})

function kill(...runners: Runner[]): void {
  for (const { child } of runners) child.kill('SIGKILL')
}

function pick(round: number, runner: number): string[] {
  return runner === 0
    ? [NODES[round % 4]!, NODES[(round + 1) % 4]!]
    : [NODES[(round + 1) % 4]!, NODES[(round + 2) % 4]!]
}
