/**
 * The node cycle on a real cluster: a client writes through it all, the runner is killed at each phase, and a host that hangs
 * in a plain shutdown does not with ours.
 */
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { runbook } from '../../acceptance/support.ts'
import { kubectl } from '../../lab/kubernetes/cluster.ts'
import { LAB_IMAGES } from '../../lab/kubernetes/index.ts'
import { skipWithoutKubernetes } from '../../lab/kubernetes/skip.ts'
import { mostTogether, Runner, spansOf } from '../guards/racers.ts'
import { settings } from '../guards/setting.ts'
import { poweredCluster } from './cluster.ts'
import { bootId, inside } from './site.ts'

const HOUR = 60 * 60_000
t.setTimeout(HOUR)

/** Each acknowledged write is on the disk of the node where its pod ran; two pods, one of which must always be there. */
const STORE = `
apiVersion: v1
kind: Service
metadata: { name: store }
spec: { selector: { app: store }, ports: [{ port: 80, targetPort: 8080 }] }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: store }
spec:
  serviceName: store
  replicas: 2
  podManagementPolicy: Parallel
  selector: { matchLabels: { app: store } }
  template:
    metadata: { labels: { app: store } }
    spec:
      topologySpreadConstraints:
        - { maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: { matchLabels: { app: store } } }
      terminationGracePeriodSeconds: 15
      containers:
        - name: server
          image: ${LAB_IMAGES.testServer}
          args: [serve, ":8080"]
          env: [{ name: DATA_DIR, value: /data }]
          readinessProbe: { httpGet: { path: /healthz, port: 8080 }, periodSeconds: 1 }
          volumeMounts: [{ name: data, mountPath: /data }]
      volumes: [{ name: data, hostPath: { path: /var/lib/store, type: DirectoryOrCreate } }]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: store }
spec: { minAvailable: 1, selector: { matchLabels: { app: store } } }
`

/** Answers SIGTERM by going on for ten minutes; a drain leaves it, for it is a DaemonSet's. */
const STUBBORN = `
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: stubborn }
spec:
  selector: { matchLabels: { app: stubborn } }
  template:
    metadata: { labels: { app: stubborn } }
    spec:
      nodeSelector: { kubernetes.io/hostname: n2 }
      terminationGracePeriodSeconds: 5
      containers:
        - name: server
          image: ${LAB_IMAGES.testServer}
          args: [serve, ":8080"]
          env: [{ name: DRAIN_SECONDS, value: "600" }]
`

const CLIENT = `
i=0
while [ ! -e /root/stop ]; do
  i=$((i + 1))
  if curl -fsS -m 8 "http://$1/write?line=$i" >/dev/null 2>>/root/errors; then echo $i >>/root/acked; else echo "$i $(date +%T)" >>/root/failed; fi
  sleep 0.1
done
touch /root/stopped
`

const COUNT_BOOTS = `
cat >/etc/systemd/system/count-boots.service <<'END'
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'cat /proc/sys/kernel/random/boot_id >>/root/boots'
[Install]
WantedBy=multi-user.target
END
systemctl enable -q --now count-boots
`

/** Where the runner is killed: what it says when a phase has just begun or ended. */
const KILLS: readonly (readonly [string, RegExp])[] = [
  ['looked at', /ok +n2 +Look at the node/],
  ['draining', /evicting pod/],
  ['kubelet stopped', /n2: kubelet: /],
  ['power off sent', /n2: power off: sent/],
  ['off', /(ok|changed) +n2 +Shut down/],
  ['power on sent', /n2: power on: /],
  ['up', /(ok|changed) +n2 +Power on/],
]

const RACES = 50

t.test('the node cycle on a cluster', { skip: skipWithoutKubernetes(), timeout: HOUR }, async (t) => {
  const folder = t.testdir({})
  // Workers stop their pods through crictl, the control plane through containerd's own ctr.
  await using cluster = await poweredCluster(folder, ({ controlPlanes: [n1] }) => {
    rmSync(join(n1!.rootfs, 'usr/bin/crictl'))
  })
  const { site, bmc, node: nodeOf } = cluster
  const { lab } = site
  const inventory = join(folder, 'inventory.yml')
  writeFileSync(inventory, cluster.inventory)
  const node = (args: readonly string[], more: Parameters<typeof runbook>[1] = {}) =>
    runbook(['node', ...args, '-i', inventory], { cwd: folder, ...more })
  const boots = async (name: string) => (await inside(lab, name, 'cat /root/boots')).trim().split('\n').length

  await kubectl(site, ['apply', '-f', '-'], { input: STORE })
  await kubectl(site, ['rollout', 'status', 'statefulset/store', '--timeout=180s'])
  await inside(lab, 'n2', COUNT_BOOTS)
  await inside(lab, 'n1', COUNT_BOOTS)
  const address = (await kubectl(site, ['get', 'service', 'store', '-o', 'jsonpath={.spec.clusterIP}'])).trim()
  writeFileSync(join(lab.hosts[2]!.rootfs, 'root/client.sh'), CLIENT)
  await inside(lab, 'n3', `setsid sh /root/client.sh ${address} </dev/null >/dev/null 2>&1 &`)
  /** Ends the client; what was acknowledged and is on no disk, and what failed. */
  const writes = async () => {
    await inside(lab, 'n3', 'touch /root/stop; until [ -e /root/stopped ]; do sleep 0.2; done')
    const lines = async (name: string, file: string) =>
      (await inside(lab, name, `cat ${file} 2>/dev/null || :`)).split('\n').filter(Boolean)
    const kept = new Set([
      ...(await lines('n2', '/var/lib/store/lines')),
      ...(await lines('n3', '/var/lib/store/lines')),
    ])
    const acked = await lines('n3', '/root/acked')
    return {
      acked: acked.length,
      lost: acked.filter((line) => !kept.has(line)),
      failed: await lines('n3', '/root/failed'),
    }
  }

  await t.test('a worker, its runner killed at each phase', async (t) => {
    const before = await bootId(lab, 'n2')
    const dry = await node(['maintain', 'n2', '--dry-run'])
    t.match(dry, {
      code: 0,
      stdout:
        /default\/store-\d \(grace 15 s\)[\s\S]*pods of the host network: [\s\S]*containerd: [\s\S]*power off, at most/,
    })
    for (const [phase, pattern] of KILLS) {
      let killed = false
      const run = await node(['maintain', 'n2', '--reason', 'new disk'], {
        during: (child, said) => {
          if (!killed && pattern.test(said)) killed = child.kill('SIGKILL')
        },
      })
      t.ok(killed, `killed when ${phase}`)
      if (!killed) t.comment(run.stdout, run.stderr)
    }
    const last = await node(['maintain', 'n2', '--reason', 'new disk'])
    t.equal(last.code, 0, last.stdout + last.stderr)
    t.match(last.stdout, /n2: done \(\d+ s\): boot, systemd, .*api, CNI, Ready/, 'the network of a pod, through ctr')
    await bmc.settled()
    t.not(await bootId(lab, 'n2'), before)
    t.equal(await boots('n2'), 2, 'it went down once')
    const { spec, metadata } = await nodeOf('n2')
    t.notOk(spec.unschedulable)
    t.notOk(metadata.annotations['runbook/cordoned'])
  })

  await t.test('the control plane', async (t) => {
    const { code, stdout, stderr, ms } = await node(['maintain', 'n1', '--reason', 'new disk'])
    t.equal(code, 0, stdout + stderr)
    t.comment(`${Math.round(ms / 1000)} s\n${stdout}`)
    await bmc.settled()
    t.match(stdout, /etcd: stopped 1 pods[\s\S]*boot, systemd, .*cni, api, CNI, Ready/)
    t.equal(await boots('n1'), 2)
    t.notOk((await nodeOf('n1')).spec.unschedulable)
  })

  await t.test('no write failed, none is lost', async (t) => {
    const { acked, lost, failed } = await writes()
    t.comment(`${acked} writes`)
    t.ok(acked > 300)
    t.same(lost, [])
    t.same(failed, [])
  })

  await t.test(`${RACES} races of two runners for the same nodes`, async (t) => {
    const kubeconfig = join(folder, 'kubeconfig')
    cpSync(join(site.controlPlanes[0]!.rootfs, 'etc/kubernetes/admin.conf'), kubeconfig)
    const runners = [await Runner.start(kubeconfig), await Runner.start(kubeconfig)]
    t.teardown(() => runners.map(({ child }) => child.kill('SIGKILL')))
    const workers = ['n2', 'n3']
    const order = { all: ['n1', ...workers], settings: settings({ max_unavailable: 1 }, 10_000), holdMs: 40 }
    let [held, killed] = [0, 0]
    for (let round = 0; round < RACES; round++) {
      const from = runners.map(({ said }) => said.length)
      for (const [i, runner] of runners.entries())
        runner.order({ ...order, run: `race-${round}-${i}`, nodes: i === 0 ? workers : workers.toReversed() })
      if (round % 10 === 9) {
        await runners[0]!.hears(({ type }) => type === 'in', from[0])
        killed += Number(runners[0]!.child.kill('SIGKILL'))
      }
      await Promise.all(runners.map((runner, i) => runner.hears(({ type }) => type === 'done', from[i])))
      const said = runners.map((runner, i) => runner.said.slice(from[i]))
      const spans = said.flatMap(spansOf)
      held += spans.length
      if (mostTogether(spans) > 1) t.fail(`round ${round}: more than one node at the same time`)
      for (const one of said.flat()) if (one.type === 'failed') t.fail(`round ${round}: ${one.message}`)
      if (runners[0]!.child.signalCode !== null) runners[0] = await Runner.start(kubeconfig)
    }
    t.equal(killed, RACES / 10)
    t.ok(held >= RACES * 4 - killed * 2 && held <= RACES * 4, `${held} locks, one at a time`)
  })

  await t.test('what somebody cordoned before stays so', async (t) => {
    await kubectl(site, ['cordon', 'n2'])
    const { code, stdout } = await node(['reboot', 'n2'])
    t.equal(code, 0, stdout)
    const { spec, metadata } = await nodeOf('n2')
    t.ok(spec.unschedulable)
    t.notOk(metadata.annotations['runbook/cordoned'])
    await kubectl(site, ['uncordon', 'n2'])
  })

  await t.test('a pod that ignores SIGTERM: a plain shutdown hangs, ours does not', async (t) => {
    const seconds = async (limit: number): Promise<number> => {
      const started = performance.now()
      while (lab.isOn('n2') && performance.now() - started < limit * 1000) await sleep(200)
      return Math.round((performance.now() - started) / 1000)
    }
    await kubectl(site, ['apply', '-f', '-'], { input: STUBBORN })
    await kubectl(site, ['rollout', 'status', 'daemonset/stubborn', '--timeout=120s'])
    await inside(lab, 'n2', 'ip link set host0 down; shutdown -h now')
    const plain = await seconds(150)
    if (lab.isOn('n2')) await lab.kill('n2')
    await lab.powerOn('n2')
    await kubectl(site, ['wait', '--for=condition=Ready', 'node/n2', '--timeout=180s'])
    const running = ['wait', '--for=condition=Ready', 'pod', '-l', 'app=stubborn', '--timeout=180s']
    for (let n = 0; n < 30 && !(await kubectl(site, running).catch(() => '')); n++) await sleep(1000)
    const started = performance.now()
    const { code, stdout } = await node(['shutdown', 'n2', '--json'])
    const ours = Math.round((performance.now() - started) / 1000)
    t.equal(code, 0, stdout)
    const shutDown = stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
      .find(({ task, type }) => type === 'task_result' && task === 'Shut down')
    t.comment(`plain shutdown -h now: ${plain} s; ours: ${ours} s for all, ${shutDown.elapsed_ms} ms for the shutdown`)
    t.ok(plain >= 60, `plain: ${plain} s`)
    t.ok(shutDown.elapsed_ms < 40_000, `ours: ${shutDown.elapsed_ms} ms`)
  })
})
