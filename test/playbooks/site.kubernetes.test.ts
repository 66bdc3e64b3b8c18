/**
 * From booted hosts to a cluster by site.yml, a drain on its API, a worker out and in again: the short form that every
 * change has to pass (suite `kubernetes-short`).
 */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { CNI_CHECK } from '../../src/module/node/checks.ts'
import { kubectl } from '../lab/kubernetes/cluster.ts'
import { skipWithoutKubernetes } from '../lab/kubernetes/skip.ts'
import { ROOT } from './runbook.ts'
import { allReady, bootSite, converges, nothingToDo, RESET, SITE, succeeded } from './site.ts'

const HOUR = 60 * 60_000
t.setTimeout(HOUR)

const HELLO = path.join(ROOT, 'test/lab/kubernetes/manifests/hello.yml')
const WEB = path.join(ROOT, 'test/lab/kubernetes/manifests/web.yml')

/** Lets no pod of `web` go, ever. */
const LOCK = JSON.stringify({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name: 'web' },
  spec: { maxUnavailable: 0, selector: { matchLabels: { app: 'web' } } },
})

t.test('site.yml', { skip: skipWithoutKubernetes(), timeout: HOUR }, async (t) => {
  await using site = await bootSite({ controlPlanes: 1, workers: 1 })
  const { lab, runbook } = site
  const n2 = async () => JSON.parse(await kubectl(lab, ['get', 'node', 'n2', '-o', 'json']))

  await t.test('from booted hosts to Ready', async (t) => {
    const { seconds, scripts } = await converges(t, site, SITE)
    t.comment(`${seconds.toFixed(1)} s, ${scripts} scripts a host at most`)
  })
  await t.test('a second run', (t) => nothingToDo(t, site, SITE))

  await t.test('pods reach each other across nodes', async (t) => {
    await kubectl(lab, ['apply', '-f', '-'], { input: await readFile(HELLO, 'utf8') })
    await kubectl(lab, ['rollout', 'status', 'daemonset/hello', '--timeout=600s'])
    const jsonpath = 'jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName} {.status.podIP}{"\\n"}{end}'
    const lines = (await kubectl(lab, ['get', 'pods', '-l', 'app=hello', '-o', jsonpath])).trim().split('\n')
    const [[from, node], [to, other, address]] = lines.map((line) => line.split(' ')) as [string[], string[]]
    t.not(node, other, 'there is one on each node')
    const url = `http://${address}:8080/`
    t.match(await kubectl(lab, ['exec', from!, '--', '/test-server', 'get', url, '120']), to!)
    await kubectl(lab, ['taint', 'nodes', 'n1', 'node-role.kubernetes.io/control-plane-'])
    await kubectl(lab, ['apply', '-f', '-'], { input: await readFile(WEB, 'utf8') })
    await kubectl(lab, ['rollout', 'status', 'deployment/web', '--timeout=600s'])
  })

  await t.test('a node gives a pod its network, as it is asked after a boot', async (t) => {
    for (const script of [CNI_CHECK, CNI_CHECK.replaceAll('crictl', 'no-crictl')]) {
      const { rc, stdout, stderr } = await lab.lab.exec('n2', ['sh', '-c', script])
      t.equal(rc, 0, stdout + stderr)
      t.match(stdout, /^10\.244\.\d+\.\d+$/m)
    }
    t.equal((await lab.lab.exec('n2', ['sh', '-c', 'crictl pods -q --namespace runbook 2>/dev/null'])).stdout, '')
  })

  await t.test('a drain that a budget forbids touches nothing', async (t) => {
    await kubectl(lab, ['delete', 'pdb', 'web'])
    await kubectl(lab, ['apply', '-f', '-'], { input: LOCK })
    await kubectl(lab, ['wait', '--for=jsonpath={.status.expectedPods}=2', 'pdb/web', '--timeout=120s'])
    const refused = await runbook('run', 'n2', 'drain', 'control_planes=n1', 'timeout=15')
    t.equal(refused.rc, 2)
    t.match(refused.failed[0]?.msg, /default\/web-\S+: .*budget.*web/i)
    t.notOk((await n2()).spec.unschedulable)
    await kubectl(lab, ['apply', '-f', '-'], { input: await readFile(WEB, 'utf8') })
    await kubectl(lab, ['wait', '--for=jsonpath={.status.disruptionsAllowed}=1', 'pdb/web', '--timeout=120s'])
  })

  await t.test('drained and back', async (t) => {
    const drained = await runbook('run', 'n2', 'drain', 'control_planes=n1', 'reason=a new disk', 'timeout=600')
    succeeded(t, drained)
    t.equal(drained.changed.length, 1)
    const { spec, metadata } = await n2()
    t.equal(spec.unschedulable, true)
    t.match(JSON.parse(metadata.annotations['runbook/cordoned']), { reason: 'a new disk', before: false })
    const owned = 'jsonpath={range .items[*]}{.metadata.ownerReferences[0].kind} {.metadata.name}{"\\n"}{end}'
    const left = await kubectl(lab, ['get', 'pods', '-A', '--field-selector', 'spec.nodeName=n2', '-o', owned])
    t.notMatch(left, /^(?!DaemonSet )./m, 'only pods of DaemonSets are left')
    const again = await runbook('run', 'n2', 'drain', 'control_planes=n1')
    t.match(again, { rc: 0, changed: [] }, 'nothing to do the second time')
    const back = await runbook('run', 'n2', 'uncordon', 'control_planes=n1')
    succeeded(t, back)
    const after = await n2()
    t.notOk(after.spec.unschedulable)
    t.notOk(after.metadata.annotations['runbook/cordoned'])
  })

  await t.test('a worker is reset by name, and joins again', async (t) => {
    succeeded(t, await runbook('apply', RESET, '-e', 'nodes=n2'))
    t.notMatch(await kubectl(lab, ['get', 'nodes']), /n2/)
    const { stdout } = await site.exec('n2', 'ls /sys/class/net /etc/cni/net.d; iptables-save')
    t.notMatch(stdout, /cni0|flannel|KUBE-/)
    succeeded(t, await runbook('apply', SITE))
    await allReady(t, site)
  })
})
