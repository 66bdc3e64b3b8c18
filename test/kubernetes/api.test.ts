/** The client against an HTTPS server of this process; against a real API it is tried in the Kubernetes lab. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { createServer, type RequestOptions } from 'node:https'
import { registerHooks } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { stringify } from 'yaml'
import { Cluster, loadKubeconfig, loadKubeconfigFile, openCluster } from '../../src/kubernetes/index.ts'
import { openTransport } from '../../src/kubernetes/transport.ts'
import { KubernetesError } from '../../src/shared/kubernetes.ts'

interface Asked {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly type: string | undefined
  readonly body: unknown
  /** Port of the client: the same for requests of one connection. */
  readonly port: number
}
type Answer = readonly [status: number, body: unknown] | 'cut'

const folder = mkdtempSync(join(tmpdir(), 'runbook-kubernetes-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const subject = ['-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1']
const files = ['-keyout', join(folder, 'key'), '-out', join(folder, 'crt')]
const made = spawnSync('openssl', [
  'req',
  '-x509',
  '-newkey',
  'ec',
  '-pkeyopt',
  'ec_paramgen_curve:P-256',
  '-nodes',
  '-days',
  '2',
  ...subject,
  ...files,
])
const certificate = made.status === 0 ? readFileSync(join(folder, 'crt')) : undefined
const skip = certificate === undefined && 'no openssl'

async function fake(
  t: Test,
  answer: (asked: Asked, n: number) => Answer | Promise<Answer>,
): Promise<{ api: Cluster; asked: Asked[]; text: string }> {
  const asked: Asked[] = []
  const server = createServer(
    { key: readFileSync(join(folder, 'key')), cert: certificate },
    async (request: IncomingMessage, response) => {
      const url = new URL(request.url!, 'https://x')
      let text = ''
      for await (const chunk of request) text += chunk
      const { method = '', headers, socket } = request
      const one = {
        method,
        path: url.pathname,
        query: url.searchParams,
        type: headers['content-type'],
        body: text === '' ? undefined : JSON.parse(text),
        port: socket.remotePort!,
      }
      asked.push(one)
      const reply = await answer(one, asked.length)
      if (reply === 'cut') return void socket.destroy()
      response.writeHead(reply[0], { 'content-type': 'application/json' })
      response.end(typeof reply[1] === 'string' ? reply[1] : JSON.stringify(reply[1]))
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const text = kubeconfig(`https://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const loaded = await loadKubeconfig(text, 'test')
  const api = new Cluster(loaded, openTransport(loaded))
  t.teardown(() => {
    api[Symbol.dispose]()
    server.closeAllConnections()
    server.close()
  })
  return { api, asked, text }
}

function kubeconfig(server: string): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'c',
    clusters: [{ name: 'k', cluster: { server, 'certificate-authority-data': certificate?.toString('base64') } }],
    users: [{ name: 'u', user: { token: 'very-secret-token' } }],
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
  })
}

const KINDS = {
  '/api/v1': [
    { name: 'nodes', kind: 'Node', namespaced: false },
    { name: 'nodes/status', kind: 'Node', namespaced: false },
    { name: 'configmaps', kind: 'ConfigMap', namespaced: true },
    { name: 'namespaces', kind: 'Namespace', namespaced: false },
  ],
}
const discovery = ({ path }: Asked): Answer | undefined =>
  path in KINDS ? [200, { resources: KINDS[path as keyof typeof KINDS] }] : undefined
const missing: Answer = [404, { kind: 'Status', status: 'Failure', reason: 'NotFound', message: 'not found' }]
const map = (name: string, more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', ...more },
})

t.test('reads over one connection, page by page', { skip }, async (t) => {
  const { api, asked } = await fake(t, (one) => {
    if (one.path === '/version') return [200, { gitVersion: 'v1.34.1' }]
    if (one.path === '/api/v1/nodes' && !one.query.has('continue'))
      return [200, { items: [{ metadata: { name: 'a' } }], metadata: { continue: 'more' } }]
    if (one.path === '/api/v1/nodes') return [200, { items: [{ metadata: { name: 'b' } }], metadata: {} }]
    return discovery(one) ?? missing
  })
  t.equal(await api.version(), 'v1.34.1')
  const nodes = await api.list({ apiVersion: 'v1', kind: 'Node', labelSelector: 'a=b' })
  t.same(nodes, [
    { apiVersion: 'v1', kind: 'Node', metadata: { name: 'a' } },
    { apiVersion: 'v1', kind: 'Node', metadata: { name: 'b' } },
  ])
  t.equal(await api.get({ apiVersion: 'v1', kind: 'Node', name: 'c' }), undefined)
  t.equal(asked.filter(({ path }) => path === '/api/v1').length, 1, 'kinds are asked for once')
  t.equal(new Set(asked.map(({ port }) => port)).size, 1, 'one connection')
  t.equal(asked[2]!.query.get('labelSelector'), 'a=b')
})

t.test('applies server-side', { skip }, async (t) => {
  const stored = new Map<string, Record<string, unknown>>()
  const { api, asked } = await fake(t, (one) => {
    const known = discovery(one)
    if (known) return known
    if (one.method === 'GET') return stored.has(one.path) ? [200, stored.get(one.path)] : missing
    // A controller writes a status in between.
    const same = JSON.stringify(stored.get(one.path)?.data) === JSON.stringify((one.body as { data: unknown }).data)
    const version = same ? 1 : stored.size + 2
    const object = {
      ...(one.body as object),
      metadata: { name: 'a', namespace: 'default', resourceVersion: String(version) },
    }
    if (!one.query.has('dryRun'))
      stored.set(one.path, { ...object, metadata: { ...object.metadata, resourceVersion: '1' } })
    const { metadata } = object
    const now = { ...stored.get(one.path), metadata: { ...metadata, resourceVersion: '99' }, status: { seen: 1 } }
    return [200, same ? now : object]
  })
  const text = stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { x: 'y' } })
  const [dry] = await api.applyManifest(text, 'm.yml', { dryRun: true })
  t.match(dry, { changed: true, before: undefined, ref: { namespace: 'default' } })
  t.equal(stored.size, 0)
  const [first] = await api.applyManifest(text, 'm.yml', { dryRun: false })
  t.ok(first!.changed)
  const [second] = await api.applyManifest(text, 'm.yml', { dryRun: false })
  t.notOk(second!.changed)
  const patch = asked.find(({ method }) => method === 'PATCH')!
  t.equal(patch.type, 'application/apply-patch+yaml')
  t.equal(patch.query.get('fieldManager'), 'runbook')
  t.equal(patch.query.get('force'), 'false')
})

t.test('objects of one kind are applied at once, kinds one after the other', { skip }, async (t) => {
  const patched: string[] = []
  let waiting: (() => void)[] = []
  const { api } = await fake(t, async (one) => {
    if (one.method !== 'PATCH') return discovery(one) ?? missing
    const { kind, metadata } = one.body as { kind: string; metadata: { name: string } }
    patched.push(kind)
    // The three answer only when all of them have been asked.
    if (kind === 'ConfigMap') {
      await new Promise<void>((resolve) => {
        waiting.push(resolve)
        if (waiting.length === 3) for (const go of waiting) go()
      })
      waiting = []
    }
    return metadata.name === 'bad'
      ? [422, { kind: 'Status', status: 'Failure', reason: 'Invalid', message: 'bad it is' }]
      : [200, { ...(one.body as object), metadata: { ...metadata, resourceVersion: '1' } }]
  })
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } }
  const space = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 's' } }
  const text = (...objects: object[]) => objects.map((one) => JSON.stringify(one)).join('\n---\n')
  const applied = await api.applyManifest(text(map('a'), map('b'), map('c'), node, space), 'm.yml', { dryRun: false })
  t.same(
    applied.map(({ ref }) => ref.name),
    ['s', 'a', 'b', 'c', 'n'],
    'in their order',
  )
  t.same(patched, ['Namespace', 'ConfigMap', 'ConfigMap', 'ConfigMap', 'Node'])
  patched.length = 0
  await t.rejects(
    api.applyManifest(text(map('a'), map('bad'), map('c'), node), 'm.yml', { dryRun: false }),
    /bad it is/,
  )
  t.same(patched, ['ConfigMap', 'ConfigMap', 'ConfigMap'], 'and nothing behind a failure')
})

t.test('a conflict names the other manager', { skip }, async (t) => {
  const causes = [{ reason: 'FieldManagerConflict', message: 'conflict with "kubectl" using v1', field: '.data.x' }]
  const { api } = await fake(t, (one) => {
    if (one.method !== 'PATCH') return discovery(one) ?? missing
    return [
      409,
      { kind: 'Status', status: 'Failure', reason: 'Conflict', message: 'Apply failed', details: { causes } },
    ]
  })
  await t.rejects(api.applyManifest(stringify(map('a')), 'm.yml', { dryRun: false }), {
    message: /^ConfigMap default\/a: \.data\.x belongs to "kubectl"\n.*force_conflicts/s,
  })
})

t.test('prunes only what it applied itself', { skip }, async (t) => {
  const own = [{ manager: 'runbook', operation: 'Apply' }]
  const labels = { app: 'web' }
  const present = [
    map('kept', { labels, managedFields: own }),
    map('old', { labels, managedFields: own }),
    map('theirs', { labels, managedFields: [{ manager: 'kubectl', operation: 'Apply' }] }),
    map('child', { labels, managedFields: own, ownerReferences: [{}] }),
  ]
  const { api, asked } = await fake(t, (one) => {
    if (one.path === '/api/v1/configmaps') return [200, { items: present, metadata: {} }]
    if (one.method === 'PATCH') return [200, present[0]]
    if (one.method === 'DELETE') return [200, { kind: 'Status', status: 'Success' }]
    return discovery(one) ?? missing
  })
  const options = { dryRun: false, prune: 'app=web' }
  const applied = await api.applyManifest(stringify(map('kept', { labels })), 'm.yml', options)
  t.same(
    applied.filter(({ after }) => after === undefined).map(({ ref }) => ref.name),
    ['old'],
  )
  t.same(
    asked.filter(({ method }) => method === 'DELETE').map(({ path }) => path),
    ['/api/v1/namespaces/default/configmaps/old'],
  )
  await t.rejects(api.applyManifest(stringify(map('bare')), 'm.yml', options), { message: /ConfigMap bare without it/ })
  await t.rejects(api.applyManifest(stringify(map('a')), 'm.yml', { dryRun: false, prune: 'app in (a)' }), {
    message: /cannot prune by/,
  })
})

t.test('what is sent again, and what is not', { skip }, async (t) => {
  const { api, asked } = await fake(t, (one, n) =>
    n <= 2 ? 'cut' : (discovery(one) ?? [200, { gitVersion: 'v1.34.1' }]),
  )
  t.equal(await api.version(), 'v1.34.1', 'reading is')
  t.equal(asked.length, 3)
  const other = await fake(t, (one) => (one.method === 'POST' ? 'cut' : (discovery(one) ?? missing)))
  await t.rejects(other.api.create(map('a')), KubernetesError)
  t.equal(other.asked.filter(({ method }) => method === 'POST').length, 1, 'creating is not')
})

t.test('words for trouble', { skip }, async (t) => {
  const status = (reason: string) => ({ kind: 'Status', status: 'Failure', reason, message: `${reason} it is` })
  let reply: Answer = [403, status('Forbidden')]
  const { api, text } = await fake(t, () => reply)
  await t.rejects(api.version(), {
    status: 403,
    reason: 'Forbidden',
    message: /answered 403 to GET \/version: Forbidden it is\n.*role/s,
  })
  reply = [401, 'Unauthorized']
  await t.rejects(api.version(), { status: 401, message: /expired/ })
  reply = [200, status('Odd')]
  await t.rejects(api.version(), { message: /Odd it is/ }, 'a success that is none')
  reply = [503, 'later']
  t.match(await api.notReady(), /503/)

  const dead = openCluster(await loadKubeconfig(text.replace(/127\.0\.0\.1:\d+/, '127.0.0.1:1'), 'dead'))
  t.match(await dead.notReady(), /the connection is refused/)
  const foreign = openCluster(await loadKubeconfig(text.replace(/certificate-authority-data: .*/, ''), 'foreign'))
  await t.rejects(foreign.transport.send({ path: '/version', patienceMs: 0 }), {
    message: /kubeconfig is of another cluster/,
  })
})

t.test('kubeconfigs', { skip }, async (t) => {
  const text = kubeconfig('https://10.0.0.1:6443/')
  const loaded = await loadKubeconfig(text, 'admin.conf')
  t.equal(loaded.server, 'https://10.0.0.1:6443')
  t.equal(loaded.authorities, certificate!.toString())
  t.same(loaded.secrets, ['very-secret-token'])
  const rows: readonly (readonly [text: string, says: RegExp])[] = [
    [
      text.replace('current-context: c', 'current-context: other'),
      /"other" names no cluster and user\n.*contexts in it: c/s,
    ],
    [text.replace('https://10', 'http://10'), /is not an https URL/],
    ['just text', /./],
    ['{}', /names no cluster/],
  ]
  for (const [wrong, says] of rows)
    await t.rejects(loadKubeconfig(wrong, 'admin.conf'), { name: 'UserError', message: says })
  await t.rejects(loadKubeconfigFile(join(folder, 'none')), { message: /does not exist\n.*module `kubeconfig`/s })
  writeFileSync(join(folder, 'admin.conf'), text)
  t.equal((await loadKubeconfigFile(join(folder, 'admin.conf'))).server, loaded.server)
})

/** The same words as the library's for what we read ourselves, without loading it; the library for the rest. */
t.test('credentials', { skip }, async (t) => {
  const data = certificate!.toString('base64')
  const key = readFileSync(join(folder, 'key')).toString('base64')
  const plain: readonly (readonly [cluster: Record<string, unknown>, user: Record<string, unknown>])[] = [
    [{}, {}],
    [{ 'certificate-authority-data': data }, { token: 't0' }],
    [{ 'certificate-authority': 'crt' }, { 'client-certificate': 'crt', 'client-key': 'key' }],
    [{ 'certificate-authority': join(folder, 'crt') }, { 'client-certificate-data': data, 'client-key-data': key }],
    [{ 'insecure-skip-tls-verify': true }, { username: 'u', password: 'p' }],
    [{ 'tls-server-name': 'api', 'insecure-skip-tls-verify': false, extensions: [{ name: 'x' }] }, { token: 't1' }],
  ]
  const of = (cluster: object, user: object) =>
    stringify({
      'current-context': 'c',
      clusters: [{ name: 'k', cluster: { server: 'https://10.0.0.1:6443', ...cluster } }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    })
  let loads = 0
  const hooks = registerHooks({
    resolve: (specifier, context, next) => {
      if (specifier === '@kubernetes/client-node') loads++
      return next(specifier, context)
    },
  })
  const ours = []
  for (const [cluster, user] of plain)
    ours.push(await (await loadKubeconfig(of(cluster, user), 'x', folder)).credentials())
  t.equal(loads, 0, 'no library for these')
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: 'echo',
    args: ['{"status":{"token":"of exec"}}'],
  }
  const asked = await loadKubeconfig(of({}, { exec }), 'x')
  t.match(await asked.credentials(), { headers: { Authorization: 'Bearer of exec' }, agent: undefined })
  t.equal(loads, 1, 'the library for a plugin')
  const missing = await loadKubeconfig(of({}, { exec: { ...exec, command: 'no-such-helper' } }), 'site.kubeconfig')
  await t.rejects(missing.credentials(), {
    name: 'UserError',
    message: 'site.kubeconfig gives no credentials: spawn no-such-helper ENOENT',
  })
  hooks.deregister()
  const proxied = await loadKubeconfig(of({ 'proxy-url': 'http://127.0.0.1:1' }, { token: 't' }), 'x')
  t.ok((await proxied.credentials()).agent, 'the agent of a proxy')
  t.match(await (await loadKubeconfig(of({}, { as: 'somebody' }), 'x')).credentials(), {
    headers: { 'Impersonate-User': 'somebody' },
  })

  const { KubeConfig } = await import('@kubernetes/client-node')
  const text = (value: unknown) => (value === undefined ? undefined : String(value))
  for (const [i, [cluster, user]] of plain.entries()) {
    const library = new KubeConfig()
    library.loadFromString(of(cluster, user))
    library.makePathsAbsolute(folder)
    const theirs: RequestOptions = {}
    await library.applyToHTTPSOptions(theirs)
    for (const name of ['ca', 'cert', 'key', 'auth', 'servername', 'rejectUnauthorized'] as const)
      t.equal(text(ours[i]![name]), text(theirs[name]), `${name} of ${JSON.stringify([cluster, user]).slice(0, 60)}`)
    t.same(ours[i]!.headers ?? {}, theirs.headers ?? {})
  }
  await t.rejects(loadKubeconfig(of({ 'certificate-authority': 'none' }, {}), 'x', folder), {
    name: 'UserError',
    message: /x names .*none, which cannot be read/,
  })
})
