import t, { type Test } from 'tap'
import kubeadmJoin from '../../modules/kubeadm_join.ts'
import { kubeadm } from '../../src/module/index.ts'
import { certificate, pin } from './certificate.ts'
import { node, object, type World, type WorldOptions, world } from './kubeadm.ts'

const { FILES } = kubeadm

const files = (...names: (keyof typeof FILES)[]) => new Set<string>(names.map((name) => FILES[name]))
const joined = { files: files('kubelet', 'kubeletConfig', 'ca'), authority: certificate }
const config = object('ConfigMap', 'kube-system', 'kubeadm-config', {
  data: { ClusterConfiguration: 'kind: ClusterConfiguration\n' },
})

interface Row {
  readonly name: string
  readonly state: Partial<kubeadm.HostState>
  readonly objects?: WorldOptions['objects']
  readonly args?: Record<string, unknown>
  /** kubeadm's commands. */
  readonly does?: readonly string[]
  readonly fails?: RegExp
  readonly check?: (t: Test, w: World) => void
}

const rows: readonly Row[] = [
  { name: 'a clean host', state: {}, does: ['join'] },
  { name: 'one that is joined', state: joined, objects: [node('n2')], does: [] },
  {
    name: 'a join that was begun and did not end',
    state: { unfinished: 'join', files: files('bootstrap', 'ca'), authority: certificate },
    does: ['reset --force', 'join'],
  },
  {
    name: 'one that ended although we were gone',
    state: { ...joined, unfinished: 'join' },
    objects: [node('n2')],
    does: [],
  },
  {
    name: 'remains without a node and without data',
    state: { files: files('kubeletConfig', 'ca'), authority: certificate },
    does: ['reset --force', 'join'],
  },
  { name: 'a node that was deleted', state: joined, fails: /somebody deleted it.*rejoin: true/ },
  { name: 'a node that was deleted, by name', state: joined, args: { rejoin: true }, does: ['reset --force', 'join'] },
  {
    name: 'data of etcd are never thrown away unasked',
    state: { files: files('etcdData'), authority: certificate },
    fails: /rejoin: true/,
  },
  {
    name: 'a host of another cluster',
    state: { ...joined, authority: 'another', servers: { [FILES.kubelet]: 'https://10.9.9.9:6443' } },
    objects: [node('n2')],
    fails: /in another cluster, https:\/\/10\.9\.9\.9:6443.*kubeadm_reset/,
  },
  { name: 'the name of another host', state: {}, objects: [node('n2')], fails: /another host is node n2 already/ },
  {
    name: 'an old node of a host that was made anew',
    state: {},
    objects: [node('n2', { ready: false })],
    does: ['join'],
  },
  { name: 'an init was begun', state: { unfinished: 'init' }, fails: /an init was begun/ },
  {
    name: 'a worker does not become a control plane by itself',
    state: joined,
    objects: [node('n2'), config],
    args: { role: 'control_plane' },
    fails: /is a worker.*kubeadm_reset/,
  },
  {
    name: 'a control plane',
    state: {},
    objects: [config],
    args: { role: 'control_plane' },
    does: ['n1: init phase upload-certs --upload-certs', 'join'],
    check: (t, { secrets }) => t.match(secrets[0], /^[0-9a-f]{64}$/, 'the key is a secret'),
  },
  {
    name: 'half a control plane',
    state: { ...joined, unfinished: 'join' },
    objects: [node('n2', { ready: false }), config],
    args: { role: 'control_plane' },
    does: ['reset --force', 'n1: init phase upload-certs --upload-certs', 'join'],
    check: (t, { calls }) => t.ok(calls.includes('delete Node n2')),
  },
  { name: 'not root', state: { root: false }, fails: /become: true/ },
  { name: 'joined through itself', state: {}, args: { control_planes: 'n2' }, fails: /names only n2 itself/ },
]

for (const row of rows) {
  t.test(row.name, async (t) => {
    const w = world(row.state, {
      objects: row.objects ?? [],
      api: { authorities: certificate },
      kubeadm: (argv, objects) => {
        if (argv.startsWith('reset')) return { state: { files: new Set<string>(), unfinished: undefined } }
        if (argv !== 'join') return {}
        const plane = row.args?.role === 'control_plane'
        if (!objects.some((o) => o.kind === 'Node' && o.metadata.name === 'n2')) objects.push(node('n2', { plane }))
        return { state: { files: plane ? files('kubelet', 'apiServer') : files('kubelet'), authority: certificate } }
      },
    })
    const args = kubeadmJoin.args.parse({ control_planes: 'n1', ...row.args })
    if (row.fails) {
      await t.rejects(kubeadmJoin.run(w.ctx, args), { message: row.fails })
      t.same(w.commands, [], 'nothing is touched')
      return
    }
    const result = await kubeadmJoin.run(w.ctx, args)
    t.same(w.commands, row.does)
    t.equal(result.changed, row.does!.length > 0)
    const made = w.calls.filter((call) => call.startsWith('create Secret bootstrap-token-'))
    const deleted = w.calls.filter((call) => call.startsWith('delete Secret bootstrap-token-'))
    t.equal(made.length, row.does!.includes('join') ? 1 : 0, 'a token a join')
    t.same(deleted.length, made.length, 'and it is deleted')
    row.check?.(t, w)
  })
}

t.test('the token of a run that died goes with the next', async (t) => {
  const lost = kubeadm.tokenSecret(
    { id: 'abcdef', secret: 'x' },
    { ttlSeconds: 900, description: 'runbook: join of n2' },
  )
  const other = kubeadm.tokenSecret(
    { id: 'uvwxyz', secret: 'x' },
    { ttlSeconds: 900, description: 'runbook: join of n3' },
  )
  const w = world({}, { objects: [lost, other], api: { authorities: certificate }, kubeadm: () => ({ rc: 1 }) })
  await t.rejects(kubeadmJoin.run(w.ctx, kubeadmJoin.args.parse({ control_planes: 'n1' })))
  t.ok(w.calls.includes('delete Secret bootstrap-token-abcdef'))
  t.notOk(w.calls.includes('delete Secret bootstrap-token-uvwxyz'))
})

t.test('a kubeadm that fails says why, and the token goes', async (t) => {
  const output = 'error execution phase preflight:\n\t[ERROR Swap]: running with swap on is not supported\n'
  const w = world({}, { api: { authorities: certificate }, kubeadm: () => ({ rc: 1, output }) })
  await t.rejects(kubeadmJoin.run(w.ctx, kubeadmJoin.args.parse({ control_planes: 'n1' })), {
    message: /kubeadm join ended with 1: Swap: running with swap on is not supported\n.*kubernetes_host/s,
  })
  t.equal(w.calls.length, 2)
})

t.test('the pin is that of openssl', async (t) => {
  t.same(kubeadm.publicKeyPins(`${certificate}\n${certificate}`), [pin, pin])
  t.same(kubeadm.publicKeyPins(''), [])
})
