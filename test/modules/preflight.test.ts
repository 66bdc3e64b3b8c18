/** Every check by itself: a host that is well, and what each change of it makes of it. */
import t from 'tap'
import preflight from '../../modules/preflight.ts'
import type { Facts } from '../../src/module/preflight/facts.ts'
import { judge, look, parseSeen, type Seen, type Wanted } from '../../src/module/preflight/index.ts'
import { act, actionContext, inEachShell } from './drive.ts'

const there = { present: true, builtIn: false, available: true }
const gone = { present: false, builtIn: false, available: false }

const WANTED: Wanted = {
  kubernetesVersion: 'v1.34.1',
  role: 'control_plane',
  endpoint: '10.0.0.10:6443',
  virtualIp: '10.0.0.10',
  hostname: undefined,
  bindPort: 6443,
  kubeProxyMode: 'iptables',
  supportedOs: { debian: '11', ubuntu: '20.04' },
  minCpus: 2,
  minMemoryMb: 1700,
  minDiskGb: { '/var/lib/containerd': 10 },
  maxClockSkew: 5,
  swap: 'off',
  upgrade: false,
  names: [],
  urls: [],
  mirrors: [],
  peers: [
    {
      host: 'n1',
      hostname: 'n1',
      machine_id: 'a'.repeat(32),
      product_uuid: 'u1',
      interfaces: { eth0: { mac: '52:00:00:00:00:01' } },
    },
    {
      host: 'n2',
      hostname: 'n2',
      machine_id: 'b'.repeat(32),
      product_uuid: 'u2',
      interfaces: { eth0: { mac: '52:00:00:00:00:02' }, docker0: { mac: '02:42:00:00:00:01' } },
    },
  ],
}
const FACTS: Facts = {
  os: { id: 'debian', version: '12', name: 'Debian 12' },
  kernel: { release: '6.1.0-18-amd64' },
  architecture: 'amd64',
  cgroup: 'v2',
  cpu: { count: 4 },
  memory: { total_mb: 8000 },
  swap: [],
  default_route: { interface: 'eth0', address: '10.0.0.11' },
  interfaces: {
    eth0: { mac: '52:00:00:00:00:01', ipv4: ['10.0.0.11/24'], ipv6: [] },
    docker0: { mac: '02:42:00:00:00:01', ipv4: [], ipv6: [] },
  },
  addresses: ['10.0.0.11'],
  selinux: 'disabled',
  apparmor: false,
  container: '',
  machine_id: 'a'.repeat(32),
  hostname: 'n1',
  product: { uuid: 'u1' },
  init: 'systemd',
  package_manager: 'apt',
  user: { uid: 0 },
}
const SEEN: Seen = {
  clock: [1000, 1002],
  ports: new Map([[22, 'sshd']]),
  servers: {},
  etcdData: false,
  kubelet: '',
  containerd: 'containerd containerd.io 1.7.28 x',
  disks: { '/var/lib/containerd': { type: 'ext4', free: 50e9 } },
  unresolved: [],
  virtualIp: undefined,
  missingTools: [],
  urls: {},
  mirrors: {},
  kernelOptions: [],
  modules: { overlay: there, br_netfilter: there, nf_conntrack: there },
}
const ADMIN = {
  '/etc/kubernetes/admin.conf': 'https://10.0.0.10:6443',
  '/etc/kubernetes/kubelet.conf': 'https://10.0.0.11:6443',
}
const CLUSTER_PORTS = new Map([
  [6443, 'kube-apiserver'],
  [2379, 'etcd'],
  [10250, 'kubelet'],
  [10257, 'kube-controller'],
])

interface Row {
  readonly name: string
  readonly wanted?: Partial<Wanted>
  /** undefined takes a fact away. */
  readonly facts?: { readonly [K in keyof Facts]?: Facts[K] | undefined }
  readonly seen?: Partial<Seen>
  /** The controller's clock before and after; default the host's. */
  readonly asked?: readonly [number, number]
  /** `check: beginning of the message`, a note with a leading `~`; none for a host that is well. */
  readonly finds: readonly RegExp[]
}

const rows: readonly Row[] = [
  { name: 'a host that is well', finds: [] },
  {
    name: 'a distribution nobody knows',
    facts: { os: { id: 'gentoo', version: '', name: 'Gentoo' } },
    finds: [/^os: Gentoo is none of those.*debian, ubuntu/],
  },
  {
    name: 'an old one',
    facts: { os: { id: 'ubuntu', version: '18.04', name: 'Ubuntu 18.04' } },
    finds: [/^os: Ubuntu 18.04 is older than ubuntu 20.04/],
  },
  { name: 'the oldest one', facts: { os: { id: 'ubuntu', version: '20.04' } }, finds: [] },
  { name: 'sid', facts: { os: { id: 'debian', version: '' } }, finds: [] },
  { name: 'an architecture', facts: { architecture: '386' }, finds: [/^architecture: .*386/] },
  {
    name: 'no systemd, no root',
    facts: { init: 'openrc-init', user: { uid: 1000 } },
    finds: [/^os: .*become/, /^os: process 1 is openrc-init/],
  },
  {
    name: 'a kernel that is too old',
    facts: { kernel: { release: '4.18.0-553.el8' } },
    finds: [/^kernel: kernel 4\.18\.0-553\.el8 is too old/],
  },
  { name: 'a kernel out of maintenance', facts: { kernel: { release: '4.19.0-26' } }, finds: [/^~kernel: .*4\.19/] },
  {
    name: 'nftables on 5.10',
    wanted: { kubeProxyMode: 'nftables' },
    facts: { kernel: { release: '5.10.0' } },
    seen: { modules: { nf_tables: there } },
    finds: [/^kernel: .*nftables.*5\.13/],
  },
  {
    name: 'no IPVS',
    wanted: { kubeProxyMode: 'ipvs' },
    seen: { modules: { ip_vs: gone, ip_vs_rr: gone, overlay: there } },
    finds: [/^modules: .*ip_vs, ip_vs_rr: .*nftables/],
  },
  {
    name: 'a kernel of one’s own',
    seen: {
      kernelOptions: [
        'NAMESPACES',
        'NET_NS',
        'PID_NS',
        'IPC_NS',
        'UTS_NS',
        'CGROUPS',
        'MEMCG',
        'INET',
        'EXT4_FS',
        'PROC_FS',
        'IP_NF_TARGET_REDIRECT',
        'NETFILTER_XT_MATCH_COMMENT',
        'FAIR_GROUP_SCHED',
      ],
    },
    finds: [/^kernel: .*CONFIG_CPUSETS, which/],
  },
  { name: 'cgroup version 1, still possible', facts: { cgroup: 'hybrid' }, finds: [/^~cgroup: .*hybrid.*1\.35/] },
  {
    name: 'cgroup version 1, the wall',
    wanted: { kubernetesVersion: 'v1.35.0' },
    facts: { cgroup: 'v1' },
    finds: [/^cgroup: .*failCgroupV1.*systemd\.unified_cgroup_hierarchy=1/],
  },
  { name: 'cgroup version 2 and 1.35', wanted: { kubernetesVersion: 'v1.35.0' }, finds: [] },
  {
    name: 'small',
    facts: { cpu: { count: 1 }, memory: { total_mb: 1024 } },
    seen: { disks: { '/var/lib/containerd': { type: 'ext4', free: 2.34e9 } } },
    finds: [/^cpu: 1 .*needs 2/, /^memory: 1024 MB.*1700/, /^disk: 2\.3 GB are free for \/var\/lib\/containerd, 10/],
  },
  {
    name: 'a disk of the network',
    seen: { disks: { '/var/lib/containerd': { type: 'nfs4' } } },
    finds: [/^disk: .*nfs4.*local disk/],
  },
  { name: 'swap', facts: { swap: [{ device: '/dev/sda2' }] }, finds: [/^~swap: .*\/dev\/sda2.*turns it off/] },
  {
    name: 'swap that stays',
    wanted: { swap: 'keep' },
    facts: { swap: [{ device: '/dev/sda2' }] },
    finds: [/^~swap: .*failSwapOn/],
  },
  { name: 'tools that will be installed', seen: { missingTools: ['conntrack'] }, finds: [/^~tools: conntrack.*apt/] },
  {
    name: 'tools that cannot be',
    seen: { missingTools: ['conntrack'] },
    facts: { package_manager: undefined },
    finds: [/^tools: conntrack/],
  },
  {
    name: 'an old containerd',
    wanted: { kubernetesVersion: 'v1.35.0' },
    seen: { containerd: 'containerd containerd.io 1.6.20 x' },
    finds: [/^~containerd: .*1\.6\.20 is older than 1\.7\.28/],
  },
  { name: 'SELinux', facts: { selinux: 'enforcing' }, finds: [/^~security: SELinux/] },
  {
    name: 'ports of others',
    seen: {
      ports: new Map([
        [10250, 'nginx'],
        [6443, ''],
        [80, 'nginx'],
      ]),
    },
    finds: [/^port: port 10250 is in use by nginx; kubelet/, /^port: port 6443 is in use by something; kube-apiserver/],
  },
  {
    name: 'ports of a control plane on a worker',
    wanted: { role: 'worker' },
    seen: { ports: new Map([[6443, 'haproxy']]) },
    finds: [],
  },
  {
    name: 'a node of this cluster',
    seen: { servers: ADMIN, ports: CLUSTER_PORTS, etcdData: true, kubelet: 'Kubernetes v1.34.1' },
    finds: [],
  },
  {
    name: 'a node whose ports nobody may look into',
    seen: { servers: ADMIN, ports: new Map([[6443, '']]) },
    finds: [],
  },
  {
    name: 'a node of another cluster',
    seen: { servers: { '/etc/kubernetes/kubelet.conf': 'https://192.0.2.1:6443' } },
    finds: [/^cluster: .*https:\/\/192\.0\.2\.1:6443 .*not in 10\.0\.0\.10:6443.*reset\.yml/],
  },
  { name: 'what an earlier cluster left', seen: { etcdData: true }, finds: [/^cluster: \/var\/lib\/etcd/] },
  {
    name: 'another version',
    seen: { servers: ADMIN, kubelet: 'Kubernetes v1.33.5' },
    finds: [/^version: .*1\.33\.5.*upgrade\.yml/],
  },
  {
    name: 'another version that is about to be upgraded',
    wanted: { upgrade: true },
    seen: { servers: ADMIN, kubelet: 'Kubernetes v1.33.5' },
    finds: [],
  },
  {
    name: 'two minors at once',
    wanted: { upgrade: true },
    seen: { servers: ADMIN, kubelet: 'Kubernetes v1.32.5' },
    finds: [/^version: .*2 minor versions newer.*first to 1\.33/],
  },
  {
    name: 'backwards',
    wanted: { upgrade: true },
    seen: { servers: ADMIN, kubelet: 'Kubernetes v1.34.4' },
    finds: [/^version: .*1\.34\.4.*going back/],
  },
  { name: 'a kubelet that is in no cluster may be replaced', seen: { kubelet: 'Kubernetes v1.30.0' }, finds: [] },
  { name: 'a name with capitals', facts: { hostname: 'Node_1' }, finds: [/^hostname: "Node_1"/] },
  { name: 'a name that is about to be set', wanted: { hostname: 'n1' }, facts: { hostname: 'Localhost' }, finds: [] },
  {
    name: 'a node that would get another name',
    wanted: { hostname: 'm1' },
    seen: { servers: ADMIN },
    finds: [/^hostname: .*as n1; as m1 it would be another node/],
  },
  {
    name: 'names that do not resolve',
    seen: { unresolved: ['api.local', 'n2'] },
    finds: [/^dns: api\.local, n2 do not resolve/],
  },
  {
    name: 'a cloned disk',
    facts: { machine_id: 'b'.repeat(32), product: { uuid: 'u2' } },
    finds: [/^identity: machine-id b+ is that of n2 too/, /^identity: product_uuid u2 is that of n2/],
  },
  { name: 'containers share the firmware', facts: { product: { uuid: 'u2' }, container: 'systemd-nspawn' }, finds: [] },
  { name: 'no machine-id', facts: { machine_id: '' }, finds: [/^identity: \/etc\/machine-id is empty/] },
  {
    name: 'namesakes, and one MAC address',
    facts: { hostname: 'n2', interfaces: { eth0: { mac: '52:00:00:00:00:02', ipv4: ['10.0.0.11/24'], ipv6: [] } } },
    finds: [/^identity: the host name n2/, /^identity: the MAC address 52:00:00:00:00:02 is that of n2/],
  },
  { name: 'a clock that is ahead', asked: [900, 990], finds: [/^clock: the clock is 12\.0 s ahead/] },
  { name: 'a clock that is behind', asked: [1100, 1102], finds: [/^clock: the clock is 100\.0 s behind/] },
  { name: 'questions that took long are no skew', asked: [970, 1040], finds: [] },
  { name: 'no default route', facts: { default_route: undefined }, finds: [/^route:/] },
  {
    name: 'a virtual IP that somebody has',
    seen: { virtualIp: { mac: '52:aa', api: false } },
    finds: [/^virtual_ip: .*10\.0\.0\.10 is in use by the host with the MAC address 52:aa/],
  },
  {
    name: 'a virtual IP with an API behind it',
    seen: { virtualIp: { mac: '52:aa', api: true } },
    finds: [/^~virtual_ip: an API server answers/],
  },
  {
    name: 'a virtual IP that the cluster has',
    seen: { servers: ADMIN, virtualIp: { mac: '52:aa', api: false } },
    finds: [],
  },
  {
    name: 'a virtual IP of another network',
    wanted: { virtualIp: '10.0.1.10' },
    finds: [/^virtual_ip: .*10\.0\.1\.10 is in no network of the host \(10\.0\.0\.11\/24\)/],
  },
  {
    name: 'a virtual IP that is the host’s own',
    wanted: { virtualIp: '10.0.0.11' },
    finds: [/^virtual_ip: .*own address/],
  },
  {
    name: 'mirrors',
    seen: {
      urls: {
        'https://a/': '200',
        'https://r/v2/': '401',
        'https://b/': '404',
        'https://c/': 'curl: (6) Could not resolve host: c 000',
      },
    },
    finds: [/^mirror: https:\/\/b\/ .*HTTP status 404/, /^mirror: https:\/\/c\/ .*resolve host: c\./],
  },
  {
    name: 'mirrors of containerd: all, one of two, and one below a path',
    wanted: {
      mirrors: [
        { registry: 'docker.io', url: 'https://a/v2/', skipVerify: false },
        { registry: 'docker.io', url: 'https://b/v2/', skipVerify: false },
        { registry: 'quay.io', url: 'https://c/v2/', skipVerify: false, proxy: 'http://u:secret@p:3128' },
        { registry: '_default', url: 'https://a/v2/path/', skipVerify: false },
        { registry: 'ghcr.io', url: 'https://d/v2/', skipVerify: false },
      ],
    },
    seen: {
      mirrors: {
        'https://a/v2/': 'curl: (7) refused 000',
        'https://b/v2/': '401',
        'https://c/v2/': 'curl: (5) no proxy 000',
        'https://a/v2/path/': '404',
        'https://d/v2/': '404',
      },
    },
    finds: [
      /^~mirror: https:\/\/a\/v2\/, the mirror of docker\.io, cannot be had: curl: \(7\) refused\. Images come from https:\/\/b\/v2\/$/,
      /^mirror: https:\/\/c\/v2\/, the mirror of quay\.io, cannot be had through the proxy http:\/\/p:3128: curl: \(5\) no proxy\. Mend/,
      /^mirror: https:\/\/d\/v2\/, the mirror of ghcr\.io, cannot be had: HTTP status 404/,
    ],
  },
]

for (const row of rows) {
  t.test(row.name, async (t) => {
    const seen = { ...SEEN, ...row.seen }
    const found = judge(
      'n1',
      { ...WANTED, ...row.wanted },
      { ...FACTS, ...row.facts } as Facts,
      seen,
      row.asked ?? seen.clock,
    )
    const said = found.map((f) => `${f.level === 'note' ? '~' : ''}${f.check}: ${f.message}`)
    t.equal(said.length, row.finds.length, said.join('\n'))
    for (const [i, pattern] of row.finds.entries()) t.match(said[i], pattern)
  })
}

t.test('what the script prints', async (t) => {
  const seen = parseSeen(
    'clock 1000.5\nport 192B\nport 0016\nowner 6443 kube-apiserver\nserver /etc/kubernetes/kubelet.conf https://a:6443\netcd\n' +
      'kubelet Kubernetes v1.34.1\ndisk /var/lib ext4 100 4096\ndisk /data nfs4\nunresolved x\nvip 52:aa none\ntool conntrack\n' +
      'url http://m/ curl: (7) refused 000\nmirror http://m/v2/ 200\noption MEMCG\nclock 1001.25\n',
  )
  t.same(seen, {
    clock: [1000.5, 1001.25],
    ports: new Map([
      [0x192b, 'kube-apiserver'],
      [22, ''],
    ]),
    servers: { '/etc/kubernetes/kubelet.conf': 'https://a:6443' },
    etcdData: true,
    kubelet: 'Kubernetes v1.34.1',
    containerd: '',
    disks: { '/var/lib': { type: 'ext4', free: 409600 }, '/data': { type: 'nfs4' } },
    unresolved: ['x'],
    virtualIp: { mac: '52:aa', api: false },
    missingTools: ['conntrack'],
    urls: { 'http://m/': 'curl: (7) refused 000' },
    mirrors: { 'http://m/v2/': '200' },
    kernelOptions: ['MEMCG'],
  })
})

inEachShell('asks a real host', async (t, bench) => {
  const wanted = {
    ...WANTED,
    virtualIp: undefined,
    minDiskGb: { '/var/lib/not/there': 1, '/': 1 },
    names: ['localhost', 'no-such-name.invalid'],
    urls: ['http://127.0.0.1:9/none'],
  }
  const before = Date.now() / 1000
  const seen = await actionContext(bench).read(look(wanted))
  t.ok(
    seen.clock[0] >= before - 1 && seen.clock[1] <= Date.now() / 1000 + 1 && seen.clock[1] >= seen.clock[0],
    String(seen.clock),
  )
  t.same(Object.keys(seen.disks), ['/var/lib/not/there', '/'])
  t.ok(seen.disks['/']!.free! > 0 && seen.disks['/var/lib/not/there']!.free! > 0, JSON.stringify(seen.disks))
  t.same(seen.unresolved, ['no-such-name.invalid'])
  t.notMatch(seen.urls['http://127.0.0.1:9/none'], /^\d{3}$/)
  const facts = FACTS as unknown as Record<string, unknown>
  const args = {
    kubernetes_version: 'v1.34.1',
    role: 'worker',
    urls: 'http://127.0.0.1:9/none',
    min_disk_gb: { '/': 0 },
    ignore: ['modules', 'kernel', 'port'],
    peers: [...WANTED.peers, { host: 'n3', hostname: 'n1' }],
  }
  await t.rejects(
    act(preflight, args, actionContext(bench, { facts })),
    /n1 has 2 problems:\n- identity: .*n3.*\n- mirror: http:\/\/127\.0\.0\.1:9\/none/s,
  )
  const ignoring = await act(
    preflight,
    { ...args, ignore: [...args.ignore, 'identity', 'mirror'] },
    actionContext(bench, { facts, check: true }),
  )
  t.match(ignoring, { changed: false, msg: /no problems; to know:/, data: { problems: [] } })
  const notes = (ignoring.data as { notes: { check: string }[] }).notes.map(({ check }) => check)
  // What else is worth knowing depends on the machine.
  t.same(
    notes.filter((check) => check === 'identity' || check === 'mirror'),
    ['identity', 'mirror'],
  )
  await t.rejects(act(preflight, args, actionContext(bench)), /needs the facts/)
})
