/** A world behind HTTPS, for the program as a user starts it, and for kubectl beside it. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { World } from './world.ts'

export interface Served {
  readonly url: string
  readonly kubeconfig: string
  close(): void
}

const verbs = ['get', 'list', 'patch', 'delete', 'create']
const RESOURCES: Readonly<Record<string, readonly object[]>> = {
  '/api/v1': [
    { name: 'nodes', singularName: 'node', kind: 'Node', namespaced: false, verbs },
    { name: 'pods', singularName: 'pod', kind: 'Pod', namespaced: true, verbs },
    {
      name: 'pods/eviction',
      singularName: '',
      kind: 'Eviction',
      group: 'policy',
      version: 'v1',
      namespaced: true,
      verbs: ['create'],
    },
  ],
  '/apis/apps/v1': [{ name: 'daemonsets', singularName: 'daemonset', kind: 'DaemonSet', namespaced: true, verbs }],
  '/apis/policy/v1': [
    {
      name: 'poddisruptionbudgets',
      singularName: 'poddisruptionbudget',
      kind: 'PodDisruptionBudget',
      namespaced: true,
      verbs,
    },
  ],
}
const groups = ['apps', 'policy'].map((name) => {
  const version = { groupVersion: `${name}/v1`, version: 'v1' }
  return { name, versions: [version], preferredVersion: version }
})
const DISCOVERY: Readonly<Record<string, object>> = {
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups },
  '/version': { major: '1', minor: '32', gitVersion: 'v1.32.4' },
  ...Object.fromEntries(
    Object.entries(RESOURCES).map(([path, resources]) => [
      path,
      { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: path.replace(/^\/apis?\//, ''), resources },
    ]),
  ),
}

/** Undefined when there is no openssl to make a certificate with. */
export async function serve(world: World, folder: string): Promise<Served | undefined> {
  const [key, crt] = [join(folder, 'key'), join(folder, 'crt')]
  const request = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test'.split(' ')
  const made = spawnSync('openssl', [...request, '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', crt])
  if (made.status !== 0) return undefined
  const cert = readFileSync(crt)
  const server = createServer({ key: readFileSync(key), cert }, async (incoming, response) => {
    const url = new URL(incoming.url!, 'https://x')
    let text = ''
    for await (const chunk of incoming) text += chunk
    const send = (status: number, body: unknown, headers: Record<string, string> = {}): void => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify(body))
    }
    const known = DISCOVERY[url.pathname]
    if (known) return send(200, known)
    const reply = world.handle({
      method: incoming.method!,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      // kubectl sends empty DeleteOptions as protobuf.
      body: incoming.headers['content-type']?.includes('json') && text !== '' ? JSON.parse(text) : undefined,
      contentType: incoming.headers['content-type'],
    })
    if (reply === 'hang') return
    if (reply === 'cut') return void incoming.socket.destroy()
    send(reply.status, reply.body, reply.retryAfter === undefined ? {} : { 'retry-after': String(reply.retryAfter) })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const kubeconfig = join(folder, 'kubeconfig')
  const cluster = { server: url, 'certificate-authority-data': cert.toString('base64') }
  writeFileSync(
    kubeconfig,
    // JSON is YAML.
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'c',
      clusters: [{ name: 'k', cluster }],
      users: [{ name: 'u', user: { token: 'very-secret-token' } }],
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    }),
    { mode: 0o600 },
  )
  return {
    url,
    kubeconfig,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
