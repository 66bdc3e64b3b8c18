import { args, type Change, change, containerd, defineModule, each, map, quote, read, TaskFailure, z } from '#module'

const UNIT = 'containerd.service'
const PROXY = `/etc/systemd/system/${UNIT}.d/runbook-proxy.conf`

const schema = z.strictObject({
  sandbox_image: z
    .string()
    .regex(/^\S+$/)
    .optional()
    .describe('image of the pause container; best left to `kubernetes_version`'),
  kubernetes_version: z
    .string()
    .regex(/^v?\d+\.\d+\.\d+/, 'must be a whole version, such as v1.34.1')
    .optional()
    .describe('take the pause image that the host’s kubeadm wants for this version'),
  image_repository: z
    .string()
    .regex(/^\S+$/)
    .optional()
    .describe('registry of Kubernetes’ own images, where that is not registry.k8s.io'),
  systemd_cgroup: args.boolean.default(true).describe('cgroups are made by systemd, as kubelet’s default is'),
  cni_bin_dirs: z
    .array(args.path)
    .min(1)
    .default(['/opt/cni/bin', '/usr/lib/cni'])
    .describe('folders of CNI plugins; before containerd 2.1 the first is used and gets links to the others’ plugins'),
  cni_conf_dir: args.path.default('/etc/cni/net.d').describe('folder of CNI configurations'),
  registries: containerd.registries
    .default({})
    .describe(
      'registry to {server, mirrors: [URL or {url, capabilities, skip_verify, ca, override_path, username, password}]}; ' +
        'a registry that is left out keeps what it has',
    ),
  certs_dir: args.path.default('/etc/containerd/certs.d').describe('folder of the registries’ hosts.toml'),
  http_proxy: containerd.proxyValue.optional().describe('proxy for pulls over http'),
  https_proxy: containerd.proxyValue.optional().describe('proxy for pulls over https'),
  no_proxy: args
    .list(containerd.proxyValue)
    .optional()
    .describe('what is reached without the proxy: pod, service and node networks belong here'),
  settings: z
    .record(z.string(), z.unknown())
    .default({})
    .describe('merged into config.toml: other runtimes, `root`, options without an argument of their own'),
  path: args.path.default('/etc/containerd/config.toml').describe('the configuration'),
})
type Args = z.output<typeof schema>

export default defineModule({
  summary: 'containerd, configured for Kubernetes and running',
  description:
    'Finds the installed version (1.6 or later), writes the whole config.toml in the form that version wants, and lets ' +
    'containerd itself parse it before it replaces the old one. Registries go to certs.d, proxies to a drop-in of the unit. ' +
    'containerd is restarted when it still runs with an older program or configuration than the one on disk, and must then have its CRI ' +
    'plugin up; containers keep running meanwhile.',
  args: schema,
  returns: {
    version: 'version of containerd',
    config_version: 'version of config.toml: 2 or 3',
    sandbox_image: 'the pause image that was configured; absent when it is containerd’s default',
  },
  examples: [
    { name: 'For the kubeadm that is on the host', yaml: 'containerd:\n  kubernetes_version: v1.34.1' },
    {
      name: 'A site with a mirror and a proxy',
      yaml:
        'containerd:\n  sandbox_image: registry.example.org/pause:3.10\n  registries:\n    docker.io:\n' +
        '      server: https://registry-1.docker.io\n      mirrors: [https://mirror.example.org]\n    registry.example.org:\n' +
        '      mirrors:\n        - url: https://registry.example.org\n          username: puller\n' +
        '          password: "{{ registry_password }}"\n  https_proxy: http://proxy.example.org:3128\n' +
        '  no_proxy: [10.0.0.0/8, .example.org]',
    },
  ],
  probe: (a) => ({
    host: map(
      read.script(hostScript(a), ['package:*', 'file:/usr/*', 'file:/opt/*', `unit:${UNIT}`, `file:${a.path}`]),
      ({ out }) => parseHost(out.toString('utf8')),
    ),
    plugins: containerd.cniPlugins(a.cni_bin_dirs),
    config: read.file(a.path),
    hosts: each(registryNames(a).map((name) => read.file(containerd.hostsPath(a.certs_dir, name)))),
    proxy: read.file(PROXY),
    unit: read.unit(UNIT),
  }),
  plan: (a, { host, plugins, config, hosts, proxy, unit }) => {
    if (host.version === undefined) return [notYet('containerd is not installed: install it first (role containerd)')]
    const version = supported(host.version)
    const sandboxImage = a.sandbox_image ?? host.sandboxImage
    if (sandboxImage === undefined && a.kubernetes_version !== undefined)
      return [
        notYet(
          `kubeadm does not say which pause image ${a.kubernetes_version} wants${host.complaint && `: ${host.complaint}`}; ` +
            'install it first, or give `sandbox_image`',
        ),
      ]
    const text = containerd.renderConfig(version, { ...settingsOf(a), sandboxImage })
    const links = containerd.knowsBinDirs(version) ? [] : containerd.linkPlugins(a.cni_bin_dirs, plugins)
    const write = withReason(
      change.put(text, config, {
        mode: '0644',
        owner: 'root',
        group: 'root',
        validate: `${host.binary} --config %s config dump >/dev/null`,
      }),
      reasons(config.content?.content?.toString('utf8'), a, sandboxImage, plugins),
    )
    const registries = registryNames(a).flatMap((name, i) => putHosts(a, name, hosts[i]!))
    const drops = proxyChanges(a, proxy)
    const dirty = write.length > 0 || drops.length > 0
    const folders = [a.path.replace(/\/[^/]*$/, ''), `/etc/systemd/system/${UNIT}.d`]
    return [
      ...(config.stat || write.length === 0 ? [] : [change.makeFolder(folders[0]!)]),
      ...(proxy.stat || drops.length === 0 ? [] : [change.makeFolder(folders[1]!)]),
      ...links,
      ...registries,
      ...write,
      ...drops,
      ...unitChanges(unit, dirty, host.stale && !dirty, drops.length > 0),
    ]
  },
  result: (a, { host }) => {
    const version = host.version
    const image = a.sandbox_image ?? host.sandboxImage
    return {
      version: version?.text ?? '',
      config_version: version && version.major >= 2 ? 3 : 2,
      ...(image === undefined ? {} : { sandbox_image: image }),
    }
  },
})

const registryNames = (a: Args): string[] => Object.keys(a.registries).sort()

const settingsOf = (a: Args): Omit<containerd.Settings, 'sandboxImage'> => ({
  systemdCgroup: a.systemd_cgroup,
  cniBinDirs: a.cni_bin_dirs,
  cniConfDir: a.cni_conf_dir,
  certsDir: a.certs_dir,
  extra: a.settings,
})

interface Host {
  readonly version: containerd.Version | undefined
  /** Path of the program. */
  readonly binary: string
  /** kubeadm's pause image. */
  readonly sandboxImage: string | undefined
  /** What kubeadm said instead. */
  readonly complaint: string
  /** containerd has been running since before its program, its configuration or its drop-in was written. */
  readonly stale: boolean
}

/**
 * A process's start is in ticks since the boot (proc_pid_stat(5), field 22; a name with blanks ends at the last bracket)
 * and btime in whole seconds, so a file counts as newer from two seconds on.
 */
const hostScript = (a: Args): string => `${read.SAID}
PATH=$PATH:/usr/local/sbin:/usr/local/bin
b=$(command -v containerd) || exit 0
echo "binary $b"
echo "version $("$b" --version 2>/dev/null)"
${
  a.kubernetes_version === undefined || a.sandbox_image !== undefined
    ? ''
    : `if command -v kubeadm >/dev/null; then
  i=$(said kubeadm config images list --kubernetes-version ${quote(a.kubernetes_version)}${
    a.image_repository === undefined ? '' : ` --image-repository ${quote(a.image_repository)}`
  } 2>&1) && echo "image $(printf '%s\\n' "$i" | grep '/pause:')" || echo "complaint $(printf '%s' "$i" | head -n 1)"
fi`
}
p=$(systemctl show -p MainPID --value ${UNIT} 2>/dev/null)
case $(readlink "/proc/$p/exe" 2>/dev/null) in *' (deleted)') echo stale ;; esac
[ "\${p:-0}" != 0 ] && s=$(cat "/proc/$p/stat" 2>/dev/null) || exit 0
set -- \${s##*)}
t=$(getconf CLK_TCK 2>/dev/null || echo 100)
while read -r k v; do [ "$k" != btime ] || break; done < /proc/stat
for f in ${quote(a.path)} ${quote(PROXY)}; do
  m=$(stat -L -c %Y "$f" 2>/dev/null) || continue
  [ "$m" -le $((v + \${20} / t + 1)) ] || echo stale
done
exit 0`

function parseHost(text: string): Host {
  const of = (word: string): string | undefined =>
    text
      .split('\n')
      .find((l) => l.startsWith(`${word} `))
      ?.slice(word.length + 1)
      .trim()
  return {
    version: containerd.parseVersion(of('version') ?? ''),
    binary: of('binary') ?? 'containerd',
    sandboxImage: of('image') || undefined,
    complaint: of('complaint') ?? '',
    stale: /^stale$/m.test(text),
  }
}

/** Throws TaskFailure for a version whose configuration we cannot write. */
function supported(version: containerd.Version): containerd.Version {
  if (containerd.atLeast(version, 1, 6)) return version
  throw new TaskFailure(
    `containerd ${version.text} is too old: kubelet needs the CRI version v1, which came with 1.6. Install a newer one ` +
      '(role containerd, containerd_source: repository or archive)',
  )
}

/** In check mode what this task needs may be about to be installed by an earlier one; for real, it is a failure. */
const notYet = (what: string): Change =>
  change.script(`echo ${quote(what)} >&2; exit 1`, {
    summary: 'configure containerd once it is installed',
    touches: [],
  })

const folderOf = (path: string): string => path.replace(/\/[^/]*$/, '')

/** Why a configuration that is there would not have worked, for the report. */
function reasons(
  before: string | undefined,
  a: Args,
  sandboxImage: string | undefined,
  plugins: readonly containerd.Plugin[],
): string[] {
  const existing = before === undefined ? undefined : containerd.readConfig(before)
  if (before === undefined) return []
  if (!existing) return ['the old one was no TOML']
  const filled = [...new Set(plugins.filter((p) => !p.dangling).map((p) => folderOf(p.path)))]
  const looked = existing.cniBinDirs
  return [
    ...(existing.criDisabled ? ['CRI was disabled'] : []),
    ...(looked.length > 0 && filled.length > 0 && !looked.some((d) => filled.includes(d))
      ? [`it looked for CNI plugins in ${looked.join(', ')}, but they are in ${filled.join(', ')}`]
      : []),
    ...(a.systemd_cgroup && !existing.systemdCgroup ? ['its cgroup driver was not kubelet’s'] : []),
    ...(sandboxImage !== undefined && existing.sandboxImage !== undefined && existing.sandboxImage !== sandboxImage
      ? [`its pause image was ${existing.sandboxImage}`]
      : []),
  ]
}

const withReason = (changes: readonly Change[], why: readonly string[]): Change[] =>
  changes.map((c, i) => (i === 0 && why.length > 0 ? { ...c, summary: `${c.summary}: ${why.join('; ')}` } : c))

function putHosts(a: Args, name: string, state: read.FileState): Change[] {
  const registry = a.registries[name]!
  const secret = registry.mirrors.some((m) => m.password !== undefined)
  const text = containerd.renderHosts(registry)
  const mode = secret ? '0600' : '0644'
  const changes = change.put(text, state, { mode, owner: 'root', group: 'root' })
  // A diff would show what was made of the password.
  const shown = secret ? changes.map((c) => ({ ...c, diff: undefined })) : changes
  return state.stat || changes.length === 0 ? shown : [change.makeFolder(folderOf(state.path)), ...shown]
}

function proxyChanges(a: Args, state: read.FileState): Change[] {
  const values = { HTTP_PROXY: a.http_proxy, HTTPS_PROXY: a.https_proxy, NO_PROXY: a.no_proxy?.join(',') }
  const lines = Object.entries(values).flatMap(([k, v]) => (v ? [`Environment="${k}=${v}"`] : []))
  if (lines.length === 0) {
    if (!state.stat) return []
    const summary = `remove ${PROXY}`
    return [change.run(['rm', '-f', '--', PROXY], { summary, touches: [`file:${PROXY}`, 'unit:*'] })]
  }
  const text = `# Written by runbook; changes made here are lost.\n[Service]\n${lines.join('\n')}\n`
  // A proxy's URL may hold a password.
  const secret = lines.some((l) => /\/\/[^/]*@/.test(l))
  const changes = change.put(text, state, { mode: secret ? '0600' : '0644', owner: 'root', group: 'root' })
  return changes.map((c) => ({ ...c, touches: [...c.touches, 'unit:*'], ...(secret ? { diff: undefined } : {}) }))
}

/** Which restarts and starts are needed, and that CRI is up behind them. */
function unitChanges(unit: read.UnitState, dirty: boolean, stale: boolean, reload: boolean): Change[] {
  const runs = unit.active === 'active' || unit.active === 'reloading'
  const restart = runs && (dirty || stale)
  const changes = change.unitChanges(unit, { enabled: true, state: restart ? undefined : 'started', rewritten: reload })
  const why = stale ? ' (it runs as it was before the last change)' : ''
  return [
    ...changes.map((c) => (c.script?.includes('systemctl start') ? withCri(c) : c)),
    ...(restart
      ? change
          .unitChanges({ ...unit, needReload: false }, { state: 'restarted' })
          // What makes it stale is seen by the next probe, so that one counts for convergence.
          .map((c) => withCri({ ...c, summary: `${c.summary}${why}`, transient: !stale }))
      : []),
  ]
}

/** containerd says that it is up even when its CRI plugin is not: `ctr plugins ls` tells. */
const withCri = (c: Change): Change => ({
  ...c,
  script: `${c.script}
n=0
while :; do
  l=$(PATH=$PATH:/usr/local/bin ctr plugins ls 2>&1 | grep -E 'io.containerd.(grpc.v1 +cri |cri.v1 )')
  if [ -n "$l" ] && ! printf '%s\\n' "$l" | grep -qv ' ok *$'; then exit 0; fi
  n=$((n + 1))
  [ $n -lt 20 ] || break
  sleep 0.5
done
{ echo "containerd runs, but its CRI plugin does not:"; printf '%s\\n' "$l"; journalctl -q --no-pager -o cat -n 100 -u ${UNIT} | grep -i cri | tail -n 5; } >&2
exit 1`,
})
