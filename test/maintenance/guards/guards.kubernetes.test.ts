/** Guards on a real cluster of three control planes: its API, its etcd, nodes that go. */
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { loadKubeconfig, openCluster } from '../../../src/kubernetes/index.ts'
import { enterGuard, type GuardEvent, type GuardRequest, type Hold } from '../../../src/maintenance/guards/index.ts'
import { readNodes } from '../../../src/maintenance/guards/nodes.ts'
import { connect } from '../../../src/session/connect.ts'
import type { Connection } from '../../../src/session/session.ts'
import { bareCluster, kubectl } from '../../lab/kubernetes/cluster.ts'
import { bootKubernetesLab } from '../../lab/kubernetes/index.ts'
import { skipWithoutKubernetes } from '../../lab/kubernetes/skip.ts'
import { EXPECTED, leaseAnswers } from './lease-cases.ts'
import { settings } from './setting.ts'

const skip = skipWithoutKubernetes()
t.setTimeout(45 * 60_000) // the first run on a machine builds Kubernetes

t.test('guards of a real cluster', { skip, timeout: 45 * 60_000 }, async (t) => {
  await using lab = await bootKubernetesLab({ controlPlanes: 3, workers: 1, name: `guards-${process.pid}` })
  t.comment(JSON.stringify(await bareCluster(lab)))
  const admin = await readFile(path.join(lab.controlPlanes[0]!.rootfs, 'etc/kubernetes/admin.conf'), 'utf8')
  using cluster = openCluster(await loadKubeconfig(admin, 'admin.conf'))
  const { transport } = cluster

  t.same(await leaseAnswers(transport), EXPECTED, 'the fake API is as the real one')

  const nodes = await readNodes(transport)
  t.match(
    nodes.map(({ name, controlPlane, down }) => [name, controlPlane, down]),
    [
      ['n1', true, undefined],
      ['n2', true, undefined],
      ['n3', true, undefined],
      ['n4', false, undefined],
    ],
  )
  t.ok(nodes.every(({ machineId, addresses }) => machineId && addresses.length > 0))

  const folder = mkdtempSync(path.join(tmpdir(), 'runbook-guards-lab-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const connections: Connection[] = []
  const events: GuardEvent[] = []
  const enter = (node: string, more: Partial<GuardRequest> = {}): Promise<Hold> =>
    enterGuard(
      {
        node,
        run: 'r1',
        actor: 'test',
        settings: settings({}, 10_000),
        inventory: { hosts: [], groups: {} },
        waitMs: 0,
        ...more,
      },
      {
        transport,
        folder,
        connect: async (name, signal) => {
          if (!lab.lab.isOn(name)) throw new Error('it is off')
          const target = {
            name,
            address: name,
            connection: 'ssh2',
            user: 'root',
            sshConfigFile: lab.lab.sshConfigFile,
          } as const
          const connection = await connect(target, { signal })
          connections.push(connection)
          return connection
        },
        signal: AbortSignal.timeout(600_000),
      },
      (event) => events.push(event),
    )

  const two = settings({ max_unavailable: 3 }, 10_000)
  const hold = await enter('n2', { settings: two })
  await hold.renew()
  const shown = await kubectl(lab, ['get', 'leases', '-n', 'kube-system', 'runbook-node-n2', '-o', 'jsonpath={.spec}'])
  t.match(JSON.parse(shown), { leaseDurationSeconds: 300, holderIdentity: /\/r1\// })
  await t.rejects(enter('n3', { settings: two }), {
    message: /control planes: 1 of 3 may be out of service, and 1 are: n2/,
  })
  const worker = await enter('n4', { settings: two })
  await worker.release('back')
  await hold.release('back')

  await kubectl(lab, ['cordon', 'n4'])
  await t.rejects(enter('n2'), { message: /all nodes: 1 of 4 .* n4 \(cordoned, not by runbook, since \d{4}-/ })
  await kubectl(lab, ['uncordon', 'n4'])

  // Its node still counts as Ready for 40 s or more: only etcd itself knows.
  await lab.lab.kill('n3')
  await t.rejects(enter('n2', { settings: two }), {
    message: /etcd has members that are not healthy: n3|etcd cannot be asked/,
  })
  await lab.lab.powerOn('n3')
  const after = await enter('n2', { settings: two, waitMs: 300_000 })
  t.pass('the member is back')
  await after.release('back')
  t.comment(events.map(({ message }) => message).join('\n'))
  t.equal(
    (
      await kubectl(lab, [
        'get',
        'leases',
        '-n',
        'kube-system',
        '-l',
        'app.kubernetes.io/managed-by=runbook',
        '-o',
        'name',
      ])
    ).trim(),
    'lease.coordination.k8s.io/runbook-guards',
  )
  await Promise.all(connections.map((connection) => connection.close()))
})
