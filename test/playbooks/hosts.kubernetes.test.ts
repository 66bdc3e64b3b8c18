/** From booted hosts to a cluster by the playbooks alone, and what preflight and doctor say of it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { stringify } from 'yaml'
import { kubectl } from '../lab/kubernetes/cluster.ts'
import { bootKubernetesLab, RELEASES } from '../lab/kubernetes/index.ts'
import { skipWithoutKubernetes } from '../lab/kubernetes/skip.ts'
import { ROOT, runbook } from './runbook.ts'

const HOUR = 60 * 60_000
t.setTimeout(HOUR)

t.test('hosts.yml and cluster.yml', { skip: skipWithoutKubernetes(), timeout: HOUR }, async (t) => {
  await using site = await bootKubernetesLab({ controlPlanes: 1, workers: 1 })
  const folder = mkdtempSync(join(tmpdir(), 'runbook-hosts-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const names = (hosts: readonly { name: string }[]) => ({
    hosts: Object.fromEntries(hosts.map(({ name }) => [name, null])),
  })
  const inventory = join(folder, 'inventory.yml')
  const vars = {
    kubernetes_version: RELEASES[site.minor].kubernetes,
    kubernetes_service_subnet: '10.96.0.0/16',
    // The programs are on the hosts as packages have them; there is no repository here, and no time server.
    kubernetes_packages_source: 'none',
    kubernetes_host_time_sync: 'none',
    containerd_source: 'none',
    preflight_ignore: ['cpu', 'memory', 'disk'],
    // A network namespace may not set what is the machine's; 0 leaves it alone.
    kubernetes_documents: [
      {
        apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
        kind: 'KubeProxyConfiguration',
        conntrack: { maxPerCore: 0, min: 0 },
      },
    ],
    cni_manifest: site.kubernetes.shared.flannelManifest,
  }
  writeFileSync(
    inventory,
    stringify({ control_plane: names(site.controlPlanes), workers: names(site.workers), all: { vars } }),
  )
  const playbook = (name: string) => join(ROOT, 'playbooks', name)
  const apply = (...more: string[]) =>
    runbook(site.lab, ['apply', playbook('hosts.yml'), '-i', inventory, ...more], playbook('cluster.yml'))
  const exec = (host: string, script: string) => site.lab.exec(host, ['sh', '-c', script])
  const doctor = async (node: string) => {
    const { rc, failed } = await runbook(site.lab, ['node', 'doctor'], node)
    return { rc, said: failed[0]?.msg ?? '' }
  }

  const first = await apply()
  t.match(first, { rc: 0, failed: [] }, first.err)
  t.match(await kubectl(site, ['get', 'nodes']), /n1 +Ready.*\nn2 +Ready/)

  const second = await apply()
  t.match(second, { rc: 0, changed: [], failed: [] }, 'nothing to do the second time')
  t.ok(second.scripts <= 10, `${second.scripts} scripts a host`)
  t.comment(
    `from booted hosts to Ready: ${first.seconds.toFixed(1)} s, ${first.scripts} scripts; again: ${second.seconds.toFixed(1)} s, ${second.scripts} scripts`,
  )

  await t.test('the doctor', async (t) => {
    for (const node of ['n1', 'n2']) t.match(await doctor(node), { rc: 0 }, `${node} is well`)
    await exec('n2', 'mv /etc/cni/net.d /etc/cni/away')
    t.match((await doctor('n2')).said, /first broken link is cni: there is no CNI configuration/)
    await exec('n2', 'mv /etc/cni/away /etc/cni/net.d; systemctl stop kubelet')
    t.match((await doctor('n2')).said, /first broken link is kubelet: kubelet is inactive/)
    await exec('n2', 'systemctl start kubelet')
    await exec(
      'n1',
      'mv /etc/kubernetes/manifests/kube-apiserver.yaml /root; while pgrep -x kube-apiserver; do sleep 1; done',
    )
    t.match((await doctor('n2')).said, /first broken link is api: the API server https:\/\/\S+:6443 does not answer/)
    await exec('n1', 'mv /root/kube-apiserver.yaml /etc/kubernetes/manifests')
    for (let n = 0; n < 60 && (await doctor('n2')).rc !== 0; n++) await new Promise((done) => setTimeout(done, 2000))
    t.match(await doctor('n2'), { rc: 0 })
  })

  await t.test('preflight knows whose node it is, and of which version', async (t) => {
    const other = await apply('-e', 'kubernetes_endpoint=192.0.2.1:6443')
    t.equal(other.rc, 2)
    t.match(
      other.failed[1]?.msg,
      /cluster: the host is in another cluster, https:\/\/\S+:6443 .*not in 192\.0\.2\.1:6443/,
    )
    const newer = await apply('-e', 'kubernetes_version=v1.36.0')
    t.match(newer.failed[0]?.msg, /version: the node runs kubelet 1\.\d+\.\d+, v1\.36\.0 is \d minor versions newer/)
  })
})
