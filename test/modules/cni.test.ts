/** Manifests as flannel, Calico and Cilium ship them, by what of them counts here. Against a real API: the Kubernetes suites. */
import { createHash } from 'node:crypto'
import t from 'tap'
import cni from '../../modules/cni.ts'
import type { AppliedObject, KubeObject } from '../../src/shared/kubernetes.ts'
import { node, type WorldOptions, world } from './kubeadm.ts'

const flannel = (network: string) => `kind: ConfigMap
apiVersion: v1
metadata: { name: kube-flannel-cfg, namespace: kube-flannel }
data:
  net-conf.json: |
    {
      "Network": "${network}",
      "EnableNFTables": false,
      "Backend": { "Type": "vxlan" }
    }
`
/** Lines of the environment of calico-node. */
const calico = (pool: string) => `apiVersion: apps/v1
kind: DaemonSet
metadata: { name: calico-node, namespace: kube-system }
spec:
  template:
    spec:
      containers:
        - name: calico-node
          env:
            # chosen from this range. Changing this value after installation will have
            # no effect. This should fall within \`--cluster-cidr\`.
${pool}
            - name: CALICO_DISABLE_FILE_LOGGING
              value: "true"
`
const SHIPPED = '            # - name: CALICO_IPV4POOL_CIDR\n            #   value: "192.168.0.0/16"'
const SET = SHIPPED.replaceAll('# ', '')
const CILIUM = `apiVersion: v1
kind: ConfigMap
metadata: { name: cilium-config, namespace: kube-system }
data:
  ipam: "cluster-pool"
  cluster-pool-ipv4-cidr: "10.0.0.0/8"
  cluster-pool-ipv4-mask-size: "24"
`

/** A manifest beside the playbook, and what the cluster makes of it. */
function apply(text: string, args: object, options: WorldOptions = {}) {
  const { ctx } = world({}, { objects: [node('n1')], ...options })
  const loadFile = async () => ({ content: Buffer.from(text) }) as never
  return cni.run({ ...ctx, loadFile }, cni.args.parse({ manifest: 'cni.yml', timeout: 1, ...args }))
}

const rows: readonly [name: string, manifest: string, podSubnet: string, refused?: RegExp][] = [
  ['flannel', flannel('10.244.0.0/16'), '10.244.0.0/16'],
  ['flannel of two families', flannel('10.244.0.0/16'), '10.244.0.0/16,fd00:10::/56'],
  [
    'flannel of another network',
    flannel('10.244.0.0/16'),
    '10.10.0.0/16',
    /cni\.yml has the pod network 10\.244\.0\.0\/16, the cluster 10\.10\.0\.0\/16/,
  ],
  ['Calico as it is shipped takes kubeadm’s', calico(SHIPPED), '10.244.0.0/16'],
  ['Calico with its pool', calico(SET), '192.168.0.0/16'],
  ['Calico with another pool', calico(SET), '10.244.0.0/16', /pod network 192\.168\.0\.0\/16, the cluster 10\.244/],
  ['Cilium has pools of its own', CILIUM, '10.244.0.0/16'],
  ['nobody says', flannel('10.244.0.0/16'), ''],
]
for (const [name, manifest, pod_subnet, refused] of rows) {
  t.test(name, async (t) => {
    const given: string[] = []
    const applyManifest = async (text: string) => {
      given.push(text)
      return []
    }
    const applied = apply(manifest, { pod_subnet }, { api: { applyManifest } })
    if (refused) await t.rejects(applied, { message: refused })
    else t.match(await applied, { changed: false })
    t.same(given, refused ? [] : [manifest], refused ? 'nothing is touched' : 'the whole manifest is applied')
  })
}

t.test('a checksum', async (t) => {
  const sha256 = createHash('sha256').update(CILIUM).digest('hex')
  await apply(CILIUM, { sha256 })
  const zero = '0'.repeat(64)
  await t.rejects(apply(CILIUM, { sha256: zero }), { message: `cni.yml has the checksum ${sha256}, expected ${zero}` })
})

t.test('a URL that nobody serves', async (t) => {
  await t.rejects(apply('', { manifest: 'http://127.0.0.1:9/calico.yaml' }), {
    message: /^http:\/\/127\.0\.0\.1:9\/calico\.yaml cannot be fetched: .*; without a way out, name a file$/,
  })
})

t.test('workloads are waited for; the failure says which and why', async (t) => {
  const daemons = (available: number): KubeObject => ({
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'calico-node', namespace: 'kube-system', generation: 1 },
    status: { observedGeneration: 1, desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberAvailable: available },
  })
  const ref = { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'calico-node', namespace: 'kube-system' }
  const applyManifest = async (): Promise<AppliedObject[]> => [
    { ref, changed: true, before: undefined, after: daemons(0) },
  ]
  let looks = 0
  const comes = { applyManifest, get: async () => daemons(looks++ < 3 ? 1 : 2) }
  t.match(await apply(calico(SHIPPED), {}, { api: comes }), {
    changed: true,
    changes: [{ summary: 'create DaemonSet kube-system/calico-node' }],
  })
  t.equal(looks, 4)
  const message = 'container runtime network not ready: NetworkReady=false … cni plugin not initialized'
  const stuck = { ...node('n2'), status: { conditions: [{ type: 'Ready', status: 'False', message }] } }
  const never = { applyManifest, get: async () => daemons(1) }
  await t.rejects(apply(calico(SHIPPED), {}, { api: never, objects: [stuck] }), {
    message: /^DaemonSet kube-system\/calico-node runs on 1 of 2 after 1 s\n {2}n2: .*no pod network yet/,
  })
})
