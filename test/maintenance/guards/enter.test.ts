import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { GuardLost, GuardRefused } from '../../../src/maintenance/guards/index.ts'
import { fakeConnection } from '../../../src/session/fake.ts'
import { addNode, Site, settings } from './setting.ts'

t.setTimeout(120_000)

t.test('a lock is taken, renewed and given back', async (t) => {
  const site = new Site(t, ['n1', 'n2'])
  const hold = await site.enter('n1', { reason: 'new disk' })
  t.match(site.ledger, {
    last: 1,
    entries: [{ node: 'n1', token: 1, run: 'run-1', actor: 'alice', reason: 'new disk' }],
  })
  const lease = site.leases.all.get('runbook-node-n1')!
  t.match(lease.spec, { leaseDurationSeconds: 2, renewTime: /\.\d{6}Z$/, holderIdentity: /run-1/ })
  const before = lease.metadata.resourceVersion
  await hold.renew()
  t.not(site.leases.all.get('runbook-node-n1')!.metadata.resourceVersion, before)
  const renewed = site.leases.all.get('runbook-node-n1')!.metadata.resourceVersion
  await until(() => site.leases.all.get('runbook-node-n1')!.metadata.resourceVersion !== renewed)
  t.pass('it is renewed in the background')
  await hold.release('back')
  await hold.release('back')
  t.same(site.ledger.entries, [])
  t.notOk(site.leases.all.has('runbook-node-n1'))
  t.match(site.messages, /^held: locked \(token 1\)\nreleased: /)
  const next = await site.enter('n1')
  t.equal(next.token, 2, 'tokens grow')
  await next.release('untouched')
})

t.test('nothing is touched when something is in the way', async (t) => {
  const table: [string, (site: Site) => Promise<unknown>, RegExp][] = [
    ['unknown node', (site) => site.enter('n9'), /there is no node in the cluster called n9[\s\S]*did you mean "n\d"/],
    [
      'locked',
      async (site) => {
        await site.enter('n1', { run: 'other', reason: 'firmware' })
        return site.enter('n1')
      },
      /node n1: locked by run other of alice on \S+ since \S+Z: firmware, last sign of life/,
    ],
    [
      'budget used by an operation',
      async (site) => {
        await site.enter('n2', { run: 'other' })
        return site.enter('n1')
      },
      /all nodes: 1 of 3 may be out of service, and 1 are: n2 \(run other of alice/,
    ],
    [
      'budget used by a node that somebody left cordoned',
      (site) => {
        addNode(site.world, 'n2', { cordoned: true })
        return site.enter('n1')
      },
      /and 1 are: n2 \(cordoned, not by runbook\)/,
    ],
    [
      'budget used by an earlier run that ended',
      (site) => {
        const mark = { run: 'old-run', at: '2026-11-20T03:00:00Z', reason: 'kernel', before: false }
        addNode(site.world, 'n2', { cordoned: true, annotations: { 'runbook/cordoned': JSON.stringify(mark) } })
        return site.enter('n1')
      },
      /n2 \(cordoned by runbook \(run old-run, 2026-11-20T03:00:00Z: kernel\)\)/,
    ],
    [
      'budget used by a node that is not Ready',
      (site) => {
        addNode(site.world, 'n2', { ready: false })
        return site.enter('n1')
      },
      /and 1 are: n2 \(NotReady/,
    ],
    [
      'nothing may be taken',
      (site) => site.enter('n1', { settings: settings({ max_unavailable: 0 }) }),
      /max_unavailable is 0/,
    ],
    [
      'its own machine, by address',
      (site) => {
        const own = Object.values(networkInterfaces()).flatMap((all) => all!.filter(({ internal }) => !internal))
        if (own.length === 0) throw new GuardRefused('n1', ['the machine that this runbook runs on (no network here)'])
        addNode(site.world, 'n1', { addresses: [own[0]!.address] })
        return site.enter('n1')
      },
      /the machine that this runbook runs on/,
    ],
    [
      'its own machine, by machine-id',
      (site) => {
        addNode(site.world, 'n1', { machineID: readFileSync('/etc/machine-id', 'utf8').trim() })
        return site.enter('n1')
      },
      /the machine that this runbook runs on \(it has this machine's machine-id/,
    ],
    [
      'a control plane whose etcd nobody can ask',
      (site) => {
        for (const name of ['n1', 'n2', 'n3'])
          addNode(site.world, name, { labels: { 'node-role.kubernetes.io/control-plane': '' } })
        return site.enter('n1')
      },
      /etcd cannot be asked .*n2 is not in the inventory; n3 is not in the inventory/,
    ],
  ]
  for (const [name, enter, expected] of table) {
    await t.test(name, async (t) => {
      const site = new Site(t, ['n1', 'n2', 'n3'])
      await t.rejects(enter(site), { message: expected })
      const mine = site.ledger.entries.filter(({ run }) => run === 'run-1')
      t.same(mine, [], 'no lock is left')
    })
  }
})

t.test('a node that is down already may be repaired while others are down', async (t) => {
  const site = new Site(t, ['n3'])
  addNode(site.world, 'n1', { ready: false })
  addNode(site.world, 'n2', { ready: false })
  const hold = await site.enter('n1')
  t.match(site.messages, /warning: the node is out of service already: NotReady/)
  await t.rejects(site.enter('n2', { run: 'other' }), /n1 \(run run-1/, 'but one at a time')
  await hold.release('untouched')
})

t.test('waiting for a slot', async (t) => {
  const site = new Site(t, ['n1', 'n2'])
  const first = await site.enter('n1', { run: 'first' })
  const second = site.enter('n2', { run: 'second', waitMs: 60_000 })
  await until(() => site.messages.includes('waiting'))
  await first.release('untouched')
  const hold = await second
  t.equal(hold.node, 'n2')
  t.equal(site.events.filter(({ type }) => type === 'waiting').length, 1, 'said once')
  await hold.release('untouched')
})

t.test('Ctrl-C ends waiting', async (t) => {
  const site = new Site(t, ['n1', 'n2'])
  const first = await site.enter('n1')
  const stop = new AbortController()
  const second = site.enter('n2', { waitMs: 60_000 }, { signal: stop.signal })
  await until(() => site.messages.includes('waiting'))
  stop.abort(new Error('interrupted'))
  await t.rejects(second, { message: 'interrupted' })
  t.equal(site.ledger.entries.length, 1)
  await first.release('untouched')
})

t.test('a holder elsewhere that died is taken over when its lease has been watched to its end', async (t) => {
  const site = new Site(t, ['n1', 'n2'])
  // Its lock stays as it is from the moment on when it dies.
  const dead = await site.enter('n1', { run: 'dead', settings: settings({}, 1500) })
  await freeze(site, dead)
  site.elsewhere('n1')
  await t.rejects(site.enter('n1'), GuardRefused, 'not at once')
  const started = performance.now()
  const hold = await site.enter('n1', { run: 'next', waitMs: 60_000, settings: settings({}, 1500) })
  t.ok(performance.now() - started >= 1500)
  t.match(site.messages, /took-over: took over the lock of run dead of alice on ctl-2 .*\(it died while it worked/)
  t.same(
    site.ledger.entries.map(({ run, token }) => [run, token]),
    [['next', 2]],
  )
  await hold.release('untouched')
})

t.test('a holder whose clock is hours off is not taken for dead', async (t) => {
  const site = new Site(t, ['n1'])
  const hold = await site.enter('n1', { run: 'skewed', settings: settings({}, 4000) })
  site.elsewhere('n1')
  const timer = setInterval(() => {
    const lease = site.leases.all.get('runbook-node-n1')
    if (lease) Object.assign(lease.spec as object, { renewTime: '2020-01-01T00:00:00.000000Z' })
  }, 5)
  t.teardown(() => clearInterval(timer))
  await t.rejects(site.enter('n1', { run: 'next', waitMs: 9000, settings: settings({}, 4000) }), /locked by run skewed/)
  t.notOk(hold.signal.aborted)
  await hold.release('untouched')
})

t.test('fencing: who was thought dead finds out before the next step', async (t) => {
  const site = new Site(t, ['n1', 'n2'])
  const slow = await site.enter('n1', { run: 'slow', settings: settings({}, 1500) })
  const thaw = await freeze(site, slow)
  site.elsewhere('n1')
  const next = await site.enter('n1', { run: 'next', waitMs: 60_000, settings: settings({}, 1500) })
  thaw()
  await t.rejects(slow.renew(), GuardLost)
  t.ok(slow.signal.aborted)
  await slow.release('left', 'half done')
  t.same(
    site.ledger.entries.map(({ run, left }) => [run, left]),
    [['next', undefined]],
    'it takes nothing from its successor',
  )
  await next.renew()
  await next.release('untouched')
})

t.test('fencing: also when only its slot was taken', async (t) => {
  const site = new Site(t, ['n1', 'n2'])
  const slow = await site.enter('n1', { run: 'slow', settings: settings({}, 1500) })
  const thaw = await freeze(site, slow)
  site.elsewhere('n1')
  const next = await site.enter('n2', { run: 'next', waitMs: 60_000, settings: settings({}, 1500) })
  t.match(site.messages, /removed the lock of n1/)
  thaw()
  await t.rejects(slow.renew(), GuardLost)
  await next.release('untouched')
})

t.test('an API that goes away', async (t) => {
  const site = new Site(t, ['n1'])
  const hold = await site.enter('n1', { settings: settings({}, 1500) })
  site.leases.cut = () => 'before'
  const error = await hold.renew().catch((error) => error)
  t.match(error, { name: 'GuardLost', unreachable: true })
  if (!hold.signal.aborted) await new Promise((done) => hold.signal.addEventListener('abort', done))
  t.match(hold.signal.reason, { name: 'GuardLost', unreachable: true }, 'given up before others may take it')
  site.leases.cut = () => undefined
  await hold.release('left', 'powered off')
  t.match(site.ledger.entries, [{ node: 'n1', left: 'powered off' }], 'what it left is known when the API is back')
})

t.test('an API that goes away because of us', async (t) => {
  const site = new Site(t, ['n1'])
  const hold = await site.enter('n1', { settings: settings({}, 600) })
  await hold.renew({ forMs: 60_000 })
  t.match(site.leases.all.get('runbook-node-n1')!.spec, { leaseDurationSeconds: 61 })
  site.leases.cut = () => 'before'
  await sleep(1500)
  t.notOk(hold.signal.aborted)
  site.leases.cut = () => undefined
  await hold.renew()
  await hold.release('back')
  t.same(site.ledger.entries, [])
})

t.test('control planes', async (t) => {
  for (const [count, seconds] of [
    [1, 1800],
    [3, 300],
  ] as const) {
    const names = ['c1', 'c2', 'c3'].slice(0, count)
    const site = new Site(t, ['n1'])
    for (const name of names) addNode(site.world, name, { labels: { 'node-role.kubernetes.io/control-plane': '' } })
    const asked: string[] = []
    const etcd = (sick: string | undefined) => ({
      settings: settings({ max_unavailable: 2 }),
      connect: async (host: string) => {
        asked.push(host)
        return fakeConnection(host, { answer: (script) => ({ stdout: etcdAnswer(script, names, sick) }) })
      },
    })
    const { connect, settings: given } = etcd(undefined)
    const hold = await site.enter('c1', { settings: given }, { connect })
    t.same([...new Set(asked)], [count === 1 ? 'c1' : 'c2'], 'asked on one that stays')
    t.match(site.leases.all.get('runbook-node-c1')!.spec, { leaseDurationSeconds: seconds }, 'it takes its API with it')
    await hold.release('untouched')
    if (count === 1) continue
    await t.rejects(site.enter('c1', { settings: given }, { connect: etcd('c3').connect }), {
      message: /etcd has members that are not healthy: c3/,
    })
    // Ill as soon as the lock is there.
    let n = 0
    const later = async (host: string) => etcd(n++ === 0 ? undefined : 'c3').connect(host)
    await t.rejects(site.enter('c1', { settings: given }, { connect: later }), /not healthy: c3/)
    t.equal(n, 2)
    t.same(site.ledger.entries, [])
  }
})

t.test('answers that get lost', async (t) => {
  for (const lost of ['POST', 'PATCH', 'DELETE']) {
    const site = new Site(t, ['n1'])
    let n = 0
    site.leases.cut = ({ method }) => (method === lost && n++ === 0 ? 'after' : undefined)
    // A POST is not repeated by itself: the first attempt fails, and leaves a sign of life that expires.
    const hold = await site.enter('n1', { waitMs: 30_000 }).catch(() => site.enter('n1', { waitMs: 30_000 }))
    const renewed = await hold.renew().catch((error) => error)
    if (lost === 'PATCH') {
      t.match(renewed, { name: 'GuardLost', unreachable: true })
      await hold.renew()
    }
    t.notOk(hold.signal.aborted)
    await hold.release('back')
    t.same(site.ledger.entries, [], lost)
  }
})

t.test('what a run left counts as down until it is worked on again', async (t) => {
  const site = new Site(t, ['n1', 'n2'])
  const hold = await site.enter('n1', { run: 'first' })
  await hold.renew()
  addNode(site.world, 'n1', { ready: false })
  await hold.release('left', 'it does not come back')
  await t.rejects(site.enter('n2'), /n1 \(NotReady; it does not come back \(run first/)
  const again = await site.enter('n1', { run: 'second' })
  t.match(site.messages, /took-over: .*\(it does not come back\)/)
  addNode(site.world, 'n1')
  await again.release('back')
  await (await site.enter('n2')).release('untouched')
})

t.test('soak: the slot is kept until the node has been Ready for so long', async (t) => {
  const site = new Site(t, ['n1', 'n2'])
  const hold = await site.enter('n1', { settings: { ...settings(), soak: 600 } })
  addNode(site.world, 'n1', { ready: false })
  const released = hold.release('back')
  await sleep(1000)
  t.equal(site.ledger.entries.length, 1, 'not Ready: it waits')
  const ready = performance.now()
  addNode(site.world, 'n1')
  await released
  t.ok(performance.now() - ready >= 590)
  t.same(site.ledger.entries, [])
})

t.test('await using', async (t) => {
  const site = new Site(t, ['n1'])
  {
    await using hold = await site.enter('n1')
    t.ok(hold)
  }
  t.same(site.ledger.entries, [], 'nothing was done')
  {
    await using hold = await site.enter('n1')
    await hold.renew()
  }
  t.match(site.ledger.entries, [{ left: 'it was left unfinished' }])
})

t.test('plain hosts', async (t) => {
  const site = new Site(t)
  const inventory = { hosts: ['h1', 'h2', 'h3'], groups: { web: ['h1', 'h2'] } }
  const only = { transport: undefined }
  const asked = {
    inventory,
    settings: settings({ max_unavailable: 2, budgets: [{ group: 'web', max_unavailable: 1 }] }),
  }
  const hold = await site.enter('h1', asked, only)
  await hold.renew()
  await t.rejects(site.enter('h2', { ...asked, run: 'other' }, only), /group web: 1 of 2 .* h1 \(run run-1/)
  const other = await site.enter('h3', { ...asked, run: 'other' }, only)
  await other.release('back')
  await hold.release('left', 'powered off')
  await t.rejects(site.enter('h2', asked, only), /h1 \(powered off \(run run-1/)
  await (await site.enter('h1', asked, only)).release('back')
  await (await site.enter('h2', asked, only)).release('back')
  await t.rejects(site.enter('h9', asked, only), /there is no host in the inventory called h9/)
})

/** The holder's heartbeats do not arrive any more, and it does not notice: as if its machine slept. */
async function freeze(site: Site, { node }: { node: string }): Promise<() => void> {
  const name = `runbook-node-${node}`
  const id = site.leases.all.get(name)!.spec!.holderIdentity
  let frozen = true
  site.leases.cut = ({ path, body }) => {
    const sent = body as { spec?: { holderIdentity?: string } } | undefined
    return frozen && path.endsWith(name) && sent?.spec?.holderIdentity === id ? 'before' : undefined
  }
  return () => {
    frozen = false
  }
}

/** What etcd on a control plane prints for `etcdScript`. */
function etcdAnswer(script: string, names: readonly string[], sick: string | undefined): string {
  const mark = '---runbook-etcd---\n'
  if (script.includes('/v3/cluster/member/list')) {
    const members = names.map((name) => ({ name, clientURLs: [`https://${name}:2379`] }))
    return `${JSON.stringify({ members })}\n${mark}`
  }
  return names.map((name) => `${JSON.stringify({ health: String(name !== sick) })}\n${mark}`).join('')
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(10)
}
