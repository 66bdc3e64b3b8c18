/**
 * Three control planes behind a virtual IP, of one release and without load: what of ha.kubernetes.test.ts every change has
 * to pass (suite `kubernetes-short`).
 */
import t from 'tap'
import { skipWithoutKubernetes } from '../lab/kubernetes/skip.ts'
import { bootSite, converges, losesALeader, nothingToDo, SITE } from './site.ts'

const HOUR = 60 * 60_000
t.setTimeout(HOUR)

t.test('three control planes, a worker', { skip: skipWithoutKubernetes(), timeout: HOUR }, async (t) => {
  await using site = await bootSite({ controlPlanes: 3, workers: 1 })
  await t.test('made', async (t) => {
    const { seconds, scripts } = await converges(t, site, SITE)
    t.comment(`${seconds.toFixed(1)} s, ${scripts} scripts a host at most`)
  })
  await t.test('a second run', (t) => nothingToDo(t, site, SITE))
  await t.test('one control plane loses its power, and has it again', (t) => losesALeader(t, site))
})
