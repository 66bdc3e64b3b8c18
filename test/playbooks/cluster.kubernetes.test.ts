/** The playbooks of the cluster on real hosts with real Kubernetes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { stringify } from 'yaml'
import { apiAddress, kubectl } from '../lab/kubernetes/cluster.ts'
import {
  bootKubernetesLab,
  installRelease,
  type KubernetesLab,
  LAB_IMAGES,
  loadImages,
  NEWEST,
  RELEASES,
} from '../lab/kubernetes/index.ts'
import { skipWithoutKubernetes } from '../lab/kubernetes/skip.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const skip = skipWithoutKubernetes()
const HOUR = 60 * 60_000

/** What the host half of the site leaves behind. */
const HOST = (pause: string) => `set -e
mkdir -p /etc/containerd
containerd config default |
  sed -e 's/SystemdCgroup = false/SystemdCgroup = true/' -e 's#sandbox_image = .*#sandbox_image = "registry.k8s.io/pause:${pause}"#' \\
    >/etc/containerd/config.toml
echo net.ipv4.ip_forward=1 >/etc/sysctl.d/90-kubernetes.conf
sysctl -q -p /etc/sysctl.d/90-kubernetes.conf
systemctl enable --quiet containerd
systemctl restart containerd`

interface Site extends AsyncDisposable {
  readonly lab: KubernetesLab
  /** Runs runbook; its output and status. */
  runbook(...argv: string[]): Promise<{ rc: number; output: string }>
  start(...argv: string[]): ChildProcess
}

async function site(
  controlPlanes: number,
  workers: number,
  minor = NEWEST,
  alsoBuild: (typeof NEWEST)[] = [],
): Promise<Site> {
  const lab = await bootKubernetesLab({ controlPlanes, workers, minor, alsoBuild })
  const folder = await mkdtemp(path.join(tmpdir(), 'runbook-site-'))
  const host = HOST(RELEASES[minor].pauseTag)
  await Promise.all(lab.lab.hosts.map(({ name }) => lab.lab.exec(name, ['sh', '-c', host])))
  const inventory = path.join(folder, 'inventory.yml')
  const names = (hosts: readonly { name: string }[]) => ({
    hosts: Object.fromEntries(hosts.map(({ name }) => [name, null])),
  })
  const vars = {
    kubernetes_version: RELEASES[minor].kubernetes,
    kubernetes_service_subnet: '10.96.0.0/16',
    kubernetes_virtual_ip: controlPlanes > 1 ? apiAddress(lab) : '',
    kube_vip_image: LAB_IMAGES.vip,
    kube_vip_interface: 'host0',
    kubernetes_upgrade_packages: false,
    kubernetes_documents: [
      // A network namespace may not set what is the machine's; 0 leaves it alone.
      {
        apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
        kind: 'KubeProxyConfiguration',
        conntrack: { maxPerCore: 0, min: 0 },
      },
    ],
    cni_manifest: lab.kubernetes.shared.flannelManifest,
  }
  const groups = { control_plane: names(lab.controlPlanes), workers: names(lab.workers), all: { vars } }
  await writeFile(inventory, stringify(groups))
  const start = (...argv: string[]) => {
    const inventories = ['-i', lab.lab.inventoryFile, '-i', inventory, '--output', 'json']
    return spawn(process.execPath, [path.join(ROOT, 'bin/runbook.js'), ...argv, ...inventories], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }
  return {
    lab,
    start,
    async runbook(...argv) {
      const child = start(...argv)
      let output = ''
      for (const stream of [child.stdout!, child.stderr!])
        stream.setEncoding('utf8').on('data', (text: string) => (output += text))
      const rc = await new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? 255)))
      return { rc, output }
    },
    async [Symbol.asyncDispose]() {
      await lab[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const CLUSTER = 'playbooks/cluster.yml'

interface Recap {
  readonly hosts: Record<string, { changed: number; failed: number; round_trips: number }>
  readonly elapsed_ms: number
}

function recapOf(output: string): Recap {
  const line = output.split('\n').find((one) => one.includes('"recap"'))
  return JSON.parse(line ?? '{"hosts":{},"elapsed_ms":0}')
}

function succeeded(t: Test, { rc, output }: { rc: number; output: string }): void {
  if (rc !== 0) t.comment(output.slice(-3000))
  t.equal(rc, 0, 'it succeeds')
}

async function converges(t: Test, { runbook, lab }: Site): Promise<void> {
  const { rc, output } = await runbook('apply', CLUSTER)
  succeeded(t, { rc, output })
  const nodes = await kubectl(lab, ['get', 'nodes', '--no-headers'])
  t.equal(nodes.match(/ Ready /g)?.length, lab.lab.hosts.length, 'all nodes are Ready')
}

async function nothingToDo(t: Test, { runbook }: Site): Promise<void> {
  const { rc, output } = await runbook('apply', CLUSTER)
  succeeded(t, { rc, output })
  const { hosts, elapsed_ms } = recapOf(output)
  t.ok(Object.keys(hosts).length > 0)
  for (const [name, { changed, round_trips }] of Object.entries(hosts)) {
    t.equal(changed, 0, `${name} is not changed again`)
    t.ok(round_trips <= 10, `${name} is asked in ${round_trips} scripts`)
  }
  t.comment(`nothing to do: ${Math.round(elapsed_ms)} ms`)
}

/** Ends the runner as a power cut would, when kubeadm has been at work on a host for so long. */
async function killDuring(t: Test, { lab, start }: Site, host: string, ms: number, kubeadmToo: boolean): Promise<void> {
  const child = start('apply', CLUSTER)
  let output = ''
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const closed = new Promise<'ended'>((resolve) => child.on('close', () => resolve('ended')))
  // One process inside the host: a look from here takes longer than a join may.
  const script = `n=0
until [ -e /var/lib/runbook/kubeadm ] && pgrep -x kubeadm >/dev/null; do
  n=$((n + 1)); [ "$n" -lt 3000 ] || exit 1; sleep 0.05
done
sleep ${ms / 1000}
[ -e /var/lib/runbook/kubeadm ] || exit 2
${kubeadmToo ? 'pkill -KILL -x kubeadm' : ':'}`
  const seen = lab.lab.exec(host, ['sh', '-c', script], { timeoutMs: 300_000 }).then(({ rc }) => rc)
  const first = await Promise.race([seen, closed])
  if (first === 'ended') t.comment(output.slice(-3000))
  t.equal(first, 0, 'kubeadm was at work')
  child.kill('SIGKILL')
  await closed
}

t.test('one control plane, one worker', { skip, timeout: HOUR }, async (t) => {
  await using one = await site(1, 1)
  const { lab, runbook } = one
  await t.test('a plan for bare hosts', async (t) => {
    const planned = await runbook('plan', CLUSTER)
    succeeded(t, planned)
    t.match(planned.output, /kubeadm init \(v1\./)
    t.equal((await lab.lab.exec('n1', ['ls', '/etc/kubernetes/admin.conf'])).rc, 2, 'touches nothing')
  })
  await t.test('a runner that is killed while init goes on', async (t) => {
    await killDuring(t, one, 'n1', 2000, false)
    t.equal((await lab.lab.exec('n1', ['pgrep', '-x', 'kubeadm'])).rc, 0, 'and goes on without us')
  })
  await t.test('and again, with a join cut off in the middle', (t) => killDuring(t, one, 'n2', 500, true))
  await t.test('from what is left, to Ready', (t) => converges(t, one))
  await t.test('a second run', (t) => nothingToDo(t, one))
  await t.test('no token is left', async (t) => {
    const secrets = await kubectl(lab, [
      '-n',
      'kube-system',
      'get',
      'secrets',
      '-o',
      'jsonpath={.items[*].data.description}',
    ])
    const words = secrets.split(' ').map((one) => Buffer.from(one, 'base64').toString())
    t.notOk(
      words.some((one) => one.startsWith('runbook: join of n2')),
      'of a join that came to its end, nor of the one that was cut off',
    )
  })
  await t.test('a node that was deleted does not come back unasked', async (t) => {
    await kubectl(lab, ['delete', 'node', 'n2'])
    const { rc, output } = await runbook('apply', CLUSTER)
    t.equal(rc, 2)
    t.match(output, /somebody deleted it/)
    const asked = await runbook('apply', CLUSTER, '-e', '{"kubernetes_rejoin": true}')
    succeeded(t, asked)
  })
  await t.test('a worker is reset by name, and joins again', async (t) => {
    const reset = await runbook('apply', 'playbooks/reset.yml', '-e', 'nodes=n2')
    succeeded(t, reset)
    t.notMatch(await kubectl(lab, ['get', 'nodes']), /n2/)
    const links = await lab.lab.exec('n2', ['sh', '-c', 'ls /sys/class/net /etc/cni/net.d; iptables-save'])
    t.notMatch(links.stdout, /cni0|flannel|KUBE-/)
    await converges(t, one)
  })
  await t.test('an init that is cut off at several places', async (t) => {
    for (const ms of [1500, 3000, 6000]) {
      const reset = await runbook('apply', 'playbooks/reset.yml', '-e', '{"nodes": "all", "end_of_cluster": true}')
      succeeded(t, reset)
      await killDuring(t, one, 'n1', ms, true)
      await converges(t, one)
    }
  })
})

t.test('three control planes behind a virtual IP', { skip, timeout: HOUR }, async (t) => {
  await using three = await site(3, 1, '1.33', ['1.34'])
  const { lab, runbook } = three
  await t.test('made', (t) => converges(t, three))
  await t.test('a second run', (t) => nothingToDo(t, three))
  await t.test('upgraded by one minor', async (t) => {
    for (const host of lab.lab.hosts) {
      await loadImages(lab.lab, host, lab.kubernetes, ['1.34'])
      await installRelease(host, lab.kubernetes, '1.34')
    }
    const skips = await runbook('apply', 'playbooks/upgrade.yml', '-e', 'kubernetes_version=v1.35.0')
    t.match(skips.output, /skips a minor version/)
    const version = RELEASES['1.34'].kubernetes
    const { rc, output } = await runbook('apply', 'playbooks/upgrade.yml', '-e', `kubernetes_version=${version}`)
    succeeded(t, { rc, output })
    const columns = 'custom-columns=:.status.nodeInfo.kubeletVersion,:.spec.unschedulable'
    const nodes = (await kubectl(lab, ['get', 'nodes', '--no-headers', '-o', columns])).trim().split('\n')
    t.same(
      nodes.map((line) => line.trim().split(/\s+/)),
      lab.lab.hosts.map(() => [version, '<none>']),
    )
  })
  await t.test('one control plane loses its power', async (t) => {
    const held = await Promise.all(
      lab.controlPlanes.map(({ name }) => lab.lab.exec(name, ['ip', '-4', 'address', 'show', 'dev', 'host0'])),
    )
    const leader = lab.controlPlanes[held.findIndex(({ stdout }) => stdout.includes(` ${apiAddress(lab)}/`))]!
    await lab.lab.kill(leader.name)
    const { rc, output } = await runbook('apply', CLUSTER, '--limit', 'workers')
    succeeded(t, { rc, output })
    t.comment(`the API answered after ${Math.round(recapOf(output).elapsed_ms)} ms at most`)
  })
})
