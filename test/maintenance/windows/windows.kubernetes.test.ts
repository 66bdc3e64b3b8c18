/**
 * Maintenance windows on a real cluster, by the daemon as a user runs it: a window of node cycles, another that waits for
 * it, the hard end in the middle of a drain, and a window that was missed. About seven minutes on two slow cores.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { runbook } from '../../cli/runbook.ts'
import { daemon, endAll } from '../../cli/schedule-support.ts'
import { kubectl } from '../../lab/kubernetes/cluster.ts'
import { LAB_IMAGES } from '../../lab/kubernetes/index.ts'
import { skipWithoutKubernetes } from '../../lab/kubernetes/skip.ts'
import { poweredCluster } from '../cycle/cluster.ts'
import { bootId } from '../cycle/site.ts'

const HOUR = 60 * 60_000
t.setTimeout(HOUR)

/** Both pods must run on n3: one may go, the other only when there are two again, which never is while n3 is cordoned. */
const GATE = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: gate }
spec:
  replicas: 2
  selector: { matchLabels: { app: gate } }
  template:
    metadata: { labels: { app: gate } }
    spec:
      nodeSelector: { kubernetes.io/hostname: n3 }
      terminationGracePeriodSeconds: 5
      containers:
        - { name: server, image: ${LAB_IMAGES.testServer}, args: [serve, ":8080"] }
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: gate }
spec: { minAvailable: 1, selector: { matchLabels: { app: gate } } }
`

/** 29 February: what opens is what is triggered. */
const WINDOWS = `windows:
  - name: workers
    start: "0 3 29 2 *"
    timezone: Europe/Berlin
    duration: 30m
    hosts: n2
  - name: second
    start: "0 9 29 2 *"
    timezone: Europe/Berlin
    duration: 30m
    hosts: n3
    playbook: second.yml
  - name: short
    start: "0 15 29 2 *"
    timezone: Europe/Berlin
    duration: 2m
    last_start_margin: 10s
    hosts: n3
`

const nightly = (opens: Date): string => `windows:
  - name: nightly
    start: "*-*-* ${opens.toISOString().slice(11, 19)}"
    timezone: UTC
    duration: 1h
    hosts: n3
`

t.test('windows on a cluster', { skip: skipWithoutKubernetes(), timeout: HOUR }, async (t) => {
  const began = performance.now()
  const home = mkdtempSync(join(tmpdir(), 'runbook-windows-cluster-'))
  await using cluster = await poweredCluster(home)
  const { site, bmc, inventory, node: nodeOf } = cluster
  const { lab } = site
  const siteOf = (maintenance: string): string => {
    const folder = mkdtempSync(join(home, 'site-'))
    writeFileSync(join(folder, 'inventory.yml'), inventory)
    writeFileSync(join(folder, 'maintenance.yml'), maintenance)
    const play = '- hosts: "{{ nodes }}"\n  gather_facts: false\n  tasks:\n    - command: uname -n\n'
    writeFileSync(join(folder, 'second.yml'), play)
    t.teardown(() => endAll(folder))
    return folder
  }
  t.teardown(() => rmSync(home, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 }))
  const ended = async (child: Awaited<ReturnType<typeof daemon>>) => {
    child.child.kill('SIGTERM')
    t.equal(await child.ended, 0, 'the daemon ends cleanly')
  }
  const history = async (folder: string) => JSON.parse((await runbook(['schedule', 'history', '--json'], folder)).out)
  const until = async <T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> => {
    for (const end = Date.now() + 10 * 60_000; ; await sleep(500)) {
      const found = await look().catch(() => undefined)
      if (found) return found
      if (Date.now() > end) throw new Error(`never: ${what}`)
    }
  }
  const gates = async (): Promise<{ uid: string; phase: string; ends: boolean }[]> =>
    JSON.parse(await kubectl(site, ['get', 'pods', '-l', 'app=gate', '-o', 'json'])).items.map(
      (pod: { metadata: { uid: string; deletionTimestamp?: string }; status: { phase: string } }) => ({
        uid: pod.metadata.uid,
        phase: pod.status.phase,
        ends: pod.metadata.deletionTimestamp !== undefined,
      }),
    )

  // Its time comes while no daemon runs; seen at the end of this file, minutes later.
  const opens = new Date(Date.now() + 180_000)
  const asleep = siteOf(nightly(opens))
  const first = await daemon(t, asleep)
  t.match(first.out(), /started with 1 windows/)
  await ended(first)
  t.ok(Date.now() < opens.getTime(), 'it was still to come')

  const folder = siteOf(WINDOWS)
  const one = await daemon(t, folder)
  t.teardown(() => {
    if (!t.passing()) t.comment(one.out())
  })
  const trigger = async (name: string) =>
    t.match(await runbook(['schedule', 'trigger', name], folder), { code: 0 }, `${name} is triggered`)

  await t.test('a window of node cycles, and a second one that waits for it', async (t) => {
    const before = await bootId(lab, 'n2')
    await trigger('workers')
    await one.says('node_started: n2')
    await trigger('second')
    await one.says('node_done: n2', 900)
    const { spec, metadata } = await nodeOf('n2')
    t.notOk(spec.unschedulable, 'it takes pods again')
    t.notOk(metadata.annotations['runbook/cordoned'])
    await bmc.settled()
    t.not(await bootId(lab, 'n2'), before, 'it was down')
    await one.says('closed: second: 1 of 1 nodes done', 300)
    const [second, workers] = await history(folder)
    t.match(
      [second, workers],
      [
        { window: 'second', status: 'done' },
        { window: 'workers', status: 'done' },
      ],
    )
    t.ok(second.opened_at >= workers.closed_at, 'one after the other')
    t.comment(`the cycle of n2: ${Math.round((workers.closed_at - workers.opened_at) / 1000)} s`)
    const said = readFileSync(join(folder, '.runbook/schedule', workers.id, 'n2.1.ndjson'), 'utf8')
    t.match(said, /"type":"task_started".*"module":"node_stop"/)
  })

  await t.test('the hard end in the middle of a drain: the node takes pods again', async (t) => {
    await kubectl(site, ['apply', '-f', '-'], { input: GATE })
    await kubectl(site, ['rollout', 'status', 'deployment/gate', '--timeout=180s'])
    const before = await bootId(lab, 'n3')
    const uids = (await gates()).map(({ uid }) => uid)
    await trigger('short')
    await until('a drain that the budget blocks', async () => {
      const pods = await gates()
      return (
        (await nodeOf('n3')).spec.unschedulable === true &&
        pods.length === 2 &&
        pods.some(({ phase }) => phase === 'Pending') &&
        pods.some(({ uid, ends }) => uids.includes(uid) && !ends)
      )
    })
    const [open] = await history(folder)
    t.match(open, { window: 'short', status: 'running' }, 'the window is still open')
    const late = await until('uncordoned', async () => {
      const { spec, metadata } = await nodeOf('n3')
      return !spec.unschedulable && !metadata.annotations['runbook/cordoned'] && Date.now() - open.ends
    })
    t.comment(`uncordoned ${Math.round(late / 1000)} s after the end of the window`)
    await one.says('closed: short: 0 of 1 nodes done, 1 rolled back', 300)
    t.match(one.out(), /rolled_back: n3: the window is over; nothing was changed on it yet, and it takes work again/)
    const [record] = await history(folder)
    t.match(record, { window: 'short', status: 'cut', nodes: [{ host: 'n3', status: 'rolled_back' }] })
    const { out } = await runbook(['schedule', 'history', '-n', '1'], folder)
    t.match(out, /cut .* short .*1 rolled back\n {4}n3: rolled_back/)
    await until('both pods at work', async () =>
      (await gates()).every(({ phase, ends }) => phase === 'Running' && !ends),
    )
    t.ok(
      (await gates()).some(({ uid }) => uids.includes(uid)),
      'the pod that the budget protects was left alone',
    )
    t.equal(await bootId(lab, 'n3'), before)
    const locks = await runbook(['node', 'status', 'n3', '--json'], folder)
    t.notOk(JSON.parse(locks.out)[0].cycle, 'nothing is left to go on with')
  })

  await t.test('a node that a person cordoned before stays so', async (t) => {
    await kubectl(site, ['cordon', 'n3'])
    await trigger('short')
    await until('a drain that the budget blocks', async () => (await gates()).some(({ phase }) => phase === 'Pending'))
    await until('the end', async () => one.out().split('closed: short: 0 of 1 nodes done, 1 rolled back').length === 3)
    t.equal((await nodeOf('n3')).spec.unschedulable, true)
    await kubectl(site, ['uncordon', 'n3'])
  })
  await ended(one)

  await t.test('a window that no daemon was there for is missed, and told', async (t) => {
    await until('late enough', async () => Date.now() > opens.getTime() + 125_000)
    const two = await daemon(t, asleep)
    await two.says(/missed: nightly of .* was missed: the daemon did not run, or the clock was set: seen .* late/)
    t.match(await history(asleep), [{ window: 'nightly', status: 'missed', nodes: [] }])
    await ended(two)
  })
  t.comment(`all of it: ${Math.round((performance.now() - began) / 1000)} s`)
})
