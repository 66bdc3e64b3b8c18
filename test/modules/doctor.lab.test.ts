/** Each link of a node broken for real: kernel, disk, containerd, socket, kubelet, CNI, API. */
import containerd from '../../modules/containerd.ts'
import doctor from '../../modules/doctor.ts'
import { onLab } from './on-lab.ts'

onLab('doctor', async (t, host) => {
  const { sh } = host
  /** The first broken link and what is said, '' when the chain holds. */
  const look = (): Promise<string> =>
    host.check(doctor, {}).then(
      () => '',
      (error: Error) => error.message,
    )
  const is = async (link: string, ...says: RegExp[]) => {
    const said = await look()
    t.match(said, new RegExp(`^n1: the first broken link is ${link}: `))
    for (const pattern of says) t.match(said, pattern)
  }

  await is('kernel', /ip_forward is 0/)
  await sh('sysctl -qw net.ipv4.ip_forward=1')
  await is('containerd', /containerd is inactive/)
  await sh('cp /bin/true /bin/ok; mkdir -p /opt/cni/bin /etc/cni/net.d')
  await host.apply(containerd, { sandbox_image: 'registry.example/pause:1' })
  await is('kubelet', /kubelet is not installed/)

  // A kubelet that does what it is told here, and an API server that answers.
  await sh(`cat > /etc/systemd/system/kubelet.service <<'EOF'
[Service]
ExecStart=/bin/sh -c '. /root/kubelet'
Restart=always
RestartSec=1
EOF
echo 'exec sleep 1000' > /root/kubelet
systemctl daemon-reload && systemctl start kubelet`)
  await is('kubelet', /in no cluster/)
  await sh(`mkdir -p /etc/kubernetes /var/lib/kubelet/pki && echo x > /var/lib/kubelet/config.yaml
openssl req -x509 -newkey rsa:2048 -nodes -keyout /root/key -out /root/cert -days 1 -subj /CN=api 2>/dev/null
printf 'clusters:\\n- cluster:\\n    server: https://127.0.0.1:6443\\n' > /etc/kubernetes/kubelet.conf`)
  await is('cni', /no CNI configuration/)
  await sh(
    `echo '{"plugins": [{"type": "flannel", "delegate": {}}, {"type":"portmap"}]}' > /etc/cni/net.d/10-flannel.conflist; cp /bin/true /opt/cni/bin/flannel`,
  )
  await is('cni', /names portmap, and containerd finds no such plugin in \/opt\/cni\/bin/)
  await sh('mkdir -p /usr/lib/cni && mv /opt/cni/bin/flannel /usr/lib/cni && cp /bin/true /usr/lib/cni/portmap')
  await is('cni', /names flannel, portmap.*plugins are in \/usr\/lib\/cni, where containerd does not look/s)
  await host.apply(containerd, { sandbox_image: 'registry.example/pause:1' })
  await is('api', /https:\/\/127\.0\.0\.1:6443 does not answer: .*(refused|connect)/i)
  await sh('systemd-run -q --unit rb-api openssl s_server -accept 6443 -cert /root/cert -key /root/key -www; sleep 1')
  t.equal(await look(), '', 'the chain holds')

  await t.test('a certificate that ended', async () => {
    await sh(
      'openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -out /var/lib/kubelet/pki/kubelet-client-current.pem -days -1 -subj /CN=n1 2>/dev/null || openssl x509 -in /root/cert -signkey /root/key -days -1 -out /var/lib/kubelet/pki/kubelet-client-current.pem 2>/dev/null',
    )
    await is('kubelet', /client certificate ended on \d{4}-\d\d-\d\d/)
    await sh('cp /root/cert /var/lib/kubelet/pki/kubelet-client-current.pem')
    t.equal(await look(), '')
  })

  await t.test('kubelet crashes, and says why', async () => {
    await sh(
      `echo 'echo "failed to run Kubelet: running with swap on is not supported" >&2; exit 1' > /root/kubelet; systemctl restart kubelet; sleep 3`,
    )
    await is(
      'kubelet',
      /crashing again and again, exit-code \(\d+ restarts\); it said: .*running with swap on/,
      /1\. swap is on/,
    )
    await sh('echo "exec sleep 1000" > /root/kubelet; systemctl restart kubelet')
  })

  await t.test('containerd hangs; its socket goes; CRI is off', async () => {
    await sh('systemctl kill -s STOP containerd')
    await is('socket', /does not answer at its socket: no answer within 5 s/)
    await sh('systemctl kill -s CONT containerd; rm /run/containerd/containerd.sock')
    await is('socket', /containerd\.sock is not there/)
    await sh(
      'sed -i "s/disabled_plugins = .*/disabled_plugins = [\\"io.containerd.grpc.v1.cri\\"]/" /etc/containerd/config.toml; systemctl restart containerd; sleep 1',
    )
    await is('socket', /CRI plugin is not up/)
    await host.apply(containerd, { sandbox_image: 'registry.example/pause:1' })
    t.equal(await look(), '')
  })

  await t.test('containerd crashes over its configuration', async () => {
    await sh(
      'cp /etc/containerd/config.toml /root; echo "version = [" > /etc/containerd/config.toml; systemctl restart containerd || true; sleep 1',
    )
    await is('containerd', /it said: .*toml/i, /role containerd again/)
    await sh('cp /root/config.toml /etc/containerd; systemctl reset-failed containerd; systemctl restart containerd')
  })

  await t.test('a read-only file system, and what follows from it', async () => {
    await sh(`systemctl stop containerd kubelet
mount -t tmpfs rb-disk /var/lib/containerd && mount -o remount,ro /var/lib/containerd
printf '[Service]\\nRestartSec=1\\n' > /run/rb.conf; mkdir -p /run/systemd/system/containerd.service.d && mv /run/rb.conf /run/systemd/system/containerd.service.d/rb.conf
echo 'test -S /run/containerd/containerd.sock && exec sleep 1000; echo "validate service connection: container runtime is not running" >&2; exit 1' > /root/kubelet
rm -f /run/containerd/containerd.sock; systemctl daemon-reload; systemctl start --no-block containerd; systemctl start --no-block kubelet; sleep 4`)
    await is(
      'disk',
      /\/var\/lib\/containerd is mounted read-only \(tmpfs on rb-disk\)/,
      /containerd +broken .*read-only file system/,
      /what happened: .*read-only file system → containerd crash → kubelet crash → NodeStatusUnknown/,
    )
  })
})
