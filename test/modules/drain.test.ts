/** The modules cordon, drain and uncordon against a cluster of this process. */
import t from 'tap'
import cordon from '../../modules/cordon.ts'
import drain from '../../modules/drain.ts'
import uncordon from '../../modules/uncordon.ts'
import { Cluster } from '../../src/kubernetes/api.ts'
import { REAL_CLOCK } from '../../src/kubernetes/drain/clock.ts'
import { World } from '../kubernetes/drain/world.ts'
import { act, actionContext, inEachShell } from './drive.ts'

inEachShell('cordon, drain, uncordon', async (t, bench) => {
  const world = new World().node('n1').node('n2')
  world.pod({ name: 'web', endsIn: 200 }).pod({ name: 'ds', owner: 'DaemonSet' })
  const cluster = new Cluster({ server: 'https://world', authorities: undefined }, world.transport(REAL_CLOCK))
  const context = (more = {}) => actionContext(bench, { kubernetes: async () => cluster, ...more })
  const unschedulable = () => world.nodes.get('n1')!.spec.unschedulable === true

  t.match(await act(cordon, {}, context({ check: true })), { changed: true, msg: 'node/n1 cordoned (dry run)' })
  t.notOk(unschedulable())
  t.match(await act(cordon, { reason: 'disk' }, context()), { changed: true, msg: 'node/n1 cordoned' })
  t.match(await act(cordon, {}, context()), { changed: false })

  t.match(await act(drain, {}, context({ check: true })), { changed: true, msg: 'would evict 1 pods' })
  t.same(world.removals, [])
  const ctx = context()
  t.match(await act(drain, {}, ctx), { changed: true, data: { nodes: [{ node: 'n1', state: 'drained', gone: 1 }] } })
  t.match(
    ctx.lines.join('\n'),
    /already cordoned, by runbook \(run r1[\s\S]*evicting pod default\/web\npod default\/web evicted/,
  )
  t.match(await act(drain, {}, context()), { changed: false, msg: '0 pods gone' })

  world.pod({ name: 'naked', owner: null })
  await t.rejects(act(drain, {}, context()), {
    message: /nothing was touched: default\/naked: cannot delete Pods that/,
  })
  world.pod({ name: 'stuck', endsIn: Number.POSITIVE_INFINITY })
  await t.rejects(act(drain, { force: true, timeout: 2 }, context()), {
    message: /time limit of 2 s is over\n {2}node\/n1 is cordoned and not drained; left: default\/stuck: /,
  })

  t.match(await act(uncordon, { node: ['n1', 'n2'] }, context()), {
    changed: true,
    msg: 'node/n1 uncordoned; node/n2 already uncordoned',
  })
  t.notOk(unschedulable())
})

t.test('arguments', async (t) => {
  t.notOk(drain.args.safeParse({ timeout: 0 }).success)
  t.notOk(drain.args.safeParse({ grace_period: -1 }).success)
  t.notOk(drain.args.safeParse({ node: [] }).success)
})
