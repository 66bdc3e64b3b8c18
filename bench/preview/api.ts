/**
 * An API server as far as a preview asks it: nodes, pods and budgets of a large cluster, in pages, and evictions that are
 * dry runs. Each node and pod is a copy of one that a real API server gave (node.json, pod.json: kubeadm 1.34, flannel),
 * so that they have its size. Arguments: private key, certificate, nodes, pods a node. Prints its port.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

const [key = '', certificate = '', nodeCount = '500', podsEach = '20'] = process.argv.slice(2)
const sample = (name: string): string => readFileSync(join(import.meta.dirname, name), 'utf8')
/** The names that stand in the samples. */
const [NODE, POD, UID] = ['sample-node', 'sample-pod', '00000000-0000-4000-8000-000000000000']

const text = {
  node: JSON.stringify(JSON.parse(sample('node.json'))),
  pod: JSON.stringify(JSON.parse(sample('pod.json'))),
}
const nodes = Array.from({ length: Number(nodeCount) }, (_, i) => `node-${i}`)
const nodeTexts = nodes.map((name) => text.node.replaceAll(NODE, name))
const podTexts = new Map(
  nodes.map((node, n) => [
    node,
    Array.from({ length: Number(podsEach) }, (_, i) =>
      text.pod
        .replaceAll(NODE, node)
        .replaceAll(POD, `web-${n}-${i}`)
        .replaceAll(UID, `${String(n).padStart(8, '0')}-${String(i).padStart(4, '0')}-4000-8000-000000000000`),
    ),
  ]),
)

const list = (kind: string, apiVersion: string, all: readonly string[], { searchParams: query }: URL): string => {
  const from = Number(query.get('continue') ?? 0)
  const to = Math.min(all.length, from + Number(query.get('limit') ?? all.length))
  const metadata = { resourceVersion: '1', ...(to < all.length ? { continue: String(to) } : {}) }
  return `{"kind":"${kind}","apiVersion":"${apiVersion}","metadata":${JSON.stringify(metadata)},"items":[${all.slice(from, to).join(',')}]}`
}

const server = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (request, response) => {
  const url = new URL(request.url!, 'https://x')
  const answer = (status: number, body: string): void => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(body)
  }
  request.resume()
  request.on('end', () => {
    const node = /^spec\.nodeName=(.*)$/.exec(url.searchParams.get('fieldSelector') ?? '')?.[1]
    if (url.pathname === '/api/v1/nodes') return answer(200, list('NodeList', 'v1', nodeTexts, url))
    if (url.pathname === '/api/v1/pods') {
      const pods = node === undefined ? [...podTexts.values()].flat() : (podTexts.get(node) ?? [])
      return answer(200, list('PodList', 'v1', pods, url))
    }
    if (url.pathname === '/apis/policy/v1/poddisruptionbudgets')
      return answer(200, list('PodDisruptionBudgetList', 'policy/v1', [], url))
    if (request.method === 'POST' && /\/pods\/[^/]+\/eviction$/.test(url.pathname))
      return answer(201, '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201}')
    answer(404, '{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}')
  })
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
