import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { apiAddress, bareCluster } from './cluster.ts'
import { bootKubernetesLab } from './index.ts'
import { skipWithoutKubernetes } from './skip.ts'

const skip = skipWithoutKubernetes()
t.setTimeout(45 * 60_000) // the first run on a machine builds Kubernetes

t.test('three control planes outlive one of them', { skip, timeout: 45 * 60_000 }, async (t) => {
  await using lab = await bootKubernetesLab({ controlPlanes: 3, workers: 1 })
  const started = performance.now()
  const timings = await bareCluster(lab)
  t.comment(`nodes Ready in ${Math.round(performance.now() - started) / 1000} s: ${JSON.stringify(timings)} ms`)

  const holders = async () => {
    const up = lab.controlPlanes.filter((host) => lab.lab.isOn(host.name))
    const answers = await Promise.all(
      up.map((host) => lab.lab.exec(host.name, ['ip', '-4', 'address', 'show', 'dev', 'host0'])),
    )
    return up.filter((_, i) => answers[i]!.stdout.includes(` ${apiAddress(lab)}/`)).map((host) => host.name)
  }
  const [leader, ...more] = await holders()
  t.ok(leader, 'one control plane has the virtual IP')
  t.same(more, [], 'only one')

  const other = lab.controlPlanes.find((host) => host.name !== leader)!
  const nodes = () =>
    lab.lab.exec(other.name, ['kubectl', '--request-timeout=3s', 'get', 'nodes', '-o', 'name'], {
      env: { KUBECONFIG: '/etc/kubernetes/admin.conf' },
    })
  t.equal((await nodes()).stdout.trim().split('\n').length, 4, 'the API answers at the virtual IP')
  await lab.lab.kill(leader!)
  const killed = performance.now()
  while ((await nodes()).rc !== 0 && performance.now() - killed < 60_000) await sleep(250)
  t.equal((await nodes()).rc, 0, 'the API answers at the virtual IP again')
  t.comment(`after ${Math.round(performance.now() - killed) / 1000} s`)
  t.not((await holders())[0], leader, 'another control plane has it')

  await lab.lab.powerOn(leader!)
  const { address } = lab.controlPlanes.find((host) => host.name === leader)!
  const env = { KUBECONFIG: '/etc/kubernetes/admin.conf' }
  const ready = () =>
    lab.lab.exec(other.name, ['kubectl', `--server=https://${address}:6443`, 'get', '--raw=/readyz'], { env })
  const powered = performance.now()
  while ((await ready()).rc !== 0 && performance.now() - powered < 120_000) await sleep(500)
  t.equal((await ready()).stdout, 'ok', 'the API server of the one that was off serves again')
  t.equal((await holders()).length, 1, 'still only one has the virtual IP')
})
