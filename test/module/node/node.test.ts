/** The pure parts of the node cycle: what is read of a host, in which order things stop, what silence and boots mean. */
import t from 'tap'
import { node } from '../../../src/module/index.ts'

const OLD = '11111111-1111-1111-1111-111111111111'
const NEW = '22222222-2222-2222-2222-222222222222'

t.test('what a host tells', async (t) => {
  const look = node.parseLook(`boot ${OLD}
uid 0
systemd
state degraded
unit kubelet loaded active
unit containerd not-found inactive
failed smartd.service
inhibit Unattended Upgrades Shutdown 0 root 812 unattended-upgr shutdown Stop ongoing upgrades or perform upgrades before shutdown delay
inhibit dpkg 0 root 99 dpkg shutdown:sleep Package installation under way block
inhibit NetworkManager 0 root 5 NetworkManager sleep Turns off networks block
containerd containerd github.com/containerd/containerd 1.5.10 abc
joined
ext4 sda2 3
card eth0 aa:bb:cc:dd:ee:ff pumbg
mount 30 1 8:2 / / rw - ext4 /dev/sda2 rw
mount 31 30 0:40 / /run/containerd/io.containerd.runtime.v2.task/k8s.io/x/rootfs rw - overlay overlay rw
mount 32 30 0:41 / /var/lib/kubelet/pods/u/volumes/a\\040b rw - tmpfs tmpfs rw
mount 33 32 0:42 / /var/lib/kubelet/pods/u/volumes/a\\040b/deeper/still rw - nfs4 srv:/x rw
mount 34 30 0:4 / /run/netns/cni-1 rw shared:1 - nsfs nsfs rw
mount 35 30 0:43 / /run/containerd rw - tmpfs tmpfs rw
`)
  t.match(look, {
    bootId: OLD,
    root: true,
    state: 'degraded',
    kubelet: 'active',
    containerd: undefined,
    joined: true,
    failedUnits: ['smartd.service'],
    ext4Errors: { sda2: 3 },
    inhibitors: ['dpkg (process 99 dpkg): Package installation under way'],
    goingDown: false,
    cards: [{ name: 'eth0', mac: 'aa:bb:cc:dd:ee:ff', supports: 'pumbg' }],
  })
  t.ok(node.hasOldShims(look.containerdVersion))
  t.same(node.containerMounts(look), [
    '/var/lib/kubelet/pods/u/volumes/a b/deeper/still',
    '/var/lib/kubelet/pods/u/volumes/a b',
    '/run/containerd/io.containerd.runtime.v2.task/k8s.io/x/rootfs',
    '/run/netns/cni-1',
  ])
  t.same(
    node.networkMounts(look).map(({ source }) => source),
    ['srv:/x'],
  )
  t.throws(() => node.parseLook('boot cat: No such file'), /does not give its boot_id/)
})

t.test('shims that ignore SIGTERM', async (t) => {
  for (const [version, old] of [
    ['1.4.13', true],
    ['1.5.10', true],
    ['1.5.11', false],
    ['1.6.20', false],
    ['2.1.0', false],
    [undefined, false],
  ] as const)
    t.equal(node.hasOldShims(version), old, String(version))
})

t.test('pods of crictl, in the order in which they stop', async (t) => {
  const container = (id: string, podSandboxId: string, grace?: number) => ({
    id,
    podSandboxId,
    annotations: grace === undefined ? {} : { 'io.kubernetes.pod.terminationGracePeriod': String(grace) },
  })
  const pod = (id: string, namespace: string, name: string) => ({ id, metadata: { namespace, name } })
  const { tool, pods } = node.parsePods(`@crictl
@pods
${JSON.stringify({ items: [pod('e', 'kube-system', 'etcd-n1'), pod('p', 'kube-system', 'kube-proxy-x'), pod('w', 'shop', 'etcd')] }, undefined, 2)}
@containers
${JSON.stringify({ containers: [container('e1', 'e'), container('p1', 'p', 40), container('w1', 'w', 90), container('w2', 'w', 90)] })}
@network e NODE
@network p 2
@network w POD
`)
  t.equal(tool, 'crictl')
  t.same(
    node.podGroups(pods).map((group) => [group.name, group.pods.map(({ name, grace }) => [name, grace])]),
    [
      ['pod network', [['etcd', 90]]],
      ['host network', [['kube-proxy-x', 40]]],
      ['etcd', [['etcd-n1', 30]]],
    ],
  )
  t.same(pods[2]?.containers, ['w1', 'w2'])
  t.equal(node.groupSeconds({ name: 'pod network', pods }), 120)
  t.same(node.parsePods('@crictl\n@pods\n{"items":[]}\n@containers\n{"containers":[]}\n').pods, [])
  t.same(node.parsePods('@none\n'), { tool: 'none', pods: [] })
  t.throws(() => node.parsePods('@crictl\n@pods\n{"items":\n@containers\n{}'), /makes no sense/)
})

t.test('pods of ctr', async (t) => {
  const metadata = Buffer.from(
    JSON.stringify({ Metadata: { Config: { annotations: { 'io.kubernetes.pod.terminationGracePeriod': '15' } } } }),
  ).toString('base64')
  const labels = (name: string, kind: string) => ({
    'io.kubernetes.pod.namespace': 'shop',
    'io.kubernetes.pod.name': name,
    'io.kubernetes.pod.uid': name,
    'io.cri-containerd.kind': kind,
  })
  const infos = [
    {
      ID: 's',
      Labels: labels('web', 'sandbox'),
      Extensions: null,
      Spec: { linux: { namespaces: [{ type: 'network' }] } },
    },
    {
      ID: 'c',
      Labels: labels('web', 'container'),
      Extensions: { 'io.cri-containerd.container.metadata': { value: metadata } },
    },
    { ID: 'bare', Labels: null, Extensions: null, Spec: { linux: { namespaces: [{ type: 'pid' }] } } },
  ]
  const text = infos.map((info) => `@info ${info.ID}\n${JSON.stringify(info, undefined, 4)}\n`).join('')
  t.same(node.parsePods(`@ctr\n${text}`), {
    tool: 'ctr',
    pods: [
      { id: 's', namespace: 'shop', name: 'web', network: 'pod', grace: 15, containers: ['c'] },
      { id: 'bare', namespace: '', name: 'bare', network: 'host', grace: 30, containers: ['bare'] },
    ],
  })
})

t.test('what to do with a host that answers', async (t) => {
  const now = 1_700_000_000_000
  const record = (change: Partial<node.CycleRecord>): node.CycleRecord => ({
    cycle: 'maintain',
    run: 'r1',
    begun: now - 60_000,
    bootId: OLD,
    phase: 'sent',
    joined: true,
    kubernetes: true,
    ran: [],
    failedUnits: [],
    ext4Errors: {},
    ...change,
  })
  for (const [what, given, boot, expected] of [
    ['nothing is remembered', undefined, OLD, 'begin'],
    ['looked at, same boot', record({ phase: 'begun' }), OLD, 'go_on'],
    ['sent, same boot', record({}), OLD, 'go_on'],
    ['sent by another kind, same boot', record({ cycle: 'shutdown' }), OLD, 'go_on'],
    ['sent, new boot', record({}), NEW, 'is_back'],
    ['off, new boot', record({ phase: 'off' }), NEW, 'is_back'],
    ['stopped, new boot: it crashed', record({ phase: 'stopped' }), NEW, 'begin'],
    ['off by another kind, new boot', record({ phase: 'off', cycle: 'shutdown' }), NEW, 'begin'],
    ['it rested, new boot', record({ phase: 'off', rests: true }), NEW, 'begin'],
    ['two days ago, new boot', record({ phase: 'off', begun: now - 48 * 3_600_000 }), NEW, 'begin'],
  ] as const)
    t.equal(node.continuation(given, 'maintain', boot, now), expected, what)
})

t.test('what silence means', async (t) => {
  const heard = (ping: boolean | undefined, arp: boolean | undefined): node.Heard => ({ ping, arp })
  for (const [before, now, silent] of [
    [heard(true, true), heard(false, false), true],
    [heard(true, true), heard(true, false), false],
    [heard(true, true), heard(false, true), false],
    [heard(true, true), heard(undefined, false), false],
    [heard(undefined, undefined), heard(undefined, undefined), true],
    [heard(false, undefined), heard(false, undefined), true],
  ] as const)
    t.equal(node.judgeSilence(before, now, 'refused').silent, silent, JSON.stringify([before, now]))
  t.match(node.diagnoseAbsence('silent', 'on', true, 'n1'), /emergency mode/)
  t.match(node.diagnoseAbsence('silent', 'off', undefined, 'n1'), /runbook power on n1/)
  t.match(node.diagnoseAbsence('refuses', 'on', true, 'n1'), /nologin/)
  t.match(node.diagnoseAbsence('up', 'on', true, 'n1'), /never went down/)
})
