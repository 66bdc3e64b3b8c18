/** `runbook node …` as a user starts it, over HTTPS; and kubectl beside it, where there is one. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Leases } from '../../maintenance/guards/leases.ts'
import { type Served, serve } from './server.ts'
import { type Asked, World } from './world.ts'

t.setTimeout(300_000)
const BIN = join(import.meta.dirname, '../../../bin/runbook.js')

function run(
  argv: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(argv[0]!, argv.slice(1), { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (err += chunk))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })))
}

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'runbook-drain-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

async function served(t: Test, world: World): Promise<Served | undefined> {
  const server = await serve(world, folder(t))
  if (server) t.teardown(() => server.close())
  else t.comment('no openssl')
  return server
}

const node = (server: Served, ...words: string[]) =>
  run([process.execPath, BIN, 'node', ...words, '--kubeconfig', server.kubeconfig])

function cluster(): World {
  return new World()
    .node('n1')
    .node('n2')
    .pod({ name: 'web', namespace: 'shop', labels: { app: 'web' }, endsIn: 300 })
    .pod({ name: 'db-0', namespace: 'shop', labels: { app: 'db' }, owner: 'StatefulSet', anewOn: 'n2', endsIn: 700 })
    .pod({ name: 'proxy', namespace: 'kube-system', owner: 'DaemonSet' })
    .pod({ name: 'other', node: 'n2' })
    .pod({ name: 'db-1', namespace: 'shop', labels: { app: 'db' }, node: 'n2' })
    .budget({ name: 'db', namespace: 'shop', selector: { app: 'db' }, minAvailable: 1 })
}

t.test('drain and back', async (t) => {
  const world = cluster()
  new Leases(world)
  const server = await served(t, world)
  if (!server) return
  const refused = await node(server, 'drain', 'n1')
  t.match(refused, {
    code: 3,
    out: /blocked: kube-system\/proxy: cannot delete DaemonSet-managed Pods[\s\S]*not touched/,
  })
  t.match(await node(server, 'drain', 'n1', 'n7'), { code: 3, err: /there is no node in the cluster called n7/ })
  t.match(await node(server, 'drain', 'n1', '--ignore-daemonsets', '--dry-run'), {
    code: 0,
    out: /2 pods to evict, 1 stay[\s\S]*dry run/,
  })
  t.same(world.removals, [])
  const drained = await node(server, 'drain', 'n1', '--ignore-daemonsets', '--reason', 'new disk')
  t.match(drained, {
    code: 0,
    out: /node\/n1 cordoned\nevicting pod shop\/web\nevicting pod shop\/db-0\npod shop\/web evicted \(\d[^\n]*\npod shop\/db-0 evicted, and made anew[^\n]*\ndrained\nnode\/n1 drained \(2 pods\)\n$/,
  })
  t.match(await node(server, 'cordon', 'n1'), { code: 0, out: /^node\/n1 already cordoned, by runbook/m })
  t.match(await node(server, 'uncordon', 'n1', '--json'), {
    code: 0,
    out: /^\{"node":"n1","changed":true,"message":"uncordoned"\}\n$/,
  })
  world.pod({ name: 'stuck', namespace: 'shop', endsIn: Number.POSITIVE_INFINITY })
  const late = await node(server, 'drain', 'n1', '--ignore-daemonsets', '--timeout', '3s')
  t.match(late, {
    code: 2,
    out: /the time limit of 3 s is over\nnode\/n1 is cordoned and not drained; left: shop\/stuck: [^\n]*\n/,
  })
  t.match(
    late.out,
    `
  go on: runbook node drain n1 --kubeconfig ${server.kubeconfig} --timeout 3s --ignore-daemonsets
  back:  runbook node uncordon n1 --kubeconfig ${server.kubeconfig}
`,
    'with the options as they were given',
  )
  t.notMatch([drained, late], /very-secret-token/)
  t.match(await node(server, 'drain', 'n1', '--timeout', 'soon'), { code: 3, err: /must be a time/ })
})

/** What counts of the requests of a drain: in which order, to what, with what. */
function summary(asked: readonly Asked[]): string[] {
  return asked.flatMap(({ method, path, query, body }) => {
    const { deleteOptions, spec } = (body ?? {}) as {
      deleteOptions?: { dryRun?: unknown; gracePeriodSeconds?: number }
      spec?: object
    }
    if (deleteOptions?.dryRun || (body as { dryRun?: unknown } | undefined)?.dryRun) return []
    if (method === 'DELETE') return [`DELETE ${path}`]
    if (method === 'PATCH') return [`PATCH ${path} ${JSON.stringify(spec)}`]
    if (method === 'POST') return [`POST ${path} grace=${deleteOptions?.gracePeriodSeconds}`]
    if (path === '/api/v1/pods')
      return [`LIST pods ${query.fieldSelector} ${query.labelSelector ?? ''} limit=${query.limit}`]
    return []
  })
}

const kubectl = process.env.RUNBOOK_KUBECTL ?? 'kubectl'
const skip = spawnSync(kubectl, ['version', '--client']).status !== 0 && `no ${kubectl}`

t.test('kubectl drain beside it: the same requests, but for what the facts say', { skip }, async (t) => {
  const cases: [name: string, flags: string[], code: number][] = [
    ['plain', ['--ignore-daemonsets'], 0],
    ['grace', ['--ignore-daemonsets', '--grace-period=5'], 0],
    ['selector', ['--ignore-daemonsets', '--pod-selector=app=web'], 0],
    ['refused', [], 1],
    ['deletion', ['--ignore-daemonsets', '--disable-eviction'], 0],
  ]
  for (const [name, flags, code] of cases) {
    const [ours, theirs] = [cluster(), cluster()]
    const [mine, other] = [await served(t, ours), await served(t, theirs)]
    if (!mine || !other) return
    // Locks are nothing that kubectl has.
    const drained = await node(mine, 'drain', 'n1', '--no-guards', ...flags)
    const cache = ['--cache-dir', folder(t)]
    const reference = await run([
      kubectl,
      '--kubeconfig',
      other.kubeconfig,
      ...cache,
      'drain',
      'n1',
      '--timeout=30s',
      ...flags,
    ])
    t.equal(reference.code, code, `${name}: ${reference.err}`)
    t.equal(drained.code, code === 0 ? 0 : 3, `${name}: ${drained.out}`)
    const [a, b] = [summary(ours.asked), summary(theirs.asked)]
    // kubectl cordons before it looks; we look first, and once more in the end.
    const changes = (lines: string[]): string[] => lines.filter((line) => !line.startsWith('LIST')).sort()
    if (code === 0) t.same(changes(a), changes(b), name)
    else
      t.same(
        [changes(a).length, changes(b)],
        [0, ['PATCH /api/v1/nodes/n1 {"unschedulable":true}']],
        `${name}: we touch nothing`,
      )
    t.same(
      [...new Set(a.filter((l) => l.startsWith('LIST')))],
      [...new Set(b.filter((l) => l.startsWith('LIST')))],
      name,
    )
    t.same(ours.removals.map((r) => r.name).sort(), theirs.removals.map((r) => r.name).sort(), name)
    if (code !== 0) t.match(reference.err, 'cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)')
  }
})

t.test('100 pods take as long as the slowest', async (t) => {
  const many = (): World => {
    const world = new World().node('n1').node('n2')
    for (let i = 0; i < 100; i++) world.pod({ name: `p${i}`, endsIn: 2000 + (i % 10) * 300 })
    new Leases(world)
    return world
  }
  const server = await served(t, many())
  if (!server) return
  const started = performance.now()
  const { code, out } = await node(server, 'drain', 'n1', '--json')
  const ours = performance.now() - started
  t.equal(code, 0)
  const slowest = Math.max(
    ...out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; elapsedMs?: number })
      .map((e) => e.elapsedMs ?? 0),
  )
  t.comment(`100 pods, slowest ends in 4.7 s: gone after ${slowest / 1000} s`)
  t.ok(slowest < 4700 * 2, `${slowest} ms`)
  const other = skip ? undefined : await served(t, many())
  if (!other) return
  const before = performance.now()
  const flags = ['--kubeconfig', other.kubeconfig, '--cache-dir', folder(t)]
  t.equal((await run([kubectl, ...flags, 'drain', 'n1'])).code, 0)
  const theirs = performance.now() - before
  t.comment(`whole commands: runbook ${(ours / 1000).toFixed(1)} s, kubectl ${(theirs / 1000).toFixed(1)} s`)
})
