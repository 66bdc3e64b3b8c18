/** Several nodes at once, and two runners: what is begun, and what a lock that is gone still lets happen. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadInventory } from '../../../src/inventory/index.ts'
import { openJournal } from '../../../src/journal/open.ts'
import { REAL_CLOCK } from '../../../src/kubernetes/drain/clock.ts'
import { runCycle } from '../../../src/maintenance/cycle/run-cycle.ts'
import type { CycleEvent, CycleServices, NodeEnd } from '../../../src/maintenance/cycle/types.ts'
import { openSiteGuards } from '../../../src/maintenance/guards/index.ts'
import { openLeaseStore } from '../../../src/maintenance/guards/lease-store.ts'
import { breakLocks } from '../../../src/maintenance/guards/locks.ts'
import { fakeConnection } from '../../../src/session/fake.ts'
import { Redactor } from '../../../src/shared/redact.ts'
import { type Served, serve } from '../../kubernetes/drain/server.ts'
import { Site, settings } from '../guards/setting.ts'

t.setTimeout(120_000)

/** Nodes whose "cycle" is three commands that leave their marks in a file, and wait for what the test lets happen. */
class Cycles {
  readonly site: Site
  readonly #server: Served
  readonly #log: string

  static async open(t: Test, names: readonly string[]): Promise<Cycles | undefined> {
    const site = new Site(t, names)
    const server = await serve(site.world, site.folder)
    if (!server) return void t.comment('no openssl')
    t.teardown(() => server.close())
    return new Cycles(site, server)
  }

  private constructor(site: Site, server: Served) {
    this.site = site
    this.#server = server
    this.#log = join(site.folder, 'log')
    writeFileSync(this.#log, '')
  }

  /** `begin n1`, `middle n1`, `end n1` … as they happened. */
  get log(): string[] {
    return readFileSync(this.#log, 'utf8').split('\n').filter(Boolean)
  }

  async run(
    nodes: readonly string[],
    {
      seconds = 0.3,
      fails = '',
      ...more
    }: Partial<CycleServices> & { given?: object; seconds?: number; fails?: string },
    on: (event: CycleEvent) => unknown = () => {},
  ): Promise<{ events: CycleEvent[]; ends: readonly NodeEnd[] }> {
    const { folder } = this.site
    const path = join(folder, 'own.yml')
    const mark = (word: string): object => ({
      name: word,
      shell: `echo "${word} {{ inventory_hostname }}" >>${this.#log}; sleep ${seconds}; [ "{{ inventory_hostname }}" != "${word === 'middle' ? fails : ''}" ]`,
    })
    const play = { hosts: '{{ nodes }}', gather_facts: false, tasks: ['begin', 'middle', 'end'].map(mark) }
    writeFileSync(path, JSON.stringify([{ name: 'own', ...play }]))
    const inventory = await loadInventory([`${[...this.site.world.nodes.keys()].join(',')},`], {})
    const common = {
      inventory,
      redactor: new Redactor(),
      connect: async ({ name }: { name: string }) => fakeConnection(name),
    }
    const { given = {}, ...services } = more as typeof more & { given?: object }
    await using guards = openSiteGuards({
      ...common,
      extraVars: new Map([['node_kubeconfig', this.#server.kubeconfig]]),
      settings: settings(given, 60_000),
      folder,
      run: 'maintain-1',
      actor: 'alice',
      waitMs: 0,
    })
    const events: CycleEvent[] = []
    const request = { verb: 'maintain', nodes, playbook: path } as const
    for await (const event of runCycle(request, {
      ...common,
      guards,
      openJournal: () => openJournal(folder),
      folder,
      stop: new AbortController().signal,
      abort: new AbortController().signal,
      ...services,
    })) {
      events.push(event)
      await on(event)
    }
    const last = events.at(-1)
    if (last?.type !== 'cycle_ended') throw new Error('no end')
    return { events, ends: last.nodes }
  }
}

/** The most that were between their begin and their end at the same time. */
function most(log: readonly string[]): number {
  let [now, top] = [0, 0]
  for (const line of log) {
    if (line.startsWith('begin')) top = Math.max(top, ++now)
    if (line.startsWith('end')) now--
  }
  return top
}

t.test('as many side by side as the guards allow', async (t) => {
  const names = ['n1', 'n2', 'n3', 'n4', 'n5']
  const cycles = await Cycles.open(t, names)
  if (!cycles) return
  const { ends, events } = await cycles.run(names, { given: { max_unavailable: 2 }, atOnce: 10 })
  t.same(
    ends.map(({ node, outcome }) => `${node} ${outcome}`),
    names.map((node) => `${node} done`),
  )
  t.equal(most(cycles.log), 2)
  t.match(
    events.filter((event) => event.type === 'guard').map(({ message }) => message),
    [/./, /./, /all nodes: 2 of 5 may be out of service, and 2 are: n/],
    'the third waits for its turn, however long: nobody but this command is in its way',
  )
  t.same(cycles.site.ledger.entries, [])
})

t.test('one after another unless told otherwise', async (t) => {
  const cycles = await Cycles.open(t, ['n1', 'n2'])
  if (!cycles) return
  const { ends } = await cycles.run(['n2', 'n1'], { given: { max_unavailable: 2 } })
  t.same(
    ends.map(({ outcome }) => outcome),
    ['done', 'done'],
  )
  t.same(cycles.log, ['begin n2', 'middle n2', 'end n2', 'begin n1', 'middle n1', 'end n1'])
})

t.test('one that fails: those under way come to their ends, no other is begun', async (t) => {
  const names = ['n1', 'n2', 'n3', 'n4']
  const cycles = await Cycles.open(t, names)
  if (!cycles) return
  const { ends } = await cycles.run(names, { given: { max_unavailable: 2 }, atOnce: 10, seconds: 0.5, fails: 'n2' })
  t.match(ends, [
    { node: 'n1', outcome: 'done' },
    { node: 'n2', outcome: 'failed', next: 'runbook node maintain n2' },
    { node: 'n3', outcome: 'not_begun', message: 'not begun: n2 did not come to its end' },
    { node: 'n4', outcome: 'not_begun', next: 'runbook node maintain n4' },
  ])
  t.notMatch(cycles.log.join('\n'), /end n2|n3|n4/)
})

t.test('a budget that somebody else uses up refuses, and nothing is begun', async (t) => {
  const cycles = await Cycles.open(t, ['n1', 'n2', 'n3'])
  if (!cycles) return
  const other = await cycles.site.enter('n3', { run: 'other' })
  const { ends } = await cycles.run(['n1', 'n2'], {})
  t.match(ends, [
    { outcome: 'refused', message: /all nodes: 1 of 3 may be out of service, and 1 are: n3/ },
    { outcome: 'not_begun' },
  ])
  t.same(cycles.log, [])
  await other.release('untouched')
})

t.test('a lock that somebody breaks: the next step is not begun', async (t) => {
  const cycles = await Cycles.open(t, ['n1', 'n2'])
  if (!cycles) return
  const { site } = cycles
  const store = openLeaseStore(site.world.transport(REAL_CLOCK), 'kube-system')
  const { ends } = await cycles.run(['n1'], { seconds: 1 }, async (event) => {
    if (event.type !== 'run' || event.event.type !== 'task_started' || event.event.task !== 'begin') return
    const options = { by: 'bob', reason: 'wrong node', force: true, leaseMs: 60_000, onWait: () => {} }
    t.match(await breakLocks(store, ['n1'], { ...options, signal: site.stop.signal }), [{ broken: true }])
  })
  t.match(ends, [{ outcome: 'failed', message: /its lock was broken by bob: wrong node/ }])
  t.same(cycles.log, ['begin n1'], 'what was under way came to its end')
})

t.test('two runners at one node: the one whose lock was taken over stops before its next step', async (t) => {
  const cycles = await Cycles.open(t, ['n1', 'n2'])
  if (!cycles) return
  const { site } = cycles
  let taken: Promise<unknown> | undefined
  const { ends } = await cycles.run(['n1'], { seconds: 2 }, (event) => {
    if (event.type !== 'run' || event.event.type !== 'task_started' || event.event.task !== 'begin') return
    // As a machine that slept through its lease looks to others: from elsewhere, and silent for all its time.
    site.elsewhere('n1')
    const lease = site.leases.all.get('runbook-node-n1')!
    const annotations = { ...lease.metadata.annotations, 'runbook/valid-ms': '100' }
    site.leases.all.set('runbook-node-n1', { ...lease, metadata: { ...lease.metadata, annotations } })
    taken = site.enter('n1', { run: 'second', waitMs: 10_000 })
  })
  t.match(await taken, { node: 'n1' })
  t.match(ends, [{ outcome: 'failed', message: /its lock was taken over by run second of alice/ }])
  t.same(cycles.log, ['begin n1'])
  t.match(site.ledger.entries, [{ node: 'n1', run: 'second' }])
})

t.test('an API that does not answer: nothing more is begun while the node can still be left as it is', async (t) => {
  const cycles = await Cycles.open(t, ['n1', 'n2'])
  if (!cycles) return
  const { site } = cycles
  const cutOff = (event: CycleEvent): void => {
    if (event.type !== 'run' || event.event.type !== 'task_started' || event.event.task !== 'begin') return
    site.leases.cut = () => 'before'
  }
  const first = await cycles.run(['n1'], {}, cutOff)
  t.match(first.ends, [
    {
      outcome: 'failed',
      message:
        /middle: node n1: it cannot be said whether its lock is still ours[\s\S]*when the API is back, run the same again/,
    },
  ])
  t.same(cycles.log, ['begin n1'])
  site.leases.cut = () => undefined

  // Its services are stopped: a control plane has taken the API with it, and to stop there would leave it as it is.
  using journal = openJournal(site.folder)
  journal.intent('run', 'n2', 'cycle', { phase: 'stopped' })
  const second = await cycles.run(['n2'], { given: { max_unavailable: 2 } }, (event) => {
    cutOff(event)
    if (event.type === 'run' && event.event.type === 'task_started' && event.event.task === 'end')
      site.leases.cut = () => undefined
  })
  t.match(second.ends, [{ outcome: 'done' }])
  t.same(cycles.log, ['begin n1', 'begin n2', 'middle n2', 'end n2'])
})
