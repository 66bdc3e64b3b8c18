/** Each link of a real node broken, and what the doctor says; and whose node preflight takes a host for. */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { skipWithoutKubernetes } from '../lab/kubernetes/skip.ts'
import { bootSite, converges, HOSTS, SITE } from './site.ts'

const HOUR = 60 * 60_000
t.setTimeout(HOUR)

/** How n2 is broken, what is said first, and how it is mended. */
const BROKEN: readonly [link: string, breaks: string, says: RegExp, mends: string][] = [
  ['kernel', 'sysctl -qw net.ipv4.ip_forward=0', /net\.ipv4\.ip_forward is 0/, 'sysctl -qw net.ipv4.ip_forward=1'],
  [
    'disk',
    'mount -t tmpfs -o ro lab-disk /var/lib/kubelet',
    /\/var\/lib\/kubelet is mounted read-only \(tmpfs on lab-disk\)/,
    'umount /var/lib/kubelet; systemctl restart kubelet',
  ],
  [
    'containerd',
    'cp /etc/containerd/config.toml /root; echo "version = [" >/etc/containerd/config.toml; systemctl restart containerd',
    /containerd is .*it said: .*toml/i,
    'cp /root/config.toml /etc/containerd; systemctl reset-failed containerd; systemctl restart containerd',
  ],
  [
    'socket',
    'systemctl kill --kill-whom=main -s STOP containerd',
    /does not answer at its socket/,
    'systemctl kill --kill-whom=main -s CONT containerd',
  ],
  ['kubelet', 'systemctl stop kubelet', /kubelet is inactive/, 'systemctl start kubelet'],
  [
    'kubelet',
    'cp /var/lib/kubelet/kubeadm-flags.env /root; sed -i "s/ARGS=\\"/&--no-such-flag /" /var/lib/kubelet/kubeadm-flags.env; systemctl restart kubelet; sleep 15',
    /crashing again and again.*unknown flag: --no-such-flag[\s\S]*1\. a flag is not known/,
    'cp /root/kubeadm-flags.env /var/lib/kubelet; systemctl restart kubelet',
  ],
  ['cni', 'mv /etc/cni/net.d /etc/cni/away', /there is no CNI configuration/, 'mv /etc/cni/away /etc/cni/net.d'],
  [
    'cni',
    'mv /opt/cni/bin/flannel /root',
    /10-flannel\.conflist names flannel, and containerd finds no such plugin in \/opt\/cni\/bin/,
    'mv /root/flannel /opt/cni/bin',
  ],
]

t.test('the doctor', { skip: skipWithoutKubernetes(), timeout: HOUR }, async (t) => {
  await using site = await bootSite({ controlPlanes: 1, workers: 1 })
  const { runbook, exec } = site
  await converges(t, site, SITE)
  const doctor = async (node: string) => {
    const { rc, failed } = await runbook('node', 'doctor', node)
    return { rc, said: failed[0]?.msg ?? '' }
  }
  /** kubelet takes its time to say that it is well again. */
  const isWell = async (t: Test, node: string) => {
    let last = await doctor(node)
    for (const end = Date.now() + 600_000; last.rc !== 0 && Date.now() < end; last = await doctor(node))
      await sleep(2000)
    t.same(last, { rc: 0, said: '' }, `${node} is well`)
  }
  for (const node of ['n1', 'n2']) await isWell(t, node)

  for (const [link, breaks, says, mends] of BROKEN) {
    await t.test(`${link}: ${breaks.split(';').at(-1)}`, async (t) => {
      await exec('n2', breaks)
      const { rc, said } = await doctor('n2')
      await exec('n2', mends)
      t.equal(rc, 2)
      t.match(said, new RegExp(`^n2: the first broken link is ${link}: `))
      t.match(said, says)
      await isWell(t, 'n2')
    })
  }

  await t.test('api', async (t) => {
    const manifest = '/etc/kubernetes/manifests/kube-apiserver.yaml'
    await exec('n1', `mv ${manifest} /root; while pgrep -x kube-apiserver; do sleep 1; done`)
    t.match((await doctor('n2')).said, /first broken link is api: the API server https:\/\/\S+:6443 does not answer/)
    await exec('n1', `mv /root/kube-apiserver.yaml ${manifest}`)
    await isWell(t, 'n2')
  })

  await t.test('preflight knows whose node it is, and of which version', async (t) => {
    const other = await runbook('apply', HOSTS, '-e', 'kubernetes_endpoint=192.0.2.1:6443')
    t.equal(other.rc, 2)
    t.match(
      other.failed[1]?.msg,
      /cluster: the host is in another cluster, https:\/\/\S+:6443 .*not in 192\.0\.2\.1:6443/,
    )
    const newer = await runbook('apply', HOSTS, '-e', 'kubernetes_version=v1.36.0')
    t.match(newer.failed[0]?.msg, /version: the node runs kubelet 1\.\d+\.\d+, v1\.36\.0 is \d minor versions newer/)
  })
})
