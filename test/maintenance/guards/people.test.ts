/** `runbook node drain`, `cordon` and `uncordon` as a user starts them, beside locks and budgets. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { serve } from '../../kubernetes/drain/server.ts'
import { failure } from '../../kubernetes/drain/world.ts'
import { addNode, Site, settings } from './setting.ts'

t.setTimeout(600_000)
const BIN = join(import.meta.dirname, '../../../bin/runbook.js')

async function open(t: Test, names = ['n1', 'n2', 'n3']) {
  const site = new Site(t, names)
  const server = await serve(site.world, site.folder)
  if (!server) return void t.comment('no openssl')
  t.teardown(() => server.close())
  const node = (...words: string[]): Promise<{ code: number | null; out: string; err: string }> => {
    const child = spawn(
      process.execPath,
      [BIN, 'node', ...words, '--kubeconfig', server.kubeconfig, '--folder', site.folder],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    let [out, err] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      out += chunk
    })
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      err += chunk
    })
    return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })))
  }
  const cordoned = () =>
    [...site.world.nodes.values()].flatMap((one) => (one.spec.unschedulable ? one.metadata.name : []))
  return { site, node, cordoned }
}

t.test('a drain takes its place in the budget, and keeps it until the node is uncordoned', async (t) => {
  const opened = await open(t)
  if (!opened) return
  const { site, node, cordoned } = opened
  site.world.pod({ name: 'web', node: 'n1', endsIn: 100 }).pod({ name: 'web-2', node: 'n2', endsIn: 100 })
  t.match(await node('drain', 'n1', 'n2'), {
    code: 3,
    err: /n2: all nodes: 1 of 3 may be out of service, and 1 are: n1 \([\s\S]*nothing was touched[\s\S]*--no-guards/,
  })
  t.same(cordoned(), [])
  t.same(site.ledger.entries, [])
  t.match(await node('drain', 'n1', '--reason', 'new disk'), { code: 0, out: /node\/n1 drained/ })
  t.match(site.ledger.entries, [{ node: 'n1', reason: 'new disk', left: 'drained; runbook node uncordon' }])
  t.match(await node('drain', 'n2'), { code: 3, err: /1 are: n1 \(cordoned by runbook .*new disk\); drained/ })
  t.match(await node('cordon', 'n2'), { code: 3, err: /1 of 3 may be out of service/ })
  t.same(cordoned(), ['n1'])
  t.match(await node('drain', 'n1'), { code: 0 }, 'its own place is no obstacle')
  t.match(await node('uncordon', 'n1'), { code: 0, out: /n1 uncordoned/ })
  t.same(site.ledger.entries, [])
  t.match(await node('drain', 'n2', '--dry-run'), { code: 0 })
  t.same(site.ledger.entries, [])
  t.match(await node('drain', 'n2'), { code: 0 })
  t.match(await node('cordon', 'n3', '--no-guards'), { code: 0 })
  t.same(cordoned(), ['n2', 'n3'])
})

t.test('what is refused leaves no lock', async (t) => {
  const opened = await open(t)
  if (!opened) return
  const { site, node, cordoned } = opened
  site.world.pod({ name: 'ds', owner: 'DaemonSet' })
  t.match(await node('drain', 'n1'), { code: 3, out: /blocked: .*DaemonSet/ })
  t.match(await node('drain', 'n9'), { code: 3, err: /there is no node in the cluster called n9/ })
  t.same(cordoned(), [])
  t.same(site.ledger.entries, [])
  writeFileSync(
    join(site.folder, 'maintenance.yml'),
    'guards: {max_unavailable: 2, blockers: {commands: [{command: [sh, -c, "[ $RUNBOOK_NODE = n1 ] || { echo busy; false; }"]}]}}',
  )
  t.match(await node('drain', 'n1', 'n2', '--ignore-daemonsets'), { code: 3, err: /n2: .*busy/ })
  t.same([cordoned(), site.ledger.entries], [[], []])
})

t.test('beside a run that works on the node', async (t) => {
  const opened = await open(t)
  if (!opened) return
  const { site, node } = opened
  addNode(site.world, 'n1', {
    cordoned: true,
    annotations: { 'runbook/cordoned': '{"run":"x","at":"y","before":false}' },
  })
  const live = await site.enter('n1', { run: 'live', settings: settings({}, 60_000) })
  for (const verb of ['drain', 'cordon'])
    t.match(await node(verb, 'n1'), { code: 3, err: /n1: locked by run live of alice/ }, verb)
  t.match(await node('uncordon', 'n1'), { code: 3, err: /somebody works on node n1: run live .*[\s\S]*node break/ })
  await live.release('left', 'it is off')
  t.match(await node('uncordon', 'n1'), { code: 0 })
  t.same(site.ledger.entries, [])
})

t.test('without the right to write Leases', async (t) => {
  const opened = await open(t)
  if (!opened) return
  const { site, node, cordoned } = opened
  const { script } = site.world
  site.world.script = (asked, n) =>
    asked.path.includes('/leases') ? failure(403, 'Forbidden', 'leases is forbidden: User "bob"') : script(asked, n)
  for (const verb of ['drain', 'cordon', 'uncordon'])
    t.match(await node(verb, 'n1'), { code: 3, err: /leases is forbidden[\s\S]*--no-guards/ }, verb)
  t.same(cordoned(), [])
  t.match(await node('drain', 'n1', '--no-guards'), { code: 0 })
  t.match(await node('uncordon', 'n1', '--no-guards'), { code: 0 })
})

t.test('budgets of inventory groups need the inventory', async (t) => {
  const opened = await open(t)
  if (!opened) return
  const { site, node, cordoned } = opened
  const inventory = join(site.folder, 'hosts.yml')
  writeFileSync(inventory, 'rack: {hosts: {n1: {}, n2: {}}}')
  writeFileSync(
    join(site.folder, 'maintenance.yml'),
    'guards: {max_unavailable: 3, budgets: [{group: rack, max_unavailable: 1}]}',
  )
  t.match(await node('cordon', 'n1', '-i', join(site.folder, 'none')), { code: 3 })
  t.match(await node('cordon', 'n1', '-i', inventory), { code: 0 })
  t.match(await node('cordon', 'n2', '-i', inventory), { code: 3, err: /group rack: 1 of 2/ })
  t.match(await node('cordon', 'n3', '-i', inventory), { code: 0 })
  t.same(cordoned(), ['n1', 'n3'])
})
