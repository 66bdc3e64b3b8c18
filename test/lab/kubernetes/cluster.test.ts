import { readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { bareCluster, kubectl } from './cluster.ts'
import { bootKubernetesLab, ensureKubernetes, NEWEST, RELEASES } from './index.ts'
import { skipWithoutKubernetes } from './skip.ts'

const skip = skipWithoutKubernetes()
t.setTimeout(45 * 60_000) // the first run on a machine builds Kubernetes

t.test('the lab runs a real cluster', { skip, timeout: 45 * 60_000 }, async (t) => {
  const seconds = (from: number) => Math.round((performance.now() - from) / 100) / 10
  const building = performance.now()
  await ensureKubernetes([NEWEST])
  const again = performance.now()
  await ensureKubernetes([NEWEST])
  t.ok(seconds(again) < 1, 'what was built is found again at once')

  const booting = performance.now()
  await using lab = await bootKubernetesLab({ controlPlanes: 1, workers: 1 })
  t.comment(`built in ${seconds(building)} s, two hosts with images in ${seconds(booting)} s`)
  const making = performance.now()
  const timings = await bareCluster(lab)
  t.comment(`nodes Ready in ${seconds(making)} s: ${JSON.stringify(timings)} ms`)

  const columns =
    'custom-columns=:metadata.name,:status.nodeInfo.kubeletVersion,:status.nodeInfo.containerRuntimeVersion'
  const nodes = await kubectl(lab, ['get', 'nodes', '--no-headers', '-o', columns])
  const rows = nodes
    .trim()
    .split('\n')
    .map((line) => line.split(/\s+/))
  t.same(
    rows.map(([name, version]) => [name, version]),
    [
      ['n1', RELEASES[NEWEST].kubernetes],
      ['n2', RELEASES[NEWEST].kubernetes],
    ],
  )
  t.match(nodes, /containerd:\/\/1\./, 'containerd is the distribution’s')

  await kubectl(lab, ['taint', 'nodes', 'n1', 'node-role.kubernetes.io/control-plane-'])
  const manifest = await readFile(path.join(import.meta.dirname, 'manifests/web.yml'), 'utf8')
  await kubectl(lab, ['apply', '-f', '-'], { input: manifest })
  await kubectl(lab, ['rollout', 'status', 'deployment/web', '--timeout=120s'])
  const jsonpath = 'jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName} {.status.podIP}{"\\n"}{end}'
  const pods = (await kubectl(lab, ['get', 'pods', '-l', 'app=web', '-o', jsonpath])).trim().split('\n')
  const [[from, node], [to, otherNode, address]] = pods.map((line) => line.split(' ')) as [string[], string[]]
  t.not(node, otherNode, 'the two pods are on two nodes')
  const inPod = (...argv: string[]) => kubectl(lab, ['exec', from!, '--', '/test-server', ...argv])
  t.match(await inPod('get', `http://${address}:8080/`), to!, 'a pod reaches a pod on another node')
  t.match(await inPod('get', 'http://web.default.svc.cluster.local/', '60'), /^web-/, 'a service is reached by name')
  const { sent, answered } = JSON.parse(await inPod('load', 'http://web.default/', '2', '20'))
  t.ok(sent > 20)
  t.equal(answered, sent, 'no request is lost')
})
