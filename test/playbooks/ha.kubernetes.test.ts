/** Three control planes behind a virtual IP and two workers: made, upgraded under load, one powered off and on. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { kubectl } from '../lab/kubernetes/cluster.ts'
import { installRelease, loadImages, RELEASES } from '../lab/kubernetes/index.ts'
import { skipWithoutKubernetes } from '../lab/kubernetes/skip.ts'
import { reaches, startLoad } from './load.ts'
import { ROOT } from './runbook.ts'
import { bootSite, converges, losesALeader, nothingToDo, SITE, succeeded, UPGRADE } from './site.ts'

const HOUR = 60 * 60_000
t.setTimeout(2 * HOUR)

const WEB = path.join(ROOT, 'test/lab/kubernetes/manifests/web.yml')

t.test('three control planes, two workers', { skip: skipWithoutKubernetes(), timeout: 2 * HOUR }, async (t) => {
  await using three = await bootSite({ controlPlanes: 3, workers: 2, minor: '1.33', alsoBuild: ['1.34'] })
  const { lab, runbook } = three
  await t.test('made', async (t) => {
    const { seconds, scripts } = await converges(t, three, SITE)
    t.comment(`${seconds.toFixed(1)} s, ${scripts} scripts a host at most`)
  })
  await t.test('a second run', (t) => nothingToDo(t, three, SITE))

  await t.test('upgraded by one minor, under load', async (t) => {
    await kubectl(lab, ['apply', '-f', '-'], { input: await readFile(WEB, 'utf8') })
    await kubectl(lab, ['rollout', 'status', 'deployment/web', '--timeout=600s'])
    const address = await kubectl(lab, ['get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}'])
    const before = await kubectl(lab, ['get', 'pods', '-l', 'app=web', '-o', 'name'])
    const skips = await runbook('apply', UPGRADE, '-e', 'kubernetes_version=v1.35.0')
    t.match(skips.output, /skips a minor version/)

    const version = RELEASES['1.34'].kubernetes
    // Ready is what the pods are; the rules for a service that is new take their time on each node.
    await reaches(lab, 'n1', `http://${address}/`)
    const stop = startLoad(lab, 'n1', `http://${address}/`, 20)
    for (const host of lab.lab.hosts) {
      await loadImages(lab.lab, host, lab.kubernetes, ['1.34'])
      await installRelease(host, lab.kubernetes, '1.34')
    }
    const upgraded = await runbook('apply', UPGRADE, '-e', `kubernetes_version=${version}`)
    const { sent, answered, errors } = await stop()
    succeeded(t, upgraded)
    t.comment(`${upgraded.seconds.toFixed(0)} s, ${sent} requests`)
    t.ok(sent > 1000, 'there was load')
    t.same([answered, errors], [sent, []], 'no request is lost')
    const after = await kubectl(lab, ['get', 'pods', '-l', 'app=web', '-o', 'name'])
    t.notOk(
      before.split('\n').some((pod) => pod !== '' && after.includes(pod)),
      'both pods had to move',
    )

    const columns = 'custom-columns=:.status.nodeInfo.kubeletVersion,:.spec.unschedulable'
    const nodes = (await kubectl(lab, ['get', 'nodes', '--no-headers', '-o', columns])).trim().split('\n')
    t.same(
      nodes.map((line) => line.trim().split(/\s+/)),
      lab.lab.hosts.map(() => [version, '<none>']),
    )
    const again = await runbook('apply', UPGRADE, '-e', `kubernetes_version=${version}`)
    t.match(again, { rc: 0, changed: [] }, 'nothing to do the second time')
  })

  await t.test('one control plane loses its power, and has it again', async (t) => {
    await losesALeader(t, three, `kubernetes_version=${RELEASES['1.34'].kubernetes}`)
  })
})
