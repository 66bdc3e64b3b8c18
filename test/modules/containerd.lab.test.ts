/** containerd from Debian (1.6) on a host with systemd: configured, parsed by itself, restarted when needed and only then. */
import containerd from '../../modules/containerd.ts'
import { onLab } from './on-lab.ts'

onLab('containerd', async (t, host) => {
  const { sh } = host
  const configured = async (args: object) => {
    const said = await host.check(containerd, args)
    const { changes, result } = await host.apply(containerd, args)
    t.same(
      changes.map((c) => c.summary),
      said,
      'what check mode said',
    )
    t.same(await host.check(containerd, args), [], 'nothing to do the second time')
    return { said, result }
  }
  const dump = (what: string) => sh(`containerd config dump | grep -E ${JSON.stringify(what)} | tr -d ' '`)
  const pid = () => sh('systemctl show -p MainPID --value containerd')

  await t.test('as Debian ships it, with plugins where they usually come to be', async (t) => {
    await sh('mkdir -p /opt/cni/bin && cp /bin/true /opt/cni/bin/bridge')
    const { said, result } = await configured({ sandbox_image: 'registry.example/pause:1' })
    t.match(said, [
      /^write \/etc\/containerd\/config.toml.*: it looked for CNI plugins in \/usr\/lib\/cni, but they are in \/opt\/cni\/bin; its cgroup driver/,
      'enable containerd.service',
      'start containerd.service',
    ])
    t.match(result, { version: /^1\.6\./, config_version: 2, sandbox_image: 'registry.example/pause:1' })
    t.match(await dump('SystemdCgroup|sandbox_image|bin_dir'), /bin_dir="\/opt\/cni\/bin"/)
    t.match(await dump('SystemdCgroup'), /SystemdCgroup=true/)
    t.match(await dump('sandbox_image'), /"registry.example\/pause:1"/)
    t.match(await sh('ctr plugins ls'), /grpc\.v1 +cri +\S+ +ok/)
  })

  await t.test('plugins of Debian’s package are linked; no restart for that', async (t) => {
    const before = await pid()
    await sh('mkdir -p /usr/lib/cni && cp /bin/true /usr/lib/cni/bridge && cp /bin/true /usr/lib/cni/portmap')
    const args = { sandbox_image: 'registry.example/pause:1' }
    t.same((await configured(args)).said, ['link 1 CNI plugins of /usr/lib/cni into /opt/cni/bin'])
    t.equal(await sh('readlink /opt/cni/bin/portmap'), '/usr/lib/cni/portmap\n')
    await sh('rm /usr/lib/cni/portmap')
    t.same((await configured(args)).said, ['remove 1 links to CNI plugins that are gone'])
    t.equal(await sh('ls /opt/cni/bin'), 'bridge\n')
    t.equal(await pid(), before)
  })

  const args = {
    sandbox_image: 'registry.example/pause:2',
    registries: {
      'docker.io': {
        server: 'https://registry-1.docker.io',
        mirrors: [{ url: 'http://127.0.0.1:5999', username: 'puller', password: 'p"w' }],
      },
    },
    https_proxy: 'http://127.0.0.1:3128',
    no_proxy: ['10.0.0.0/8', '127.0.0.1'],
  }
  await t.test('registry, credentials, proxy', async (t) => {
    const { said } = await configured(args)
    t.match(said.at(-1), 'restart containerd.service')
    t.equal(await sh('stat -c %a /etc/containerd/certs.d/docker.io/hosts.toml'), '600\n')
    t.match(
      await sh('tr "\\0" "\\n" < /proc/$(systemctl show -p MainPID --value containerd)/environ'),
      /^NO_PROXY=10\.0\.0\.0\/8,127\.0\.0\.1$/m,
    )
    // A listener that keeps what it is asked, in the place of the mirror.
    await sh(
      `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:5999", Listen => 5, ReuseAddr => 1) or die; open F, ">/run/rb-ready"; close F; alarm 20; while ($c = $s->accept) { open F, ">>/run/rb-asked"; while (<$c>) { print F $_; last if /^\\r?$/ } close F; print $c "HTTP/1.1 404 Not Found\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n"; close $c }' >/dev/null 2>&1 & until [ -e /run/rb-ready ]; do sleep 0.1; done`,
    )
    await sh(
      'timeout 10 ctr images pull --hosts-dir /etc/containerd/certs.d docker.io/library/none:1 >/dev/null 2>&1 || true',
    )
    const asked = await sh('cat /run/rb-asked')
    t.match(asked, /\/v2\/library\/none\/manifests\/1\?ns=docker\.io/, 'the mirror is asked')
    t.match(asked, `Authorization: Basic ${Buffer.from('puller:p"w').toString('base64')}`)
  })

  await t.test('a run that was killed before its restart', async (t) => {
    const before = await pid()
    await sh('touch -d "10 seconds" /etc/containerd/config.toml')
    t.same(await host.check(containerd, args), [
      'restart containerd.service (it runs as it was before the last change)',
    ])
    await sh('sleep 2; touch /etc/containerd/config.toml; sleep 1')
    await configured(args)
    const after = await pid()
    t.not(after, before)
    await sh('cp -p /usr/bin/containerd /root/new && mv /root/new /usr/bin/containerd')
    t.same((await configured(args)).said, ['restart containerd.service (it runs as it was before the last change)'])
    t.not(await pid(), after, 'another program')
  })

  await t.test('a configuration that containerd does not take never gets there', async (t) => {
    const before = [await pid(), await sh('cat /etc/containerd/config.toml')]
    const wrong = { ...args, settings: { oom_score: 'high' } }
    await t.rejects(host.apply(containerd, wrong), /validate refused the new content of \/etc\/containerd\/config.toml/)
    t.same([await pid(), await sh('cat /etc/containerd/config.toml')], before)
  })

  await t.test('one whose CRI plugin does not come up is a failure that says so', async (t) => {
    const wrong = {
      ...args,
      settings: {
        plugins: {
          'io.containerd.grpc.v1.cri': {
            stream_server_port: 'none',
            registry: { mirrors: { a: { endpoint: ['http://a'] } } },
          },
        },
      },
    }
    await t.rejects(host.apply(containerd, wrong), /its CRI plugin does not.*mirrors.*config_path/s)
    await configured(args)
    t.match(await sh('ctr plugins ls'), /grpc\.v1 +cri +\S+ +ok/)
  })

  await t.test('without proxy and pause image', async (t) => {
    const { said } = await configured({})
    t.match(said.join('\n'), /remove .*runbook-proxy\.conf/)
    t.match(await dump('sandbox_image'), /registry.k8s.io\/pause/)
  })
})
