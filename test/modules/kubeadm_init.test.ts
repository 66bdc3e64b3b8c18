import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import kubeadmInit from '../../modules/kubeadm_init.ts'
import { KubernetesError, kubeadm } from '../../src/module/index.ts'
import { certificate } from './certificate.ts'
import { node, object, type World, world } from './kubeadm.ts'

const { FILES } = kubeadm
const files = (...names: (keyof typeof FILES)[]) => new Set<string>(names.map((name) => FILES[name]))
const whole = [
  node('n2', { plane: true }),
  object('ConfigMap', 'kube-system', 'kubeadm-config'),
  object('ConfigMap', 'kube-public', 'cluster-info'),
  object('Deployment', 'kube-system', 'coredns'),
  object('DaemonSet', 'kube-system', 'kube-proxy'),
]
// Nobody listens there.
const args = { kubernetes_version: 'v1.34.4', endpoint: '127.0.0.1:1', advertise_address: '127.0.0.1' }
const admin = { files: files('admin', 'kubelet', 'ca'), servers: { [FILES.admin]: 'https://127.0.0.1:1' } }
const unreachable = { get: () => Promise.reject(new KubernetesError('the API cannot be reached')) }
const forbidden = { get: () => Promise.reject(new KubernetesError('answered 403', { status: 403 })) }

interface Row {
  readonly name: string
  readonly state: Partial<kubeadm.HostState>
  readonly objects?: typeof whole
  readonly args?: Record<string, unknown>
  readonly version?: string
  readonly api?: object
  readonly does?: readonly string[]
  readonly fails?: RegExp
  readonly check?: (t: Test, w: World) => void
}

const INIT = ['init --skip-token-print']

const rows: readonly Row[] = [
  { name: 'a clean host', state: {}, does: INIT },
  { name: 'one that is done', state: admin, objects: whole, does: [] },
  {
    name: 'an init that did not end is gone on with',
    state: { ...admin, unfinished: 'init' },
    objects: whole.slice(1),
    does: INIT,
  },
  {
    name: 'so is one that came as far as an API without rights',
    state: { ...admin, unfinished: 'init' },
    api: forbidden,
    fails: /kubeadm init has ended, but the API says otherwise: answered 403/,
  },
  {
    name: 'a control plane whose API is down is not made anew',
    state: admin,
    api: unreachable,
    fails: /has been made a control plane of https:\/\/127\.0\.0\.1:1, but the API cannot be reached.*node doctor/,
  },
  {
    name: 'a control plane that somebody took parts from',
    state: admin,
    objects: whole.slice(0, -1),
    fails: /has no kube-proxy \(addon\)/,
  },
  {
    name: 'a cluster without kube-proxy, as wanted',
    state: admin,
    objects: whole.slice(0, -1),
    args: { skip_phases: ['addon/kube-proxy'] },
    does: [],
  },
  {
    name: 'another cluster',
    state: { ...admin, servers: { [FILES.admin]: 'https://10.9.9.9:6443' } },
    fails: /control plane of another cluster, https:\/\/10\.9\.9\.9:6443/,
  },
  {
    name: 'a worker',
    state: { files: files('kubelet'), servers: { [FILES.kubelet]: 'https://10.9.9.9:6443' } },
    fails: /is a node of https:\/\/10\.9\.9\.9:6443 already/,
  },
  {
    name: 'remains',
    state: { files: files('etcdData') },
    fails: /has remains of a cluster \(\/var\/lib\/etcd\/member\)/,
  },
  { name: 'kubeadm of another minor', state: {}, version: 'v1.36.0', fails: /kubeadm is v1\.36\.0/ },
]

for (const row of rows) {
  t.test(row.name, async (t) => {
    const w = world(row.state, {
      objects: row.objects ?? [],
      version: row.version ?? 'v1.34.4',
      api: { authorities: certificate, ...row.api },
      kubeadm: (_argv, objects) => {
        objects.splice(0, objects.length, ...whole)
        return { state: { ...admin, unfinished: undefined } }
      },
    })
    const given = kubeadmInit.args.parse({ ...args, ...row.args })
    if (row.fails) {
      await t.rejects(kubeadmInit.run(w.ctx, given), { message: row.fails })
      if (row.state.unfinished === undefined) t.same(w.commands, [], 'nothing is touched')
      return
    }
    const result = await kubeadmInit.run(w.ctx, given)
    t.same(w.commands, row.does)
    t.equal(result.changed, row.does!.length > 0)
    t.match(result.data, { node: 'n2', endpoint: '127.0.0.1:1', ca_cert_hashes: [/^sha256:/] })
  })
}

t.test('a virtual IP that somebody has', async (t) => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  server.close()
  const given = kubeadmInit.args.parse({
    ...args,
    endpoint: `127.0.0.1:${port}`,
    virtual_ip: '127.0.0.1',
    advertise_address: '10.0.0.11',
  })
  const w = world({})
  await t.rejects(kubeadmInit.run(w.ctx, given), { message: /virtual IP 127\.0\.0\.1 is in use/ })
  t.same(w.commands, [])
})
