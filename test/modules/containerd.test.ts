import { createHash } from 'node:crypto'
import { parse } from 'smol-toml'
import t from 'tap'
import containerd from '../../modules/containerd.ts'
import {
  linkPlugins,
  parseVersion,
  readConfig,
  renderConfig,
  renderHosts,
  tooOldFor,
} from '../../src/module/containerd/index.ts'
import { table } from './table.ts'

const unit = (active: string, more = {}) => ({
  name: 'containerd.service',
  load: 'loaded',
  active,
  sub: 'running',
  file: 'enabled',
  needReload: false,
  fragment: '/lib/systemd/system/containerd.service',
  dropIns: [],
  mainPid: 1,
  canReload: false,
  passing: false,
  ...more,
})
const none = (path: string) => ({ path, stat: undefined, content: undefined })
const file = (path: string, text: string) => ({
  path,
  stat: { type: 'file', mode: 0o644, uid: 0, gid: 0, owner: 'root', group: 'root' },
  content: { sha256: 'other', content: Buffer.from(text) },
})
const host = (version: string | undefined, more = {}) => ({
  version: version === undefined ? undefined : parseVersion(version),
  binary: '/usr/bin/containerd',
  sandboxImage: undefined,
  complaint: '',
  stale: false,
  ...more,
})
const PROXY = '/etc/systemd/system/containerd.service.d/runbook-proxy.conf'
const state = (more = {}) => ({
  host: host('1.6.20'),
  plugins: [],
  config: none('/etc/containerd/config.toml'),
  hosts: [],
  proxy: none(PROXY),
  unit: unit('active'),
  ...more,
})
const DEBIAN = `version = 2
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"
`

table(containerd, [
  {
    name: 'a new host: folder, configuration, restart',
    args: {},
    state: state(),
    changes: [
      'create folder /etc/containerd',
      'create /etc/containerd/config.toml (0644 root:root)',
      'restart containerd.service',
    ],
  },
  {
    name: 'Debian’s file: why it does not work is said',
    args: { sandbox_image: 'registry.k8s.io/pause:3.10' },
    state: state({
      config: file('/etc/containerd/config.toml', DEBIAN),
      plugins: [{ path: '/opt/cni/bin/bridge', target: undefined, dangling: false }],
    }),
    changes: [
      'write /etc/containerd/config.toml (0644 root:root): it looked for CNI plugins in /usr/lib/cni, but they are in /opt/cni/bin; its cgroup driver was not kubelet’s',
      'restart containerd.service',
    ],
  },
  {
    name: 'Docker’s file: CRI is off',
    args: { systemd_cgroup: false },
    state: state({ config: file('/etc/containerd/config.toml', 'disabled_plugins = ["cri"]\n') }),
    changes: ['write /etc/containerd/config.toml (0644 root:root): CRI was disabled', 'restart containerd.service'],
  },
  {
    name: 'a run that died before its restart: restarted now, and it must converge',
    args: {},
    state: state({
      host: host('1.6.20', { stale: true }),
      config: upToDate('1.6.20'),
    }),
    changes: ['restart containerd.service (it runs as it was before the last change)'],
    check: ([restart]) => t.notOk(restart!.transient),
  },
  { name: 'nothing to do', args: {}, state: state({ config: upToDate('1.6.20') }), changes: [] },
  {
    name: 'it is off: started, not restarted',
    args: {},
    state: state({ config: upToDate('1.6.20'), unit: unit('inactive', { file: 'disabled' }) }),
    changes: ['enable containerd.service', 'start containerd.service'],
  },
  {
    name: 'credentials: nobody else can read them, and no diff shows them',
    args: {
      registries: {
        'r.example.org': { mirrors: [{ url: 'https://r.example.org', username: 'u', password: 'secret' }] },
      },
    },
    state: state({ config: upToDate('1.6.20'), hosts: [none('/etc/containerd/certs.d/r.example.org/hosts.toml')] }),
    changes: [
      'create folder /etc/containerd/certs.d/r.example.org',
      'create /etc/containerd/certs.d/r.example.org/hosts.toml (0600 root:root)',
    ],
    check: (changes) => t.ok(changes.every((c) => c.diff === undefined)),
  },
  {
    name: 'a proxy restarts, with a reload of the units',
    args: { https_proxy: 'http://proxy:3128', no_proxy: ['10.0.0.0/8', '.local'] },
    state: state({ config: upToDate('1.6.20') }),
    changes: [
      'create folder /etc/systemd/system/containerd.service.d',
      `create ${PROXY} (0644 root:root)`,
      'systemctl daemon-reload',
      'restart containerd.service',
    ],
  },
  {
    name: 'a proxy that is not wanted any more',
    args: {},
    state: state({ config: upToDate('1.6.20'), proxy: file(PROXY, 'x') }),
    changes: [`remove ${PROXY}`, 'systemctl daemon-reload', 'restart containerd.service'],
  },
  {
    name: 'not installed',
    args: {},
    state: state({ host: host(undefined) }),
    changes: ['configure containerd once it is installed'],
  },
  {
    name: 'no kubeadm to ask',
    args: { kubernetes_version: 'v1.34.1' },
    state: state(),
    changes: ['configure containerd once it is installed'],
  },
  { name: 'too old', args: {}, state: state({ host: host('1.5.9') }), fails: /containerd 1\.5\.9 is too old/ },
  {
    name: 'a password alone',
    args: { registries: { a: { mirrors: [{ url: 'http://a', password: 'x' }] } } },
    state: {},
    invalid: /username/,
  },
  { name: 'a path as registry', args: { registries: { 'docker.io/library': {} } }, state: {}, invalid: /HOST/ },
  { name: 'no URL', args: { registries: { a: { mirrors: ['mirror'] } } }, state: {}, invalid: /registries/ },
])

/** The file as this version's module would write it with no arguments. */
function upToDate(version: string) {
  const text = renderConfig(parseVersion(version)!, {
    sandboxImage: undefined,
    systemdCgroup: true,
    cniBinDirs: ['/opt/cni/bin', '/usr/lib/cni'],
    cniConfDir: '/etc/cni/net.d',
    certsDir: '/etc/containerd/certs.d',
    extra: {},
  })
  const before = file('/etc/containerd/config.toml', text)
  const sha256 = createHash('sha256').update(text).digest('hex')
  return { ...before, content: { sha256, content: Buffer.from(text) } }
}

t.test('versions as packages print them', async (t) => {
  for (const [line, text] of [
    ['containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3', '1.6.20'],
    ['containerd containerd.io 1.7.27 05044ec0a9a75232cad458027ca83437aae3f4da', '1.7.27'],
    ['containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7193e4e490e9fbdc236c0e811ccaba3376', '2.1.4'],
    ['containerd github.com/containerd/containerd/v2 2.2.0+unknown', '2.2.0'],
    ['1.7.28', '1.7.28'],
  ] as const) {
    t.equal(parseVersion(line)?.text, text)
  }
  t.equal(parseVersion('sh: containerd: not found'), undefined)
})

t.test('which containerd a Kubernetes wants', async (t) => {
  for (const [version, minor, wanted] of [
    ['1.6.20', 34, undefined],
    ['1.5.9', 30, '1.6.0'],
    ['1.6.20', 35, '1.7.28'],
    ['1.7.28', 35, undefined],
    ['2.1.4', 35, '2.1.5'],
    ['2.1.5', 35, undefined],
    ['1.7.28', 36, '2.2.0'],
    ['2.2.1', 36, undefined],
  ] as const) {
    t.equal(tooOldFor(parseVersion(version)!, minor), wanted, `${version} for 1.${minor}`)
  }
})

const settings = {
  sandboxImage: 'registry.k8s.io/pause:3.10',
  systemdCgroup: true,
  cniBinDirs: ['/opt/cni/bin', '/usr/lib/cni'],
  cniConfDir: '/etc/cni/net.d',
  certsDir: '/etc/containerd/certs.d',
  extra: {},
}

t.test('config.toml: what is written can be read, in each version’s place', async (t) => {
  for (const [version, dirs] of [
    ['1.6.20', ['/opt/cni/bin']],
    ['1.7.28', ['/opt/cni/bin']],
    ['2.0.5', ['/opt/cni/bin']],
    ['2.1.0', ['/opt/cni/bin', '/usr/lib/cni']],
    ['2.3.0', ['/opt/cni/bin', '/usr/lib/cni']],
  ] as const) {
    const text = renderConfig(parseVersion(version)!, settings)
    t.equal((parse(text) as { version: number }).version, version.startsWith('1.') ? 2 : 3)
    t.same(readConfig(text), {
      cniBinDirs: dirs,
      criDisabled: false,
      sandboxImage: settings.sandboxImage,
      systemdCgroup: true,
    })
  }
  const extra = {
    root: '/data/containerd',
    plugins: {
      'io.containerd.grpc.v1.cri': {
        containerd: { default_runtime_name: 'nvidia', runtimes: { nvidia: { runtime_type: 'x' } } },
      },
    },
  }
  t.match(parse(renderConfig(parseVersion('1.7.0')!, { ...settings, extra })), {
    root: '/data/containerd',
    plugins: {
      'io.containerd.grpc.v1.cri': {
        sandbox_image: settings.sandboxImage,
        containerd: {
          default_runtime_name: 'nvidia',
          runtimes: { runc: { options: { SystemdCgroup: true } }, nvidia: {} },
        },
      },
    },
  })
  t.equal(readConfig('not = = toml'), undefined)
  t.same(readConfig(''), { cniBinDirs: [], criDisabled: false, sandboxImage: undefined, systemdCgroup: false })
})

t.test('hosts.toml', async (t) => {
  const mirror = { capabilities: ['pull'], skipVerify: false, overridePath: false }
  const text = renderHosts({
    server: 'https://registry-1.docker.io',
    mirrors: [
      { ...mirror, url: 'https://z.example.org', username: 'u', password: 'p"\\' },
      { ...mirror, url: 'http://a.example.org:5000', ca: '/etc/ca.pem', skipVerify: true },
    ],
  })
  const read = parse(text) as { server: string; host: Record<string, unknown> }
  t.same(
    Object.keys(read.host),
    ['https://z.example.org', 'http://a.example.org:5000'],
    'the order is the order of trying',
  )
  t.match(read, {
    server: 'https://registry-1.docker.io',
    host: {
      'https://z.example.org': { header: { Authorization: `Basic ${Buffer.from('u:p"\\').toString('base64')}` } },
      'http://a.example.org:5000': { skip_verify: true, ca: '/etc/ca.pem' },
    },
  })
  t.ok(text.indexOf('server') < text.indexOf('[host'), 'before the tables, or it would be part of one')
})

t.test('links to plugins of the other folder', async (t) => {
  const file = (path: string) => ({ path, target: undefined, dangling: false })
  const link = (path: string, target: string, dangling: boolean) => ({ path, target, dangling })
  const dirs = ['/opt/cni/bin', '/usr/lib/cni']
  t.same(linkPlugins(dirs, [file('/opt/cni/bin/a')]), [])
  const [one] = linkPlugins(dirs, [
    file('/opt/cni/bin/a'),
    file('/usr/lib/cni/a'),
    file('/usr/lib/cni/b'),
    link('/opt/cni/bin/gone', '/usr/lib/cni/gone', true),
    link('/opt/cni/bin/theirs', '/srv/theirs', true),
  ])
  t.equal(
    one!.summary,
    'link 1 CNI plugins of /usr/lib/cni into /opt/cni/bin, remove 1 links to CNI plugins that are gone',
  )
  t.match(one!.script, /ln -sfn -- .*\/usr\/lib\/cni\/b.* .*\/opt\/cni\/bin\/b/)
  t.notMatch(one!.script, /theirs/)
})
