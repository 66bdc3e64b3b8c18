import t from 'tap'
import k8sNode from '../../modules/k8s_node.ts'
import waitForNode from '../../modules/wait_for_node.ts'
import { KubernetesError, kubeadm } from '../../src/module/index.ts'
import { node, world } from './kubeadm.ts'

const busy = { key: 'busy', effect: 'NoSchedule' }
const labelled = { ...node('n2'), metadata: { name: 'n2', resourceVersion: '7', labels: { a: '1', b: '2' } } }
const tainted = { ...node('n2'), spec: { taints: [busy], unschedulable: true } }

const rows: readonly (readonly [
  name: string,
  args: object,
  present: ReturnType<typeof node>,
  patch: object | undefined,
])[] = [
  [
    'labels that differ',
    { labels: { a: '1', b: null, c: '3' } },
    labelled,
    { metadata: { labels: { b: null, c: '3' } }, spec: {} },
  ],
  [
    'nothing to do',
    { labels: { a: '1', z: null }, taints: [busy], unschedulable: true },
    { ...labelled, ...{ spec: tainted.spec } },
    undefined,
  ],
  [
    'a taint more, guarded by the version',
    { taints: [{ key: 'x', value: 'y', effect: 'NoExecute' }] },
    tainted,
    { metadata: { resourceVersion: '7' }, spec: { taints: [busy, { key: 'x', value: 'y', effect: 'NoExecute' }] } },
  ],
  [
    'a taint of another value is replaced',
    { taints: [{ ...busy, value: 'v' }] },
    tainted,
    { metadata: { resourceVersion: '7' }, spec: { taints: [{ key: 'busy', value: 'v', effect: 'NoSchedule' }] } },
  ],
  [
    'a taint less',
    { remove_taints: ['busy:NoSchedule'] },
    tainted,
    { metadata: { resourceVersion: '7' }, spec: { taints: [] } },
  ],
  ['another effect stays', { remove_taints: ['busy:NoExecute'] }, tainted, undefined],
  ['uncordon', { unschedulable: false }, tainted, { spec: { unschedulable: null } }],
  ['cordon', { unschedulable: true }, labelled, { spec: { unschedulable: true } }],
]

for (const [name, args, present, patch] of rows) {
  t.test(name, async (t) => {
    const { ctx, calls } = world({}, { objects: [present] })
    const parsed = k8sNode.args.parse(args)
    const preview = await k8sNode.preview!({ ...ctx, check: true }, parsed)
    t.same(calls, [], 'check mode touches nothing')
    const result = await k8sNode.run(ctx, parsed)
    t.equal(result.changed, patch !== undefined)
    t.same(preview.changes, result.changes)
    t.same(calls, patch === undefined ? [] : [`patch Node n2 ${JSON.stringify(patch)}`])
  })
}

t.test('a node that somebody changes at the same time is read again', async (t) => {
  let tries = 0
  const patch = async () => {
    if (++tries < 3) throw new KubernetesError('changed', { status: 409 })
    return labelled
  }
  const { ctx } = world({}, { objects: [labelled], api: { patch } })
  t.ok((await k8sNode.run(ctx, k8sNode.args.parse({ labels: { x: 'y' } }))).changed)
  t.equal(tries, 3)
  await t.rejects(k8sNode.run(world({}).ctx, k8sNode.args.parse({ labels: { x: 'y' } })), { message: /has no node n2/ })
})

t.test('waiting says what it waits for', async (t) => {
  const message =
    'container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized'
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'kube-flannel-ds-x', namespace: 'kube-flannel' },
    status: {
      initContainerStatuses: [{ name: 'i', ready: false, state: { waiting: { reason: 'ImagePullBackOff' } } }],
    },
  }
  const { ctx } = world({}, { objects: [node('n2', { ready: false, message }), pod] })
  await t.rejects(waitForNode.run(ctx, waitForNode.args.parse({ timeout: 0 })), {
    message:
      /not Ready after 0 s: n2: .*cni plugin not initialized - no pod network yet: .*role cni.*kube-flannel-ds-x: ImagePullBackOff/s,
  })
  const ready = world({}, { objects: [node('n2')] })
  const done = await waitForNode.run(ready.ctx, waitForNode.args.parse({ kubelet_version: '1.34.4' }))
  t.match(done, { changed: false, data: { nodes: [{ name: 'n2', kubelet: 'v1.34.4', schedulable: true }] } })
  await t.rejects(waitForNode.run(ready.ctx, waitForNode.args.parse({ timeout: 0, kubelet_version: 'v1.35.0' })), {
    message: /kubelet is v1\.34\.4, not v1\.35\.0/,
  })
  t.equal(
    kubeadm.nodeStatus(node('n2', { ready: false, message: 'PLEG is not healthy' })).why.includes('containerd'),
    true,
  )
})
