/** Each link broken by itself, and the cascades. */
import t from 'tap'
import { describe, diagnose, type Link, parseSigns, type Service, type Signs } from '../../src/module/doctor/index.ts'

const RUNS: Service = { load: 'loaded', active: 'active', sub: 'running', result: 'success', restarts: 0, log: [] }
const ROOT = {
  path: '/',
  type: 'ext4',
  source: '/dev/sda2',
  readOnly: false,
  meantReadOnly: false,
  free: 20e9,
  freeShare: 0.5,
  freeInodesShare: 0.9,
  errors: 0,
}
const WELL: Signs = {
  host: 'n1',
  uptimeSeconds: 86400,
  uncleanShutdown: false,
  kernelLog: [],
  missingModules: [],
  ipForward: true,
  swap: [],
  volumes: [ROOT],
  containerd: RUNS,
  socket: { exists: true, complaint: '' },
  criTrouble: [],
  kubelet: RUNS,
  joined: true,
  certificateEnds: 2e9,
  now: 1.9e9,
  cniConfigs: ['/etc/cni/net.d/10-flannel.conflist'],
  missingPlugins: [],
  cniBinDirs: ['/opt/cni/bin'],
  filledBinDirs: ['/opt/cni/bin'],
  server: 'https://10.0.0.10:6443',
  serverAnswer: '200 ',
  ready: { status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' },
}
const crashed = (log: string[], more: Partial<Service> = {}): Service => ({
  ...RUNS,
  active: 'activating',
  sub: 'auto-restart',
  result: 'exit-code',
  restarts: 12,
  log,
  ...more,
})

interface Row {
  readonly name: string
  readonly signs?: Partial<Signs>
  readonly broken?: Link
  readonly says?: RegExp
  readonly todo?: RegExp
  readonly cascade?: string
}

const rows: readonly Row[] = [
  { name: 'all is well' },
  {
    name: 'it was not well, but is',
    signs: { uncleanShutdown: true, kernelLog: ['EXT4-fs (sda2): recovery complete'] },
  },
  {
    name: 'kernel: no routing',
    signs: { ipForward: false },
    broken: 'kernel',
    says: /ip_forward is 0/,
    todo: /kubernetes_host/,
  },
  { name: 'kernel: a module', signs: { missingModules: ['br_netfilter'] }, broken: 'kernel', says: /br_netfilter/ },
  {
    name: 'kernel: hardware',
    signs: { kernelLog: ['mce: [Hardware Error]: Machine check events logged'] },
    broken: 'kernel',
    says: /Hardware Error/,
    todo: /BMC/,
  },
  {
    name: 'kernel: memory',
    signs: { kernelLog: ['Out of memory: Killed process 812 (containerd) total-vm:1kB'] },
    broken: 'kernel',
    says: /memory ran out/,
  },
  {
    name: 'kernel: memory of a pod is the pod’s affair',
    signs: { kernelLog: ['Out of memory: Killed process 812 (java) total-vm:1kB'] },
  },
  {
    name: 'the cascade',
    signs: {
      uncleanShutdown: true,
      kernelLog: [
        'EXT4-fs (sda2): recovery complete',
        'EXT4-fs error (device sda2): ext4_lookup:1855: inode #2: comm x: deleted inode referenced',
        'EXT4-fs (sda2): Remounting filesystem read-only',
      ],
      volumes: [{ ...ROOT, readOnly: true, errors: 3 }],
      containerd: crashed(['containerd: failed to create /var/lib/containerd: read-only file system']),
      socket: { exists: false, complaint: 'no answer within 5 s' },
      kubelet: crashed([
        'E1 run.go: failed to run Kubelet: validate service connection: container runtime is not running',
      ]),
      ready: { status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.' },
    },
    broken: 'disk',
    says: /^\/ is mounted read-only \(ext4 on \/dev\/sda2\); ext4 counts 3 errors; the kernel said: EXT4-fs \(sda2\): Remounting/,
    todo: /do not just remount.*fsck\.mode=force fsck\.repair=yes/s,
    cascade:
      'power loss → dirty journal → read-only file system → containerd crash → kubelet crash → NodeStatusUnknown',
  },
  {
    name: 'the cascade, when the API cannot be asked',
    signs: {
      volumes: [{ ...ROOT, readOnly: true }],
      containerd: crashed(['read-only file system']),
      kubelet: crashed([]),
      ready: undefined,
    },
    broken: 'disk',
    cascade: 'read-only file system → containerd crash → kubelet crash → NodeStatusUnknown',
  },
  { name: 'disk: read-only by intent', signs: { volumes: [{ ...ROOT, readOnly: true, meantReadOnly: true }] } },
  {
    name: 'disk: another volume',
    signs: {
      volumes: [ROOT, { ...ROOT, path: '/var/lib/containerd', source: '/dev/sdb1', type: 'xfs', readOnly: true }],
    },
    broken: 'disk',
    says: /^\/var\/lib\/containerd is mounted read-only/,
    todo: /xfs_repair \/dev\/sdb1/,
  },
  {
    name: 'disk: errors that have not yet done harm',
    signs: { volumes: [{ ...ROOT, errors: 2 }] },
    broken: 'disk',
    says: /2 since the last fsck/,
  },
  {
    name: 'disk: errors of a disk that is not the node’s',
    signs: { kernelLog: ['EXT4-fs error (device sdx1): bad', 'blk_update_request: I/O error, dev sdx, sector 1'] },
  },
  {
    name: 'disk: it fails',
    signs: { kernelLog: ['blk_update_request: I/O error, dev sda2, sector 123'] },
    broken: 'disk',
    says: /fails: .*sector 123/,
    todo: /smartctl/,
  },
  {
    name: 'disk: full',
    signs: { volumes: [{ ...ROOT, free: 1e6, freeShare: 0.0001 }] },
    broken: 'disk',
    says: /is full: 1 MB/,
    todo: /du -xh/,
  },
  {
    name: 'disk: no inodes',
    signs: { volumes: [{ ...ROOT, freeInodesShare: 0 }] },
    broken: 'disk',
    says: /no inodes left/,
  },
  {
    name: 'disk: one of the network is not asked',
    signs: {
      volumes: [
        ROOT,
        { path: '/var/lib/kubelet', type: 'nfs4', source: 'nas:/k', readOnly: false, meantReadOnly: false, errors: 0 },
      ],
    },
  },
  {
    name: 'containerd: not installed',
    signs: { containerd: { ...RUNS, load: 'not-found', active: 'inactive' } },
    broken: 'containerd',
    says: /not installed/,
  },
  {
    name: 'containerd: off',
    signs: { containerd: { ...RUNS, active: 'inactive', sub: 'dead' } },
    broken: 'containerd',
    says: /^containerd is inactive$/,
  },
  {
    name: 'containerd: configuration',
    signs: {
      containerd: crashed([
        'containerd: failed to load TOML: /etc/containerd/config.toml: (3, 1): bad',
        'Main process exited',
      ]),
    },
    broken: 'containerd',
    says: /crashing again and again, exit-code \(12 restarts\); it said: .*failed to load TOML/,
    todo: /role containerd/,
  },
  {
    name: 'containerd: database',
    signs: { containerd: crashed(['panic: invalid database meta.db: checksum error']) },
    broken: 'containerd',
    todo: /aside/,
  },
  { name: 'socket: gone', signs: { socket: { exists: false, complaint: undefined } }, broken: 'socket' },
  {
    name: 'socket: hangs',
    signs: { socket: { exists: true, complaint: 'no answer within 5 s' } },
    broken: 'socket',
    says: /does not answer at its socket: no answer within 5 s/,
  },
  {
    name: 'socket: no CRI',
    signs: { criTrouble: ['io.containerd.grpc.v1   cri   linux/amd64   error'] },
    broken: 'socket',
    says: /CRI plugin is not up: io\.containerd\.grpc\.v1 cri linux\/amd64 error/,
  },
  { name: 'kubelet: not installed', signs: { kubelet: { ...RUNS, load: 'not-found' } }, broken: 'kubelet' },
  {
    name: 'kubelet: no cluster',
    signs: { joined: false, server: '', kubelet: crashed(['failed to load kubelet config file']) },
    broken: 'kubelet',
    says: /in no cluster/,
    todo: /runbook apply/,
  },
  {
    name: 'kubelet: swap',
    signs: {
      kubelet: crashed([
        '"command failed" err="failed to run Kubelet: running with swap on is not supported"',
        'Main process exited',
      ]),
      swap: ['/dev/sda3'],
    },
    broken: 'kubelet',
    says: /running with swap on/,
    todo: /swap is on/,
  },
  {
    name: 'kubelet: cgroup version 1',
    signs: {
      kubelet: crashed([
        'kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported',
      ]),
    },
    broken: 'kubelet',
    todo: /unified_cgroup_hierarchy/,
  },
  {
    name: 'kubelet: its certificate ended',
    signs: { certificateEnds: 1.8e9, kubelet: crashed([]) },
    broken: 'kubelet',
    says: /ended on 2027-01-15/,
  },
  {
    name: 'kubelet: off',
    signs: { kubelet: { ...RUNS, active: 'inactive', sub: 'dead', log: [] } },
    broken: 'kubelet',
  },
  {
    name: 'CNI: none',
    signs: {
      cniConfigs: [],
      kubelet: {
        ...RUNS,
        log: ['NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized'],
      },
    },
    broken: 'cni',
    says: /no CNI configuration.*cni plugin not initialized/,
  },
  {
    name: 'CNI: plugins in the other folder',
    signs: { cniBinDirs: ['/usr/lib/cni'], missingPlugins: ['flannel', 'portmap'] },
    broken: 'cni',
    says: /names flannel, portmap, and containerd finds no such plugin in \/usr\/lib\/cni/,
    todo: /plugins are in \/opt\/cni\/bin, where containerd does not look/,
  },
  {
    name: 'CNI: plugins nowhere',
    signs: { missingPlugins: ['flannel'], filledBinDirs: [] },
    broken: 'cni',
    todo: /kubernetes_packages_cni_archive/,
  },
  {
    name: 'API: nobody there',
    signs: { serverAnswer: '000 curl: (7) Failed to connect' },
    broken: 'api',
    says: /10\.0\.0\.10:6443 does not answer: curl: \(7\)/,
  },
  { name: 'API: it has troubles', signs: { serverAnswer: '500 ' }, broken: 'api', says: /HTTP status 500/ },
  { name: 'API: 401 is an answer', signs: { serverAnswer: '401 ', ready: undefined } },
  {
    name: 'API: it does not hear of the node',
    signs: {
      ready: { status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.' },
    },
    broken: 'api',
    says: /Ready=Unknown \(NodeStatusUnknown\)/,
  },
]

for (const row of rows) {
  t.test(row.name, async (t) => {
    const diagnosis = diagnose({ ...WELL, ...row.signs })
    t.equal(diagnosis.broken?.link, row.broken, describe(diagnosis))
    if (row.says) t.match(diagnosis.broken?.message, row.says)
    if (row.todo) t.match(diagnosis.broken?.mend.join('\n'), row.todo)
    t.equal(diagnosis.cascade, row.cascade)
    if (row.broken) t.ok(diagnosis.broken!.mend.length > 0, 'it says what to do')
  })
}

t.test('for people', async (t) => {
  const text = describe(diagnose({ ...WELL, ipForward: false }))
  t.match(
    text,
    /^n1: the first broken link is kernel: .*\n {2}kernel +broken .*\n {2}disk +ok .*what to do:\n {4}1\. /s,
  )
  t.match(describe(diagnose(WELL)), /^n1: the chain holds\n/)
})

t.test('what the script prints', async (t) => {
  const signs = parseSigns(
    'host n1\nnow 100\nuptime 55\nunclean\nlog EXT4-fs error (device sda2): x y\nmodule overlay there\nmodule br_netfilter missing\nforward 1\n' +
      'swap /dev/sda3\nvolume / ext4 /dev/sda2 ro rw 3 10 100 4096 0 50\nvolume /var/lib/kubelet nfs4 nas:/k rw rw 0 \n' +
      'containerd LoadState=loaded\ncontainerd ActiveState=failed\ncontainerd Result=exit-code\ncontainerd NRestarts=7\ncontainerd-log last words\n' +
      'socket\nctr failed \ncri io.containerd.grpc.v1 cri - error\nbin /usr/lib/cni\njoined\ncertificate 99\ncni /etc/cni/net.d/a.conflist\n' +
      'type flannel\ntype portmap\ntype flannel\ntype k8s\nplugin /usr/lib/cni/portmap\nplugin /opt/cni/bin/flannel\nserver https://a:6443\n' +
      'answer 000 curl: (7) no\nready Unknown NodeStatusUnknown Kubelet stopped posting node status.\n',
  )
  t.match(signs, {
    host: 'n1',
    now: 100,
    uptimeSeconds: 55,
    uncleanShutdown: true,
    kernelLog: ['EXT4-fs error (device sda2): x y'],
    missingModules: ['br_netfilter'],
    swap: ['/dev/sda3'],
    containerd: { load: 'loaded', active: 'failed', result: 'exit-code', restarts: 7, log: ['last words'] },
    socket: { exists: true, complaint: 'no answer within 5 s' },
    missingPlugins: ['flannel'],
    cniBinDirs: ['/usr/lib/cni'],
    filledBinDirs: ['/usr/lib/cni', '/opt/cni/bin'],
    joined: true,
    certificateEnds: 99,
    serverAnswer: '000 curl: (7) no',
    ready: { status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.' },
  })
  t.same(signs.volumes, [
    {
      path: '/',
      type: 'ext4',
      source: '/dev/sda2',
      readOnly: true,
      meantReadOnly: false,
      errors: 3,
      free: 40960,
      freeShare: 0.1,
      freeInodesShare: 0,
    },
    { path: '/var/lib/kubelet', type: 'nfs4', source: 'nas:/k', readOnly: false, meantReadOnly: false, errors: 0 },
  ])
})
