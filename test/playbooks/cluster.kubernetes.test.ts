/** The playbooks of the cluster with runners, and kubeadm, that die in the middle of init and join. */
import t, { type Test } from 'tap'
import { kubectl } from '../lab/kubernetes/cluster.ts'
import { skipWithoutKubernetes } from '../lab/kubernetes/skip.ts'
import { bootSite, CLUSTER, converges, HOSTS, nothingToDo, RESET, type Site, succeeded } from './site.ts'

const skip = skipWithoutKubernetes()
const HOUR = 60 * 60_000
t.setTimeout(HOUR)

/** Ends the runner as a power cut would, when kubeadm has been at work on a host for so long. */
async function killDuring(t: Test, { lab, start }: Site, host: string, ms: number, kubeadmToo: boolean): Promise<void> {
  const { child, ended } = start('apply', CLUSTER)
  // One process inside the host: a look from here takes longer than a join may. Other kubeadms (version, config validate)
  // come and go before.
  const script = `n=0
until pgrep -f '^kubeadm (init|join) ' >/dev/null; do n=$((n + 1)); [ "$n" -lt 10000 ] || exit 1; sleep 0.05; done
sleep ${ms / 1000}
${kubeadmToo ? 'pkill -KILL' : 'pgrep'} -f '^kubeadm (init|join) ' >/dev/null || exit 2`
  const seen = lab.lab.exec(host, ['sh', '-c', script], { timeoutMs: HOUR }).then(({ rc }) => rc)
  const first = await Promise.race([seen, ended])
  if (typeof first === 'object') t.comment(first.output.slice(-3000))
  t.equal(first, 0, 'kubeadm was at work')
  child.kill('SIGKILL')
  await ended
}

t.test('one control plane, one worker', { skip, timeout: HOUR }, async (t) => {
  await using one = await bootSite({ controlPlanes: 1, workers: 1 })
  const { lab, runbook } = one
  succeeded(t, await runbook('apply', HOSTS), 'the hosts are prepared')
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
    const reset = await runbook('apply', RESET, '-e', 'nodes=n2')
    succeeded(t, reset)
    t.notMatch(await kubectl(lab, ['get', 'nodes']), /n2/)
    const links = await lab.lab.exec('n2', ['sh', '-c', 'ls /sys/class/net /etc/cni/net.d; iptables-save'])
    t.notMatch(links.stdout, /cni0|flannel|KUBE-/)
    await converges(t, one)
  })
  await t.test('an init that is cut off at several places', async (t) => {
    for (const ms of [1500, 3000, 6000]) {
      const reset = await runbook('apply', RESET, '-e', '{"nodes": "all", "end_of_cluster": true}')
      succeeded(t, reset)
      await killDuring(t, one, 'n1', ms, true)
      await converges(t, one)
    }
  })
})
