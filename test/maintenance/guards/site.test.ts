/** Guards as the node cycle uses them: by the inventory's names. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadInventory } from '../../../src/inventory/index.ts'
import type { Guards } from '../../../src/maintenance/cycle/types.ts'
import { openSiteGuards } from '../../../src/maintenance/guards/index.ts'
import { fakeConnection } from '../../../src/session/fake.ts'
import { SessionError } from '../../../src/session/session.ts'
import { Redactor } from '../../../src/shared/redact.ts'
import { serve } from '../../kubernetes/drain/server.ts'
import { Site, settings } from './setting.ts'

t.setTimeout(60_000)

async function guardsOf(
  site: Site,
  text: string,
  { vars = {}, given = settings(), answer = (_host: string, _script: string): string | undefined => undefined } = {},
) {
  const path = join(site.folder, 'inventory.yml')
  writeFileSync(path, text)
  const asked: string[] = []
  const open = openSiteGuards({
    inventory: await loadInventory([path], {}),
    extraVars: new Map(Object.entries(vars)),
    settings: given,
    folder: site.folder,
    run: 'maintain-1',
    actor: 'alice',
    redactor: new Redactor(),
    waitMs: 0,
    connect: async ({ name }) => {
      asked.push(name)
      return fakeConnection(name, {
        user: 'admin',
        answer: (script, user) => {
          if (script === 'id -u') return { stdout: user === 'root' ? '0\n' : '1000\n' }
          if (user !== 'root') return { rc: 1, stderr: 'permission denied' }
          const said = answer(name, script)
          return said === undefined ? { rc: 1 } : { stdout: said }
        },
      })
    },
  })
  // It is what the cycle asks for.
  const guards: Guards = open
  const said: string[] = []
  const enter = (host: string) => guards.enter(host, { signal: site.stop.signal, say: (line) => said.push(line) })
  t.teardown(() => open[Symbol.asyncDispose]())
  return { enter, said, asked, open }
}

t.test('in a cluster, by the kubeconfig of a control plane', async (t) => {
  const site = new Site(t, ['n1', 'node-2.example'])
  const server = await serve(site.world, site.folder)
  if (!server) return void t.comment('no openssl')
  t.teardown(() => server.close())
  const { readFileSync } = await import('node:fs')
  const inventory = `all:
  hosts: {n1: {}, n2: {node_name: node-2.example}, storage: {}}
  children: {control_plane: {hosts: {c1: {}}}}
`
  const { enter, said, asked } = await guardsOf(site, inventory, {
    answer: (host, script) =>
      host === 'c1' && script.includes('admin.conf') ? readFileSync(server.kubeconfig, 'utf8') : undefined,
  })
  const first = await enter('n2')
  t.same(asked, ['c1'])
  t.match(site.ledger.entries, [{ node: 'node-2.example', run: 'maintain-1' }], 'by its name in the cluster')
  await t.rejects(enter('n1'), /all nodes: 1 of 2 may be out of service, and 1 are: node-2\.example/)
  const other = await enter('storage')
  t.match(said.join('\n'), /storage is no node of the cluster at https:\S+: guarded as a plain host/)
  await other.leave('back')
  await first.leave('back')
  t.same(site.ledger.entries, [])
})

t.test('by a kubeconfig file; and one that is not there', async (t) => {
  const site = new Site(t, ['n1'])
  const server = await serve(site.world, site.folder)
  if (!server) return void t.comment('no openssl')
  t.teardown(() => server.close())
  const inventory = 'all: {hosts: {n1: {}}}'
  const { enter, asked } = await guardsOf(site, inventory, { vars: { node_kubeconfig: server.kubeconfig } })
  await (await enter('n1')).leave('untouched')
  t.same(asked, [])
  const wrong = await guardsOf(site, inventory, { vars: { node_kubeconfig: join(site.folder, 'none') } })
  await t.rejects(wrong.enter('n1'), /does not exist/)
})

t.test('control planes that cannot be reached: nobody knows what is out of service', async (t) => {
  const site = new Site(t)
  const { enter } = await guardsOf(site, 'all: {hosts: {n1: {}}, children: {control_plane: {hosts: {c1: {}}}}}', {
    answer: () => {
      throw new SessionError('lost', 'c1', 'the cable is out')
    },
  })
  await t.rejects(enter('n1'), /administrator cannot be found.* c1: the cable is out/)
})

t.test('plain hosts', async (t) => {
  const site = new Site(t)
  const inventory = 'all: {hosts: {h1: {}, h2: {}}}'
  const { enter, open } = await guardsOf(site, inventory)
  const first = await enter('h1')
  const second = await enter('h2')
  await first.leave('left', 'it is off')
  await second.leave('back')
  const strict = await guardsOf(site, inventory, { given: settings({ max_unavailable: 1 }) })
  await t.rejects(strict.enter('h2'), /h1 \(it is off/)
  await (await strict.enter('h1')).leave('left', 'it is off')
  await open.back('h1')
  await (await strict.enter('h2')).leave('back')
  const wrong = guardsOf(site, inventory, { given: settings({ budgets: [{ group: 'rack9', max_unavailable: 1 }] }) })
  await t.rejects(wrong, /rack9/, 'told before anything else')
})
